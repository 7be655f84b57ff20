//! The contract between the client and its source of tokens.
//!
//! A [`TokenSource`] gives the client its current token. It decides about caching and refreshing;
//! the client decides when to call it and when to retry.

use std::sync::Arc;

use async_trait::async_trait;

use super::{AccessToken, Subject, TokenError};

/// A source of access tokens.
///
/// [`AccessToken`] is a fixed token, [`token_fn`](crate::auth::token_fn) makes a source from a
/// closure, and the [`auth`](crate::auth) module has the sources of Box's grants.
///
/// A client and all its streams share one source. When Box rejects their token, each of them calls
/// [`token`](Self::token), often at the same moment. A source should therefore keep its token, and
/// refresh it once for all callers. [`token_fn`](crate::auth::token_fn) does that for a closure.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a source of access tokens",
    label = "not a `TokenSource`",
    note = "for a token that you have, pass `AccessToken::new(token)?`",
    note = "for tokens that are refreshed, pass those of a grant in `box_longpoll::auth`, or `auth::token_fn(..)`"
)]
#[async_trait]
pub trait TokenSource: Send + Sync + 'static {
    /// Returns the token to use now, other than `rejected`.
    ///
    /// The client calls this with `None` before every API call. It also does so before a poll that
    /// [sends the token](crate::config::RealtimeToken::Send). After a 401 response, it passes the
    /// token that Box rejected. If that is still the source's token, the source should get a newer
    /// one. If the source returns the rejected token again, there is no newer one, and the stream
    /// stops.
    ///
    /// The client sets no time limit for this call. Give your implementation a timeout of its own.
    ///
    /// # Errors
    ///
    /// After a [transient](TokenError::transient) error, the client calls this again after a
    /// growing pause. A [permanent](TokenError::permanent) error stops the stream.
    ///
    /// There is one exception. A 401 may come from something between the client and Box, such as a
    /// captive portal. After such a 401, neither an error nor the rejected token stops the stream:
    /// it retries with the old token.
    ///
    /// # Cancellation
    ///
    /// If the stream that waits for the future is dropped, the future is dropped too.
    async fn token(&self, rejected: Option<&AccessToken>) -> Result<AccessToken, TokenError>;

    /// Returns the account that the tokens act for, if the source knows it. Default: `None`.
    ///
    /// A subscription stores it in its checkpoint, and refuses the checkpoint of another account.
    ///
    /// If your source wraps another one, return the inner source's subject.
    fn subject(&self) -> Option<Subject> {
        None
    }

    /// Waits for work in flight that must not be cut short, such as the exchange of a refresh
    /// token.
    ///
    /// [`LongPollClient::flush`](crate::LongPollClient::flush) awaits this, and so does the thread
    /// of a blocking client before it ends. Default: there is no such work.
    async fn flush(&self) {}
}

#[async_trait]
impl TokenSource for AccessToken {
    async fn token(&self, rejected: Option<&AccessToken>) -> Result<AccessToken, TokenError> {
        match rejected {
            None => Ok(self.clone()),
            Some(_) => Err(TokenError::permanent(
                "this is a fixed token, and one lives 60 minutes: get a new one from Box",
            )),
        }
    }
}

#[async_trait]
impl<S: TokenSource + ?Sized> TokenSource for Arc<S> {
    async fn token(&self, rejected: Option<&AccessToken>) -> Result<AccessToken, TokenError> {
        (**self).token(rejected).await
    }

    fn subject(&self) -> Option<Subject> {
        (**self).subject()
    }

    async fn flush(&self) {
        (**self).flush().await;
    }
}
