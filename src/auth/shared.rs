//! One refresh for all streams of a client.

use std::sync::{Arc, Mutex};

use super::call::UnderWay;
use super::{AccessToken, TokenError, TokenSource, lock};

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
    under_way: UnderWay,
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

    /// Waits until nothing is under way that must not be cut short.
    #[cfg(feature = "blocking")]
    pub(crate) async fn settle(&self) {
        self.source.settle().await;
    }

    async fn refresh(&self, rejected: &AccessToken) -> Result<AccessToken, TokenError> {
        let call = {
            let mut last = lock(&self.last_refresh);
            if last.rejected.as_ref() != Some(rejected) {
                *last = Refresh {
                    rejected: Some(rejected.clone()),
                    ..Refresh::default()
                };
            }
            if let Some(newer) = &last.newer {
                return Ok(newer.clone());
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
