//! The grant of an application that has an id and a secret.

use std::sync::Arc;

use async_trait::async_trait;

use super::endpoint::{Application, Endpoint, Form, TokenFailure};
use super::renewal::{Grant, Issued, RefreshedTokens};
use super::secret::Secret;
use super::{AccessToken, Subject, TokenError, TokenErrorKind};
use crate::error::Error;
use crate::transport::HttpTransport;

/// The client credentials grant: an application with a client id and secret, for its service account or for a user.
///
/// See <https://developer.box.com/guides/authentication/client-credentials/>.
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientCredentials {
    application: Application,
    subject: Subject,
}

impl ClientCredentials {
    /// Takes the id and the secret as Box's developer console shows them. The secret is zeroed when it is dropped, and
    /// never shown.
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

    /// Where Box's API is; see [`LongPollClientBuilder::api_origin`](crate::LongPollClientBuilder::api_origin).
    pub fn api_origin(mut self, origin: impl Into<String>) -> Self {
        self.application.api_origin = origin.into();
        self
    }

    /// The token source. Nothing is sent before the first token is needed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for an id or a secret that is empty, and for an origin that is not
    /// `https` or loopback.
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
        let asked = endpoint.now();
        match endpoint.ask(&form).await.0 {
            Ok(granted) => Ok(Issued::new(granted.access, asked, granted.life)),
            Err(TokenFailure::Refused(refusal)) if refusal.code == "invalid_grant" => Err(refusal.says(
                TokenErrorKind::InvalidGrant,
                &format!(
                    "Box refuses a token for {}; look up its id, and whether the application may use client credentials",
                    self.subject
                ),
            )),
            Err(why) => Err(why.into()),
        }
    }

    fn subject(&self) -> Option<&Subject> {
        Some(&self.subject)
    }
}
