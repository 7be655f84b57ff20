//! Box's token endpoint: `POST /oauth2/token`.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, DATE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use url::form_urlencoded;
use zeroize::{Zeroize as _, Zeroizing};

use super::secret::{Secret, without_secret};
use super::{AccessToken, TokenError, TokenErrorKind};
use crate::config::{self, require};
use crate::error::{Error, ErrorKind, quote};
use crate::protocol::retry_after;
use crate::transport::{
    HttpTransport, Moment, TransportError, TransportErrorKind, TransportRequest, exchange,
};

/// As long as any call to Box's API.
const TIMEOUT: Duration = Duration::from_secs(60);

/// An answer has a few hundred bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// What Box's tokens live, where an answer doesn't say.
const USUAL_LIFE: Duration = Duration::from_secs(60 * 60);

/// A day: what claims to live longer is asked for anew all the same.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// Where Box's API is, as it was given.
#[derive(Clone)]
pub(super) struct Origin(String);

impl Default for Origin {
    fn default() -> Self {
        Self(config::API_ORIGIN.to_owned())
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
        require(!self.id.is_empty(), "the client id must not be empty")?;
        let secret = self.secret.text();
        require(!secret.is_empty(), "the client secret must not be empty")
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
        let origin = config::api_origin(&origin.0)?;
        Ok(Self {
            transport,
            url: format!("{origin}/oauth2/token").into(),
        })
    }

    pub(super) fn now(&self) -> Moment {
        self.transport.now()
    }

    /// Its URL, which is what an assertion is made for.
    #[cfg(feature = "jwt")]
    pub(super) fn audience(&self) -> &str {
        &self.url
    }

    pub(super) async fn ask(&self, form: &Form<'_>) -> Answered {
        let request = Request::builder()
            .method(Method::POST)
            .uri(&*self.url)
            .header(USER_AGENT, config::user_agent())
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

/// The fields of a request.
pub(super) struct Form<'a> {
    fields: Vec<(&'static str, &'a str)>,
    secrets: Vec<&'a str>,
}

impl<'a> Form<'a> {
    pub(super) fn new(grant_type: &'a str, application: &'a Application) -> Self {
        Self {
            fields: vec![("grant_type", grant_type), ("client_id", &application.id)],
            secrets: Vec::new(),
        }
        .with_secret("client_secret", application.secret.text())
    }

    pub(super) fn with(mut self, name: &'static str, value: &'a str) -> Self {
        self.fields.push((name, value));
        self
    }

    pub(super) fn with_secret(mut self, name: &'static str, value: &'a str) -> Self {
        self.secrets.push(value);
        self.with(name, value)
    }

    /// Zeroed when its last copy is dropped. There is room for all of it from the start: what grows leaves copies behind.
    fn body(&self) -> Bytes {
        let room = |(name, value): &(&str, &str)| name.len() + 3 * value.len() + 2;
        let text = String::with_capacity(self.fields.iter().map(room).sum());
        let mut text = form_urlencoded::Serializer::new(text);
        text.extend_pairs(&self.fields);
        Bytes::from_owner(Zeroizing::new(text.finish().into_bytes()))
    }

    /// A server's text, fit to be shown: it may repeat what it was sent, as it stands or as it was sent.
    fn shown(&self, text: &str) -> String {
        let scrub = |text: String, secret: &&str| {
            let encoded: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
            let text = without_secret(&text, &encoded, "[secret]");
            without_secret(&text, secret, "[secret]")
        };
        quote(&self.secrets.iter().fold(text.to_owned(), scrub))
    }
}

/// What came of a request.
pub(super) struct Answered {
    pub(super) outcome: Result<Granted, NoTokens>,
    /// The answer's `Date`.
    #[cfg_attr(
        not(feature = "jwt"),
        expect(dead_code, reason = "assertions alone go by it")
    )]
    pub(super) server_time: Option<SystemTime>,
}

/// What Box gave.
pub(super) struct Granted {
    pub(super) access: AccessToken,
    pub(super) life: Duration,
    pub(super) refresh: Option<Secret>,
}

/// Why Box gave none.
pub(super) enum NoTokens {
    /// Box has seen nothing of the request.
    NotSent(TokenError),
    /// Box may have acted on the request.
    Unanswered(TokenError),
    /// Box has not acted on it, and says why.
    Refused(Refusal),
}

