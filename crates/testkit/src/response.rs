//! Responses of the emulator, and the ways in which they go over the wire.
//!
//! A response says how much of it is delivered, so a fault can cut it or delay it. Nothing is sent
//! here: the emulator makes these values, and `wire` sends them. Start from [`Reply`].

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Request;

/// The emulator's decision about a request: a response, or a hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Occurs when the emulator responds at once. The server sends the response.
    Respond(FakeResponse),
    /// Occurs when a request is held open. The server calls
    /// [`Emulator::resume`](crate::Emulator::resume) at `until`, and when
    /// [`Emulator::take_ready`](crate::Emulator::take_ready) names the request. It calls
    /// [`Emulator::hang_up`](crate::Emulator::hang_up) when the client disconnects.
    Hold {
        /// The held request.
        id: HoldId,
        /// The time of the response if nothing happens before that. `None` if the request is held
        /// until the client disconnects.
        until: Option<Instant>,
    },
}

/// The identifier of a held request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldId(pub(crate) u64);

/// An HTTP response, and how it goes over the wire.
///
/// The headers do not contain `content-length` and `connection`. Those follow from `body`, `close`
/// and `delivery`.
#[derive(Clone, Debug, PartialEq)]
pub struct FakeResponse {
    /// The HTTP status.
    pub status: u16,
    /// The headers in order, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The complete body, even if `delivery` sends only a part of it.
    pub body: Vec<u8>,
    /// `true` if the connection is closed after the response.
    pub close: bool,
    /// The way in which it is sent, and the part that is sent.
    pub delivery: Delivery,
    /// `true` if the server compresses the body before it sends the response.
    pub(crate) is_to_be_compressed: bool,
    /// A page whose events count as sent only after its last byte was sent.
    pub(crate) dripping: Option<Dripping>,
}

/// A page that is sent so slowly that its client may disconnect before the end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dripping {
    /// The key of the caller's session.
    pub(crate) caller: String,
    /// The number of the request in the request log.
    pub(crate) record: u64,
    /// The number of events in the log up to the end of the page.
    pub(crate) end: u64,
    /// The number of events that the caller had not been sent before.
    pub(crate) new_events: usize,
}

/// The way in which a response goes over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The complete response is sent.
    Complete,
    /// The connection is closed, with FIN, before the first byte.
    CloseBeforeHeaders,
    /// The connection is reset (RST) before the first byte.
    Reset,
    /// The connection is closed inside the headers.
    CutHeaders,
    /// `content-length` counts the complete body, and the connection is closed after half of it.
    CutBody,
    /// `content-length` counts the complete body, and the connection is reset after half of it.
    ResetBody,
    /// The body is chunked, and the connection is closed inside a chunk.
    CutChunk,
    /// The complete response is sent, and the connection stays open until the client closes it.
    NeverClose,
    /// The complete response is sent, one byte at a time.
    Drip {
        /// The pause between two bytes.
        interval: Duration,
    },
    /// Only the head is sent, with the length of the body. This is the response to a `HEAD`
    /// request.
    WithoutBody,
    /// The body is chunked. Endless spaces follow it until the client disconnects.
    Endless,
}

impl FakeResponse {
    /// Makes a response with a JSON body.
    #[must_use]
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "application/json", body)
    }

    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("content-type".into(), content_type.into())],
            body: body.into(),
            close: false,
            delivery: Delivery::Complete,
            is_to_be_compressed: false,
            dripping: None,
        }
    }

    /// Makes a response without a body.
    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            close: false,
            delivery: Delivery::Complete,
            is_to_be_compressed: false,
            dripping: None,
        }
    }

    /// Makes an error response in Box's format.
    pub(crate) fn box_error(status: u16, code: &str, message: &str, context_info: &Value) -> Self {
        let body = json!({
            "type": "error",
            "status": status,
            "code": code,
            "context_info": context_info,
            "help_url": "http://developers.box.com/docs/#errors",
            "message": message,
            // Box sends a new ID with each response. A constant lets tests compare responses.
            "request_id": "abcdef123456",
        });
        Self::json(status, body.to_string())
    }

    /// Makes Box's 400 for a query parameter that can't be read.
    pub(crate) fn invalid_parameter(name: &str, value: &str) -> Self {
        let message = format!("Invalid value '{value}'.");
        let context =
            json!({"errors": [{"reason": "invalid_parameter", "name": name, "message": message}]});
        Self::box_error(
            400,
            "invalid_parameter",
            &format!("Invalid value for '{name}'"),
            &context,
        )
    }

    /// Makes Box's 400 for a `created_after` before the events that `admin_logs` keeps.
    pub(crate) fn created_after_is_too_old() -> Self {
        let message = "created_after is beyond one year in the past";
        let context = json!({"errors": [{"reason": "invalid_parameter", "name": "created_after", "message": message}]});
        Self::box_error(400, "bad_request", message, &context)
    }

    /// Makes Box's 401. Box also sends it without a body, so both forms are possible.
    pub(crate) fn unauthorized(with_body: bool) -> Self {
        let response = if with_body {
            Self::box_error(401, "unauthorized", "Unauthorized", &json!({}))
        } else {
            Self::empty(401)
        };
        response.header(
            "www-authenticate",
            "Bearer realm=\"Service\", error=\"invalid_token\", error_description=\"The access token provided is invalid.\"",
        )
    }

    /// Makes Box's 429 with this `retry-after`.
    pub(crate) fn rate_limited(retry_after: &str) -> Self {
        let message = "Request rate limit exceeded, please try again later";
        Self::box_error(429, "rate_limit_exceeded", message, &json!({}))
            .header("retry-after", retry_after)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the delivery.
    pub(crate) fn delivered(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }

    /// Adapts the response to the request: a `HEAD` request gets no body.
    pub(crate) fn to(self, request: &Request) -> Self {
        if request.method() == "HEAD" {
            self.delivered(Delivery::WithoutBody)
        } else {
            self
        }
    }

    /// Closes the connection after the response.
    pub(crate) fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// Returns the value of the first header with this name, which is compared without regard to
    /// case.
    #[must_use]
    pub fn header_value(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

impl Reply {
    /// Returns the response, or `None` if the request is held.
    #[must_use]
    pub fn response(self) -> Option<FakeResponse> {
        match self {
            Self::Respond(response) => Some(response),
            Self::Hold { .. } => None,
        }
    }
}
