//! [`Webhook`]: events as HTTP requests, by the rules of Standard Webhooks.
//!
//! Each request is a POST of one event, or of an array of events, and a status of 2xx acknowledges
//! it. The requests go through the transport that also talks to Box. Errors show the origin of the
//! URL alone: its path, its query, its user and its password may be secrets.
//!
//! The rules: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

mod endpoint;
mod signing;

use std::num::NonZeroUsize;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use box_longpoll::Event;
use box_longpoll::transport::{TransportError, TransportErrorKind, TransportRequest};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, Request, Response, StatusCode};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

pub(crate) use self::endpoint::Endpoint;
pub(crate) use self::signing::SigningSecrets;
use super::{Failure, Page, Sink, SinkError};
use crate::account::Transport;
use crate::output::Format;

/// The longest body of a response, in bytes. The program does not use it.
const MAX_RESPONSE: usize = 1024 * 1024;

/// The longest pause that a receiver may demand. After it, the program tries again.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// The longest id of an event that is sent unchanged as the id of a webhook, in bytes. Box's ids
/// have up to 40.
const LONGEST_ID: usize = 128;

/// A receiver of webhooks. Events are with it once it has acknowledged them.
pub(crate) struct Webhook {
    pub(crate) transport: Transport,
    pub(crate) endpoint: Endpoint,
    /// Without a secret, requests are not signed.
    pub(crate) secrets: Option<SigningSecrets>,
    /// A format that is JSON.
    pub(crate) format: Format,
    /// The maximum number of events in a request, which then has an array. Without it, a request
    /// has one event.
    pub(crate) batch: Option<NonZeroUsize>,
    /// The time limit of a request.
    pub(crate) timeout: Duration,
}

#[async_trait]
impl Sink for Webhook {
    /// Sends request after request, so that the events arrive in order.
    async fn write(&mut self, page: Page<'_>) -> Result<(), SinkError> {
        let mut written = 0;
        for events in page.events.chunks(self.batch.map_or(1, NonZeroUsize::get)) {
            let response = self.post(events).await;
            self.check(response, written)?;
            written += events.len();
        }
        Ok(())
    }

    fn time_limit(&self) -> Duration {
        self.timeout
    }
}

impl Webhook {
    /// Sends one request, and returns the response with any status.
    pub(crate) async fn post(&self, events: &[Event]) -> Result<Response<Bytes>, TransportError> {
        let request = TransportRequest::new(self.request(events), self.timeout, MAX_RESPONSE);
        timeout(self.timeout, self.transport.send(request))
            .await
            .unwrap_or_else(|_| Err(TransportError::new(TransportErrorKind::Timeout)))
    }

    /// Returns an error if a response is none that acknowledges the events. The first `written`
    /// events of the page were acknowledged before.
    pub(crate) fn check(
        &self,
        response: Result<Response<Bytes>, TransportError>,
        written: usize,
    ) -> Result<(), SinkError> {
        let origin = self.endpoint.origin();
        let response = match response {
            Ok(response) => response,
            Err(error) => {
                let kind = kind_of_error(error.kind());
                return Err(SinkError::new(kind, written, origin).because(error));
            }
        };
        let status = response.status();
        let Some(kind) = kind_of_status(status) else {
            return Ok(());
        };
        let meaning = match status {
            StatusCode::GONE => ": the receiver wants no more events",
            _ => "",
        };
        let error = SinkError::new(kind, written, format!("{origin}: {status}{meaning}"));
        Err(error.retry_after(retry_after(response.headers())))
    }

    fn request(&self, events: &[Event]) -> Request<Bytes> {
        let body = self.body(events);
        let id = self.id(events);
        // The time of this attempt, so that a receiver can refuse an old request that is repeated.
        let timestamp = Timestamp::now().as_second();
        let signature = self
            .secrets
            .as_ref()
            .map(|secrets| secrets.sign(&id, timestamp, &body));
        let mut request = Request::post(self.endpoint.uri())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("box-tail/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp);
        if let Some(signature) = signature {
            request = request.header("webhook-signature", signature);
        }
        if let Some(authorization) = self.endpoint.authorization() {
            request = request.header(AUTHORIZATION, authorization);
        }
        let body = Bytes::from(body);
        request
            .body(body)
            .expect("the URL and all headers are valid")
    }

    fn body(&self, events: &[Event]) -> String {
        let payloads = events.iter().map(|event| self.payload(event));
        match self.batch {
            Some(_) => format!("[{}]", payloads.collect::<Vec<_>>().join(",")),
            None => payloads.collect(),
        }
    }

    /// Returns the JSON for an event. Its `data` is the text that Box sent, byte for byte, so a
    /// number in it keeps its digits.
    fn payload(&self, event: &Event) -> String {
        let string = |text: &str| serde_json::Value::from(text).to_string();
        let kind = event.event_type().map_or("unknown", |kind| kind.as_str());
        let timestamp = event
            .created_at()
            .map(|time| format!(r#""timestamp":"{time}","#));
        format!(
            r#"{{"type":{},{}"data":{}}}"#,
            string(kind),
            timestamp.unwrap_or_default(),
            self.format.line(event),
        )
    }

    /// Returns the id of a request: the same for each attempt to send the same events.
    fn id(&self, events: &[Event]) -> String {
        match events {
            [event] if self.batch.is_none() => event_id(event),
            _ => {
                let ids: Vec<String> = events.iter().map(event_id).collect();
                format!("batch_{}", hash(&ids.join("\n")))
            }
        }
    }
}

/// Returns the id of an event, or a hash if it has none that is safe in a header and in the text
/// that is signed. Full stops separate the parts of that text.
fn event_id(event: &Event) -> String {
    let is_safe = |id: &&str| {
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(is_safe)
    };
    match event.id() {
        Some(id) if is_safe(&id) => id.to_owned(),
        Some(id) => format!("id_{}", hash(id)),
        None => format!("event_{}", hash(event.raw())),
    }
}

fn hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text.as_bytes()))
}

/// Returns the kind of the failure that a status stands for, or `None` if it acknowledges.
fn kind_of_status(status: StatusCode) -> Option<Failure> {
    Some(match status {
        _ if status.is_success() => return None,
        StatusCode::GONE => Failure::Permanent,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Failure::Unavailable
        }
        _ if status.is_server_error() => Failure::Unavailable,
        _ => Failure::Refused,
    })
}

fn kind_of_error(kind: TransportErrorKind) -> Failure {
    match kind {
        // A response came, and the next one would be as large.
        TransportErrorKind::BodyTooLarge => Failure::Refused,
        TransportErrorKind::InvalidRequest | TransportErrorKind::Runtime => Failure::Permanent,
        _ => Failure::Unavailable,
    }
}

/// Returns the time that a receiver demands to wait, as seconds or as a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?;
    let seconds = value.parse().ok().map(Duration::from_secs);
    let pause = seconds.or_else(|| time_until(value))?;
    Some(pause.min(LONGEST_RETRY_AFTER))
}

/// Returns the time until a date of HTTP. A date that has passed means now.
fn time_until(date: &str) -> Option<Duration> {
    let date = rfc2822::parse(date).ok()?.timestamp();
    let pause = date.duration_since(Timestamp::now());
    Some(pause.try_into().unwrap_or(Duration::ZERO))
}
