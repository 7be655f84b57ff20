//! One refresh for all streams of a client.

use std::sync::{Arc, Mutex};

use super::in_flight::InFlight;
use super::{AccessToken, Subject, TokenError, TokenSource, lock};

/// A client's token source, shared by its streams: whoever meets a 401 first refreshes for all.
pub(crate) struct SharedTokens {
    source: Arc<dyn TokenSource>,
    last_refresh: Arc<Mutex<Refresh>>,
}

/// What came, or is to come, in place of which token.
#[derive(Default)]
struct Refresh {
    rejected: Option<AccessToken>,
    newer: Option<AccessToken>,
    under_way: InFlight,
}

impl SharedTokens {
    pub(crate) fn new(source: Arc<dyn TokenSource>) -> Self {
        Self {
            source,
            last_refresh: Arc::default(),
        }
    }

    /// The token to use now, or a newer one than `rejected`.
    pub(crate) async fn token(
        &self,
        rejected: Option<&AccessToken>,
    ) -> Result<AccessToken, TokenError> {
        match rejected {
            None => self.source.token().await,
            Some(rejected) => self.refresh(rejected).await,
        }
    }

    /// What came in place of a token that was rejected before.
    fn newer_than(&self, rejected: &AccessToken) -> Option<AccessToken> {
        let last = lock(&self.last_refresh);
        let same = last.rejected.as_ref() == Some(rejected);
        last.newer.clone().filter(|_| same)
    }

    /// Returns the account that the tokens stand for, if their source knows.
    pub(crate) fn subject(&self) -> Option<Subject> {
        self.source.subject()
    }

    /// Waits until nothing is under way that must not be cut short.
    pub(crate) async fn flush(&self) {
        self.source.flush().await;
    }

    async fn refresh(&self, rejected: &AccessToken) -> Result<AccessToken, TokenError> {
        if let Some(newer) = self.newer_than(rejected) {
            // Who was away for long is not to have one that is over by now.
            let current = self.source.token().await?;
            return Ok(if current == *rejected { newer } else { current });
        }
        let call = {
            let mut last = lock(&self.last_refresh);
            if last.rejected.as_ref() != Some(rejected) {
                *last = Refresh {
                    rejected: Some(rejected.clone()),
                    ..Refresh::default()
                };
            }
            let (source, store) = (self.source.clone(), self.last_refresh.clone());
            let rejected = rejected.clone();
            last.under_way.join_or_begin(async move {
                let newer = source.refresh(&rejected).await?;
                let mut last = lock(&store);
                if newer != rejected && last.rejected.as_ref() == Some(&rejected) {
                    last.newer = Some(newer.clone());
                }
                Ok(newer)
            })
        };
        call.await
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use futures_lite::future::block_on;

    use super::*;

    /// A source that renews by itself too.
    struct Numbered(Arc<Mutex<u32>>);

    impl Numbered {
        fn current(&self) -> AccessToken {
            token(*lock(&self.0))
        }
    }

    fn token(number: u32) -> AccessToken {
        AccessToken::new(format!("token-{number}")).unwrap()
    }

    #[async_trait]
    impl TokenSource for Numbered {
        async fn token(&self) -> Result<AccessToken, TokenError> {
            Ok(self.current())
        }

        async fn refresh(&self, _rejected: &AccessToken) -> Result<AccessToken, TokenError> {
            *lock(&self.0) += 1;
            Ok(self.current())
        }
    }

    #[test]
    fn who_was_away_for_long_gets_the_token_of_now_and_not_the_one_that_came_first() {
        let number = Arc::new(Mutex::new(0));
        let tokens = SharedTokens::new(Arc::new(Numbered(number.clone())));
        let refreshed = |rejected| block_on(tokens.token(Some(&token(rejected)))).unwrap();
        assert!(refreshed(0) == token(1));
        assert!(refreshed(0) == token(1), "once for all");
        *lock(&number) = 7;
        assert!(refreshed(0) == token(7));
        assert!(refreshed(7) == token(8));
    }
}
