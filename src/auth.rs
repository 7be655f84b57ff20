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

pub(crate) mod access_token;
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
mod subject;
mod token_fn;
pub(crate) mod token_source;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use self::access_token::AccessToken;
pub use self::client_credentials::ClientCredentials;
pub use self::credential::{Credential, CredentialFile, CredentialStore, LockedCredential};
pub(crate) use self::error::without_newer_token;
pub use self::error::{TokenError, TokenErrorKind};
#[cfg(feature = "jwt")]
pub use self::jwt_bearer::{JwtAlgorithm, JwtBearer};
pub use self::refresh_token::RefreshToken;
pub use self::renewal::RefreshedTokens;
pub use self::subject::Subject;
pub use self::token_fn::{TokenFn, token_fn};
pub(crate) use self::token_source::TokenSource;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
