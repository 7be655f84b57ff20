//! What is kept of a user's authorization.

mod file;
mod wire;

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use self::file::CredentialFile;
use self::wire::Wire;
use super::secret::Secret;
use super::{AccessToken, TokenError};
use crate::error::Error;

/// A user's authorization of an application: the refresh token, and what belongs to it.
///
/// A store of your own keeps it with serde. It is a secret as a whole: whoever has it, and the application's secret, is the
/// user. `{"refresh_token": "…"}` is enough to begin with. `Debug` shows neither token.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Credential {
    pub(super) refresh: Secret,
    /// The access token that came with it.
    pub(super) access: Option<Access>,
    /// Since when the refresh token is being exchanged for the next one. Nobody knows whether it is still good then.
    pub(super) exchanging_since: Option<SystemTime>,
}

/// An access token, and from when to when it is good.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub(super) token: AccessToken,
    pub(super) issued: SystemTime,
    pub(super) until: SystemTime,
}

impl Credential {
    /// From a refresh token, as the end of Box's authorization gives it.
    ///
    /// See <https://developer.box.com/guides/authentication/oauth2/>.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for an empty one.
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

/// Where a user's [`Credential`] is kept. [`CredentialFile`] keeps one in a file; a row of a database is another, whose
/// [`lock`](Self::lock) begins a transaction that keeps others from the row.
///
/// A refresh token works once, so one at a time uses it: all processes and machines that share the credential share the
/// store, and what keeps them apart is its lock.
///
/// A store says itself what may pass, by [`TokenError::transient`], and what does not, by [`TokenError::permanent`]. Errors
/// are shown and logged: their text must hold no secret.
#[async_trait]
pub trait CredentialStore: Send + Sync + 'static {
    /// Waits until nobody has the credential, and keeps everybody else from it until what it returns is dropped. The end of
    /// the process, by whatever cause, gives it free as well.
    ///
    /// # Errors
    ///
    /// Whatever leaves open whether it is locked.
    ///
    /// # Cancellation
    ///
    /// The future may be dropped; the credential is free then, or will be.
    async fn lock(&self) -> Result<Box<dyn LockedCredential>, TokenError>;
}

/// A credential that nobody else uses meanwhile.
#[async_trait]
pub trait LockedCredential: Send + Sync {
    /// The credential that was saved last.
    ///
    /// # Errors
    ///
    /// Where there is none, or it can't be read.
    async fn load(&mut self) -> Result<Credential, TokenError>;

    /// Keeps it in place of the one before, as a whole: after a crash at any moment the one before or the one after is there.
    /// It is durable when this returns.
    ///
    /// # Errors
    ///
    /// Whatever leaves it open whether it is durable.
    async fn save(&mut self, credential: &Credential) -> Result<(), TokenError>;
}

#[async_trait]
impl<S: CredentialStore + ?Sized> CredentialStore for Arc<S> {
    async fn lock(&self) -> Result<Box<dyn LockedCredential>, TokenError> {
        (**self).lock().await
    }
}
