//! Box's token endpoint: `POST /oauth2/token`.

mod answer;
mod form;

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Method, Request};

pub(super) use self::answer::{Answered, Granted, Refusal, TokenFailure};
use self::answer::{date, read, unanswered};
pub(super) use self::form::Form;
use super::secret::Secret;
use crate::clock::Moment;
use crate::config::user_agent;
use crate::error::{Error, ensure};
use crate::hosts::{API_ORIGIN, api_origin};
use crate::transport::{HttpTransport, TransportRequest, exchange};

/// As long as any call to Box's API.
const TIMEOUT: Duration = Duration::from_secs(60);

/// An answer has a few hundred bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// Where Box's API is, as it was given.
#[derive(Clone)]
pub(super) struct Origin(String);

impl Default for Origin {
    fn default() -> Self {
        Self(API_ORIGIN.to_owned())
    }
}

impl Origin {
    pub(super) fn at(origin: impl Into<String>) -> Self {
        Self(origin.into())
    }
}

/// An application, by what Box's developer console gave it.
#[derive(Clone)]
pub(super) struct Application {
    pub(super) id: String,
    pub(super) secret: Secret,
}

impl Application {
    pub(super) fn new(id: String, secret: String) -> Self {
        Self {
            id,
            secret: Secret::new(secret),
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        ensure(!self.id.is_empty(), "the client id must not be empty")?;
        let secret = self.secret.text();
        ensure(!secret.is_empty(), "the client secret must not be empty")
    }
}

/// The token endpoint, over an HTTP library.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) transport: Arc<dyn HttpTransport>,
    url: Arc<str>,
}

impl Endpoint {
    pub(super) fn new(transport: Arc<dyn HttpTransport>, origin: &Origin) -> Result<Self, Error> {
        let origin = api_origin(&origin.0)?;
        Ok(Self {
            transport,
            url: format!("{origin}/oauth2/token").into(),
        })
    }

    pub(super) fn now(&self) -> Moment {
        self.transport.now()
    }

    pub(super) async fn ask(&self, form: &Form<'_>) -> Answered {
        let request = Request::builder()
            .method(Method::POST)
            .uri(&*self.url)
            .header(USER_AGENT, user_agent())
            .header(
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-www-form-urlencoded"),
            )
            .body(form.body())
            .expect("the API origin was checked");
        let request = TransportRequest::new(request, TIMEOUT, MAX_ANSWER);
        match exchange(&self.transport, request).await {
            Ok(answer) => Answered {
                server_time: date(answer.headers()),
                outcome: read(answer, form),
            },
            Err(error) => Answered {
                server_time: None,
                outcome: Err(unanswered(error)),
            },
        }
    }
}
