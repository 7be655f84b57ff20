//! Box's token endpoint: `POST /oauth2/token`.

mod answer;
mod form;

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Request};

pub(super) use self::answer::{Answered, Granted, Refusal, TokenFailure};
use self::answer::{read, unanswered};
pub(super) use self::form::Form;
use super::secret::Secret;
use crate::clock::Moment;
use crate::config::user_agent;
use crate::error::{Error, ensure};
use crate::hosts::{API_ORIGIN, api_origin};
use crate::pacing::date;
use crate::transport::{HttpTransport, TransportRequest, exchange};

/// As long as any call to Box's API.
const TIMEOUT: Duration = Duration::from_secs(60);

/// An answer has a few hundred bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// An application, by what Box's developer console gave it.
#[derive(Clone, Debug)]
pub(super) struct Application {
    pub(super) id: String,
    pub(super) secret: Secret,
    /// The origin of Box's API, as it was given.
    pub(super) api_origin: String,
}

impl Application {
    pub(super) fn new(id: String, secret: Secret) -> Self {
        Self {
            id,
            secret,
            api_origin: API_ORIGIN.to_owned(),
        }
    }

    /// Returns its token endpoint, if the application is complete.
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

/// The token endpoint, over an HTTP library.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) transport: Arc<dyn HttpTransport>,
    url: Arc<str>,
}

impl Endpoint {
    pub(super) fn now(&self) -> Moment {
        self.transport.now()
    }

    pub(super) async fn ask(&self, form: &Form<'_>) -> Answered {
        let request = Request::post(&*self.url)
            .header(USER_AGENT, user_agent())
            .header(
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-www-form-urlencoded"),
            )
            .body(form.body())
            .expect("the API origin was checked");
        let request = TransportRequest::new(request, TIMEOUT, MAX_ANSWER);
        match exchange(&self.transport, request).await {
            Ok(answer) => {
                let server_time = date(answer.headers());
                (read(answer, form), server_time)
            }
            Err(error) => (Err(unanswered(error)), None),
        }
    }
}
