//! The client credentials grant.
//!
//! [`ClientCredentials`] requests tokens with the application's id and secret. It caches no token:
//! [`RefreshedTokens`] does that.

use std::sync::Arc;

use async_trait::async_trait;

use super::endpoint::{Application, Endpoint, Form, TokenFailure};
use super::refreshed_tokens::{Grant, Issued, RefreshedTokens};
use super::secret::Secret;
use super::{AccessToken, Subject, TokenError, TokenErrorKind};
use crate::error::Error;
use crate::transport::HttpTransport;

/// The client credentials grant, for the service account of an application or for a user.
///
/// The application needs a client id and a secret.
///
/// See <https://developer.box.com/guides/authentication/client-credentials/>.
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientCredentials {
    application: Application,
    subject: Subject,
}

impl ClientCredentials {
    /// Creates the grant from the id and the secret that Box's developer console shows.
    ///
    /// The secret is never shown, and is zeroed when it is dropped.
    pub fn new(
        client_id: impl Into<String>,
        client_secret: impl Into<String>,
        subject: Subject,
    ) -> Self {
        Self {
            application: Application::new(client_id.into(), Secret::new(client_secret.into())),
            subject,
        }
    }

    /// Sets the origin of Box's API. Default: `https://api.box.com`; see
    /// [`LongPollClientBuilder::api_origin`](crate::LongPollClientBuilder::api_origin).
    pub fn api_origin(mut self, origin: impl Into<String>) -> Self {
        self.application.api_origin = origin.into();
        self
    }

    /// Builds the token source. It sends nothing until the first token is needed.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Config`](crate::ErrorKind::Config) in these cases:
    ///
    /// - The client id or the secret is empty.
    /// - The subject's id is empty or not visible ASCII.
    /// - The origin is neither `https` nor loopback.
    pub fn tokens(self, transport: impl HttpTransport) -> Result<RefreshedTokens, Error> {
        let endpoint = self.application.endpoint(transport)?;
        self.subject.check()?;
        Ok(RefreshedTokens::new(endpoint, Arc::new(self)))
    }
}

#[async_trait]
impl Grant for ClientCredentials {
    async fn obtain(
        &self,
        endpoint: &Endpoint,
        _old: Option<&AccessToken>,
    ) -> Result<Issued, TokenError> {
        let form = Form::new("client_credentials", &self.application)
            .with("box_subject_type", self.subject.kind())
            .with("box_subject_id", self.subject.id());
        let requested = endpoint.now();
        match endpoint.post(&form).await.0 {
            Ok(granted) => Ok(Issued::new(granted.access, requested, granted.life)),
            Err(TokenFailure::Refused(refusal)) if refusal.code == "invalid_grant" => Err(refusal.to_error(
                TokenErrorKind::InvalidGrant,
                &format!(
                    "Box refuses a token for {}: check its id, and check that the application may use client credentials",
                    self.subject
                ),
            )),
            Err(failure) => Err(failure.into()),
        }
    }

    fn subject(&self) -> Option<&Subject> {
        Some(&self.subject)
    }
}
