//! Access tokens, and the grants that get them from Box.
//!
//! An access token lives 60 minutes. A client therefore takes its tokens from a [`TokenSource`],
//! which refreshes them. This module does not log users in: [`Credential::new`] takes the refresh
//! token that Box's authorization returned.
//!
//! Start from the row for your application, by its setup in [Box's developer console]:
//!
//! | the application has | use |
//! |---|---|
//! | a client id and a secret, for its service account or for users that it may act for | [`ClientCredentials`] |
//! | a user's refresh token, which works once | [`RefreshToken`], with a [`CredentialFile`] |
//! | a JSON configuration file with a key | `JwtBearer` (feature `jwt`) |
//! | a token that another program refreshes | [`token_fn`], or a [`TokenSource`] of your own |
//! | a token that is not refreshed, such as a downscoped one | [`AccessToken`] |
//!
//! [Box's developer console]: https://developer.box.com/guides/authentication/select/
//!
//! The first three build [`RefreshedTokens`], which refresh themselves over the transport that you
//! pass:
//!
//! ```no_run
//! use box_longpoll::auth::{ClientCredentials, Subject};
//! use box_longpoll::{HttpTransport, LongPollClient, StartAt};
//!
//! # async fn follow<T: HttpTransport + Clone>(
//! #     transport: T,
//! #     secret: String,
//! # ) -> Result<(), box_longpoll::Error> {
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
//! To act for another user with any of these tokens, call
//! [`as_user`](crate::LongPollClient::as_user) on the client.

pub(crate) mod access_token;
mod client_credentials;
mod credential;
mod endpoint;
mod error;
mod in_flight;
#[cfg(feature = "jwt")]
mod jwt_bearer;
mod refresh_token;
mod refreshed_tokens;
mod secret;
mod subject;
mod token_fn;
pub(crate) mod token_source;

pub(crate) use self::access_token::AccessToken;
pub use self::client_credentials::ClientCredentials;
pub use self::credential::{Credential, CredentialFile, CredentialStore, LockedCredential};
pub(crate) use self::error::without_newer_token;
pub use self::error::{TokenError, TokenErrorKind};
#[cfg(feature = "jwt")]
pub use self::jwt_bearer::{JwtAlgorithm, JwtBearer};
pub use self::refresh_token::RefreshToken;
pub use self::refreshed_tokens::RefreshedTokens;
pub use self::subject::Subject;
pub use self::token_fn::{TokenFn, token_fn};
pub(crate) use self::token_source::TokenSource;
