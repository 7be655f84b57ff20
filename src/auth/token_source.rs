//! The contract between the client and a source of tokens.

use std::sync::Arc;

use async_trait::async_trait;

use super::{AccessToken, Subject, TokenError};

/// Where access tokens come from.
///
/// [`AccessToken`] is a fixed one, [`token_fn`](crate::auth::token_fn) makes one of a closure, and the [`auth`](crate::auth) module has those of Box's grants.
///
/// A call is waited for without a limit, by all streams that need a token: give it a timeout of its own.
///
/// # Cancellation
///
/// A call ends when all who wait for it are dropped; the next who needs a token calls anew.
#[async_trait]
pub trait TokenSource: Send + Sync + 'static {
    /// The token to use now. Called before every API call, so an implementation keeps the token it has.
    ///
    /// # Errors
    ///
    /// After a [transient](TokenError::transient) error the client asks again, with a growing pause; a
    /// [permanent](TokenError::permanent) one stops the stream.
    async fn token(&self) -> Result<AccessToken, TokenError>;

    /// A newer token than `rejected`, which Box answered with 401.
    ///
    /// The client calls this once for all its streams that met the same 401.
    ///
    /// # Errors
    ///
    /// As for [`token`](TokenSource::token). A source that has no newer token answers with a permanent error.
    async fn refresh(&self, rejected: &AccessToken) -> Result<AccessToken, TokenError>;

    /// Returns the account that the tokens stand for, if the source knows it. `None` by default.
    ///
    /// A subscription keeps it in its checkpoint, and refuses the checkpoint of another account.
    ///
    /// A source that wraps another one passes on that one's.
    fn subject(&self) -> Option<Subject> {
        None
    }

    /// Waits until nothing is under way that must not be cut short, such as a refresh token that is being exchanged for the
    /// next one. A blocking client's thread does not end before. By default nothing is.
    async fn flush(&self) {}
}

#[async_trait]
impl TokenSource for AccessToken {
    async fn token(&self) -> Result<AccessToken, TokenError> {
        Ok(self.clone())
    }

    async fn refresh(&self, _rejected: &AccessToken) -> Result<AccessToken, TokenError> {
        Err(TokenError::permanent(
            "this is a fixed token, and one lives 60 minutes: get a new one from Box",
        ))
    }
}

#[async_trait]
impl<S: TokenSource + ?Sized> TokenSource for Arc<S> {
    async fn token(&self) -> Result<AccessToken, TokenError> {
        (**self).token().await
    }

    async fn refresh(&self, rejected: &AccessToken) -> Result<AccessToken, TokenError> {
        (**self).refresh(rejected).await
    }

    fn subject(&self) -> Option<Subject> {
        (**self).subject()
    }

    async fn flush(&self) {
        (**self).flush().await;
    }
}
