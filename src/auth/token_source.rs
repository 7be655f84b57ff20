//! The contract between the client and a source of tokens.

use std::sync::Arc;

use async_trait::async_trait;

use super::{AccessToken, Subject, TokenError};

/// A source of access tokens.
///
/// [`AccessToken`] is a fixed one, [`token_fn`](crate::auth::token_fn) makes one of a closure, and the
/// [`auth`](crate::auth) module has those of Box's grants.
///
/// A client and all its streams share one source. When Box rejects their token, each of them calls
/// [`token`](Self::token), often at the same moment. A source therefore keeps the token it has, and refreshes it once for
/// all of them, as [`token_fn`](crate::auth::token_fn) does.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no source of access tokens",
    label = "not a `TokenSource`",
    note = "for a token that you have, pass `AccessToken::new(token)?`",
    note = "for tokens that are refreshed, pass those of a grant in `box_longpoll::auth`, or `auth::token_fn(..)`"
)]
#[async_trait]
pub trait TokenSource: Send + Sync + 'static {
    /// Returns the token to use now, other than `rejected`.
    ///
    /// The client calls this with `None` before every API call. After a 401 it passes the token that Box rejected: if the
    /// source still has that one, it gets a newer one. A source that returns the rejected token again says that there is no
    /// newer one, and the stream stops.
    ///
    /// There is no time limit on the call: give it a timeout of its own.
    ///
    /// # Errors
    ///
    /// After a [transient](TokenError::transient) error the client calls again, with a growing pause; a
    /// [permanent](TokenError::permanent) one stops the stream.
    ///
    /// # Cancellation
    ///
    /// The client drops the future when the stream that waits for it is dropped.
    async fn token(&self, rejected: Option<&AccessToken>) -> Result<AccessToken, TokenError>;

    /// Returns the account that the tokens stand for, if the source knows it. `None` by default.
    ///
    /// A subscription keeps it in its checkpoint, and refuses the checkpoint of another account.
    ///
    /// A source that wraps another one returns that one's.
    fn subject(&self) -> Option<Subject> {
        None
    }

    /// Waits until no work is in flight that must not be cut short, such as the exchange of a refresh token for the next one.
    ///
    /// A blocking client's thread does not end before. By default there is no such work.
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
