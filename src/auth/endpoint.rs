//! Box's token endpoint: `POST /oauth2/token`.
//!
//! All grants send their requests through [`Endpoint::post`]. It sends each request once.
//! [`RefreshedTokens`](super::RefreshedTokens) retries and caches. `form` writes the request, and
//! `response` reads the response.

mod form;
mod response;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Request};

pub(super) use self::form::Form;
pub(super) use self::response::{Granted, Refusal, TokenFailure, TokenResponse};
use self::response::{read, without_response};
use super::secret::Secret;
use crate::clock::Moment;
use crate::config::user_agent;
use crate::error::{Error, ensure};
use crate::hosts::{API_ORIGIN, api_origin};
use crate::pacing::date;
use crate::transport::{HttpTransport, TransportRequest, exchange};

/// The time limit of a request, 60 s: the same as for every call to Box's API.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The longest response that is read, 64 KiB. A usual one has a few hundred bytes.
const MAX_RESPONSE: usize = 64 * 1024;

/// An application's id and secret, from Box's developer console.
#[derive(Clone)]
pub(super) struct Application {
    pub(super) id: String,
    pub(super) secret: Secret,
    /// The origin of Box's API, not checked yet.
    pub(super) api_origin: String,
}

/// Shows the id alone: an origin that is not checked yet may hold a password.
impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Application").field(&self.id).finish()
    }
}

impl Application {
    pub(super) fn new(id: String, secret: Secret) -> Self {
        Self {
            id,
            secret,
            api_origin: API_ORIGIN.to_owned(),
        }
    }

    /// Returns the token endpoint of the application, or an error if the id or the secret is empty
    /// or the origin is not allowed.
    pub(super) fn endpoint(&self, transport: impl HttpTransport) -> Result<Endpoint, Error> {
        ensure(!self.id.is_empty(), "the client id must not be empty")?;
        let secret = self.secret.text();
        ensure(!secret.is_empty(), "the client secret must not be empty")?;
        let origin = api_origin(&self.api_origin)?;
        Ok(Endpoint {
            transport: Arc::new(transport),
            url: format!("{origin}/oauth2/token").into(),
        })
    }
}

/// The token endpoint, and the transport that reaches it.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) transport: Arc<dyn HttpTransport>,
    url: Arc<str>,
}

impl Endpoint {
    pub(super) fn now(&self) -> Moment {
        self.transport.now()
    }

    /// Sends one request, and reads its response.
    pub(super) async fn post(&self, form: &Form<'_>) -> TokenResponse {
        let request = Request::post(&*self.url)
            .header(USER_AGENT, user_agent())
            .header(
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-www-form-urlencoded"),
            )
            .body(form.body())
            .expect("the API origin was checked");
        let request = TransportRequest::new(request, TIMEOUT, MAX_RESPONSE);
        match exchange(&self.transport, request).await {
            Ok(response) => {
                let server_time = date(response.headers());
                (read(response, form), server_time)
            }
            Err(error) => (Err(without_response(error)), None),
        }
    }
}
