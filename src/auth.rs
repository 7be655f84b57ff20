//! Who the client is: access tokens and where they come from.
//!
//! An access token lives 60 minutes. What an application has to get the next one depends on how it is set up in
//! [Box's developer console](https://developer.box.com/guides/authentication/select/):
//!
//! | the application has | take |
//! |---|---|
//! | a client id and secret, of its own service account or with the right to act for users | [`ClientCredentials`] |
//! | a user's refresh token, which works once | [`RefreshToken`], with a [`CredentialFile`] |
//! | a JSON configuration file with a key | `JwtBearer` (feature `jwt`) |
//! | a token that somebody else renews | [`token_fn`], or a [`TokenSource`] of yours |
//! | a token that is not renewed, a downscoped one for instance | [`AccessToken`] |
//!
//! The first three make [`RefreshedTokens`], over the HTTP library that the client uses too:
//!
//! ```no_run
//! use box_longpoll::auth::{ClientCredentials, Subject};
//! use box_longpoll::{HttpTransport, LongPollClient, StartAt};
//!
//! # async fn follow<T: HttpTransport + Clone>(transport: T, secret: String) -> Result<(), box_longpoll::Error> {
//! let tokens = ClientCredentials::new("my-client-id", secret, Subject::enterprise("1234567"))
//!     .tokens(transport.clone())?;
//! let mut events = LongPollClient::new(transport, tokens).events(StartAt::Now);
//! while let Some(event) = events.next().await {
//!     println!("{:?}", event?);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! To act for a user on top of any of them, set the client's [`as_user`](crate::LongPollClientBuilder::as_user).

mod access_token;
mod client_credentials;
mod credential;
mod endpoint;
mod error;
mod in_flight;
#[cfg(feature = "jwt")]
mod jwt_bearer;
mod refresh_token;
mod renewal;
mod secret;
mod shared;
mod subject;
mod token_fn;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

pub use self::access_token::AccessToken;
pub use self::client_credentials::ClientCredentials;
pub use self::credential::{Credential, CredentialFile, CredentialStore, LockedCredential};
pub(crate) use self::error::without_newer_token;
pub use self::error::{TokenError, TokenErrorKind};
#[cfg(feature = "jwt")]
pub use self::jwt_bearer::{JwtAlgorithm, JwtBearer};
pub use self::refresh_token::RefreshToken;
pub use self::renewal::RefreshedTokens;
pub(crate) use self::shared::SharedTokens;
pub use self::subject::Subject;
pub use self::token_fn::{TokenFn, token_fn};

/// Where access tokens come from.
///
/// [`AccessToken`] is a fixed one, [`token_fn`] makes one of a closure, and the [module](self) has those of Box's grants.
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
