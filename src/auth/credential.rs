//! A user's credential, and the contract of its store.
//!
//! A refresh token works once, so its successor must be stored before anything uses it.
//! [`Credential`] is the stored data, and [`CredentialStore`] is the contract with the store.
//! [`CredentialFile`] is the store of this crate. This module does not talk to Box.

mod file;
mod wire;

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use self::file::CredentialFile;
use self::wire::CredentialWire;
use super::secret::Secret;
use super::{AccessToken, TokenError};
use crate::error::Error;

/// A user's authorization of an application: the refresh token and the current access token.
///
/// To keep it in a store of your own, serialize it with serde. The shortest credential is
/// `{"refresh_token": "…"}`. Keep all of it secret: anybody who has it and the application's secret
/// has the user's rights. `Debug` shows neither token.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "CredentialWire", into = "CredentialWire")]
pub struct Credential {
    /// The refresh token.
    pub(super) refresh: Secret,
    /// The access token from the same response.
    pub(super) access: Option<Access>,
    /// The time at which an exchange of the refresh token began, if its outcome is unknown. The
    /// token may no longer work then.
    pub(super) exchanging_since: Option<SystemTime>,
}

/// An access token, and the time in which it is valid.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub(super) token: AccessToken,
    pub(super) issued: SystemTime,
    pub(super) until: SystemTime,
}

impl Credential {
    /// Creates a credential from the refresh token that Box returned when the user authorized the
    /// application.
    ///
    /// See <https://developer.box.com/guides/authentication/oauth2/>.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Config`](crate::ErrorKind::Config) if the token is empty.
    pub fn new(refresh_token: impl Into<String>) -> Result<Self, Error> {
        let refresh_token = refresh_token.into();
        if refresh_token.is_empty() {
            return Err(Error::config("the refresh token must not be empty"));
        }
        Ok(Self {
            refresh: Secret::new(refresh_token),
            access: None,
            exchanging_since: None,
        })
    }

    pub(super) fn refresh_token(&self) -> &str {
        self.refresh.text()
    }
}

/// A store of a user's [`Credential`].
///
/// [`CredentialFile`] stores it in a file. A store of your own may use a row of a database:
/// [`lock`](Self::lock) then begins a transaction that locks the row.
///
/// A refresh token works once, so only one process or task may exchange it at a time. All processes
/// and machines that use the credential share the store, and its lock admits one of them at a time.
///
/// The store decides which of its errors are retried. Return [`TokenError::transient`] for failures
/// that a retry may resolve, and [`TokenError::permanent`] for all others. Errors are shown and
/// logged, so their text must contain no secret.
#[async_trait]
pub trait CredentialStore: Send + Sync + 'static {
    /// Waits for the lock of the credential, and acquires it.
    ///
    /// The lock is held until the returned value is dropped. It must also be released when the
    /// process ends for any reason.
    ///
    /// # Errors
    ///
    /// Returns an error if the store can't be sure that it holds the lock.
    ///
    /// # Cancellation
    ///
    /// The future may be dropped at any time. The lock is then free, or is released soon after.
    async fn lock(&self) -> Result<Box<dyn LockedCredential>, TokenError>;
}

/// A credential whose lock is held. Dropping this value releases the lock.
#[async_trait]
pub trait LockedCredential: Send + Sync {
    /// Returns the credential that was saved last.
    ///
    /// # Errors
    ///
    /// Returns an error if the store has no credential, or can't read it.
    async fn load(&mut self) -> Result<Credential, TokenError>;

    /// Replaces the stored credential atomically.
    ///
    /// After a crash at any moment, the store must have either the old or the new credential. The
    /// new one must be durable when this returns.
    ///
    /// # Errors
    ///
    /// Returns an error if the store can't be sure that the new credential is durable.
    async fn save(&mut self, credential: &Credential) -> Result<(), TokenError>;
}

#[async_trait]
impl<S: CredentialStore + ?Sized> CredentialStore for Arc<S> {
    async fn lock(&self) -> Result<Box<dyn LockedCredential>, TokenError> {
        (**self).lock().await
    }
}