/// A refusal, in OAuth's words.
pub(super) struct Refusal {
    pub(super) code: String,
    /// What Box says about it, fit to be shown.
    pub(super) description: Option<String>,
}

impl Refusal {
    /// What it means, and what to do.
    pub(super) fn says(&self, kind: TokenErrorKind, sentence: &str) -> TokenError {
        let said = match &self.description {
            Some(description) => format!("{}: {description}", self.code),
            None => self.code.clone(),
        };
        TokenError::new(kind, format!("{sentence} ({said})"))
    }
}

impl From<NoTokens> for TokenError {
    fn from(why: NoTokens) -> Self {
        let refusal = match why {
            NoTokens::NotSent(error) | NoTokens::Unanswered(error) => return error,
            NoTokens::Refused(refusal) => refusal,
        };
        let (kind, sentence) = match &*refusal.code {
            "invalid_client" => (
                TokenErrorKind::InvalidClient,
                "Box does not take the client id and secret; compare them with those in the developer console",
            ),
            "unauthorized_client" => (
                TokenErrorKind::NotAuthorized,
                "Box does not let this application have a token; an administrator has to authorize it, and to do so again after a change",
            ),
            "invalid_grant" => (TokenErrorKind::InvalidGrant, "Box refuses the grant"),
            _ => (
                TokenErrorKind::Permanent,
                "Box refuses such a request; look up whether the application is set up for this grant in the developer console",
            ),
        };
        refusal.says(kind, sentence)
    }
}

#[derive(Deserialize)]
struct GrantedWire<'a> {
    #[serde(borrow)]
    access_token: Cow<'a, str>,
    #[serde(default)]
    expires_in: Value,
    #[serde(borrow)]
    refresh_token: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct RefusedWire {
    error: String,
    error_description: Option<String>,
}

fn read(answer: Response<Bytes>, form: &Form<'_>) -> Result<Granted, NoTokens> {
    let status = answer.status();
    let wait = retry_after(answer.headers());
    let body = answer.into_body();
    if status.is_success() {
        let granted = granted(&body);
        wipe(body);
        return granted.ok_or_else(|| {
            let foreign = "what answers at Box's token endpoint gives no token";
            NoTokens::Unanswered(TokenError::transient(foreign))
        });
    }
    let may_pass = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
    if status.is_client_error()
        && !may_pass
        && let Ok(refused) = serde_json::from_slice::<RefusedWire>(&body)
    {
        return Err(NoTokens::Refused(Refusal {
            code: form.shown(&refused.error),
            description: refused.error_description.map(|text| form.shown(&text)),
        }));
    }
    let failed = format!("Box's token endpoint answered {}", status.as_u16());
    Err(NoTokens::Unanswered(
        TokenError::transient(failed).with_retry_after(wait),
    ))
}

fn granted(body: &[u8]) -> Option<Granted> {
    let wire: GrantedWire<'_> = serde_json::from_slice(body).ok()?;
    let seconds = match &wire.expires_in {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let life = seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|life| !life.is_zero());
    Some(Granted {
        access: AccessToken::new(&wire.access_token).ok()?,
        life: life.unwrap_or(USUAL_LIFE).min(LONGEST_LIFE),
        refresh: wire
            .refresh_token
            .filter(|token| !token.is_empty())
            .map(|token| Secret::new(token.into_owned())),
    })
}

/// Zeroes an answer, where no library keeps a part of it.
fn wipe(body: Bytes) {
    if let Ok(mut body) = body.try_into_mut() {
        body.as_mut().zeroize();
    }
}

fn unanswered(error: TransportError) -> NoTokens {
    let kind = error.kind();
    let detail = format!("no answer from Box's token endpoint: {error}");
    let error = Error::new(ErrorKind::Transport, detail).with_source(error);
    match kind {
        TransportErrorKind::Connect | TransportErrorKind::Tls => {
            NoTokens::NotSent(TokenError::transient(error))
        }
        TransportErrorKind::Runtime | TransportErrorKind::InvalidRequest => {
            NoTokens::NotSent(TokenError::permanent(error))
        }
        _ => NoTokens::Unanswered(TokenError::transient(error)),
    }
}

fn date(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?.trim()).ok()
}
