//! The grant of an application that has an id and a secret.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::endpoint::{Application, Endpoint, Form, Origin, TokenFailure};
use super::renewal::{Grant, Issued, RefreshedTokens};
use super::{AccessToken, Subject, TokenError, TokenErrorKind};
use crate::error::Error;
use crate::transport::HttpTransport;

/// The client credentials grant: an application with a client id and secret, for its service account or for a user.
///
/// See <https://developer.box.com/guides/authentication/client-credentials/>.
#[derive(Clone)]
#[must_use]
pub struct ClientCredentials {
    application: Application,
    subject: Subject,
    origin: Origin,
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
            application: Application::new(client_id.into(), client_secret.into()),
            subject,
            origin: Origin::default(),
        }
    }

    /// Where Box's API is; see [`LongPollClientBuilder::api_origin`](crate::LongPollClientBuilder::api_origin).
    pub fn api_origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Origin::at(origin);
        self
    }

    /// The token source. Nothing is sent before the first token is needed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for an id or a secret that is empty, and for an origin that is not
    /// `https` or loopback.
    pub fn tokens(self, transport: impl HttpTransport) -> Result<RefreshedTokens, Error> {
        self.application.check()?;
        self.subject.check()?;
        let endpoint = Endpoint::new(Arc::new(transport), &self.origin)?;
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
        match endpoint.ask(&form).await.outcome {
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

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials")
            .field("client_id", &self.application.id)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}
