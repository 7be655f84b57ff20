use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Request;

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Occurs when there is something to say at once. The server sends it.
    Answer(Answer),
    /// Occurs when a request is held open. The server calls [`Emulator::resume`](crate::Emulator::resume) when `until`
    /// comes or when [`Emulator::take_ready`](crate::Emulator::take_ready) names it, and
    /// [`Emulator::hang_up`](crate::Emulator::hang_up) when the client goes away.
    Hold {
        /// The held request.
        id: HoldId,
        /// When an answer is due in any case; `None` when only the client's going away ends it.
        until: Option<Instant>,
    },
}

/// Names a held request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldId(pub(crate) u64);

/// An HTTP answer, and how it goes over the wire.
///
/// `content-length` and `connection` are not among the headers: they follow from the body, `close` and `delivery`.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers, in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body, also where `delivery` sends only a part of it.
    pub body: Vec<u8>,
    /// Whether the connection is closed afterwards.
    pub close: bool,
    /// How much of it is sent, and how.
    pub delivery: Delivery,
    /// What counts as sent only once the last byte has gone to a client that still listens.
    pub(crate) dripping: Option<Dripping>,
}

/// A page that takes so long that its client may have gone before its end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dripping {
    pub(crate) caller: String,
    pub(crate) record: u64,
    /// Events before and up to the end of the page.
    pub(crate) end: u64,
    pub(crate) new_events: usize,
}

/// How an answer goes over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// As it should.
    Whole,
    /// The connection is closed, with FIN, before the first byte.
    CloseBeforeHeaders,
    /// The connection is reset (RST) before the first byte.
    Reset,
    /// The connection is closed inside the headers.
    CutHeaders,
    /// `content-length` counts the whole body, the connection is closed after half of it.
    CutBody,
    /// `content-length` counts the whole body, the connection is reset after half of it.
    ResetBody,
    /// A chunked body; the connection is closed inside a chunk.
    CutChunk,
    /// As it should, and the connection stays open until the client closes it.
    NeverClose,
    /// Everything is sent, a byte at a time.
    Drip {
        /// The pause between two bytes.
        interval: Duration,
    },
    /// The head alone, with the length of the body that a `GET` would get. `HEAD` has it so.
    WithoutBody,
    /// A chunked body: what there is, then spaces without end, until the client goes away.
    Endless,
}

impl Answer {
    /// An answer with a JSON body.
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
            delivery: Delivery::Whole,
            dripping: None,
        }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            close: false,
            delivery: Delivery::Whole,
            dripping: None,
        }
    }

    /// An error in Box's form.
    pub(crate) fn box_error(status: u16, code: &str, message: &str, context_info: &Value) -> Self {
        let body = json!({
            "type": "error",
            "status": status,
            "code": code,
            "context_info": context_info,
            "help_url": "http://developers.box.com/docs/#errors",
            "message": message,
            // Box makes a new one for each answer; a test that compares answers is better off with one.
            "request_id": "abcdef123456",
        });
        Self::json(status, body.to_string())
    }

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

    /// Box's 401. A body was seen missing, so that is to be had as well.
    pub(crate) fn unauthorized(with_body: bool) -> Self {
        let answer = if with_body {
            Self::box_error(401, "unauthorized", "Unauthorized", &json!({}))
        } else {
            Self::empty(401)
        };
        answer.header(
            "www-authenticate",
            "Bearer realm=\"Service\", error=\"invalid_token\", error_description=\"The access token provided is invalid.\"",
        )
    }

    pub(crate) fn rate_limited(retry_after: &str) -> Self {
        let message = "Request rate limit exceeded, please try again later";
        Self::box_error(429, "rate_limit_exceeded", message, &json!({}))
            .header("retry-after", retry_after)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn delivered(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }

    /// The answer as this request has to get it: `HEAD` gets no body.
    pub(crate) fn to(self, request: &Request) -> Self {
        if request.method() == "HEAD" {
            self.delivered(Delivery::WithoutBody)
        } else {
            self
        }
    }

    pub(crate) fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// The first header of that name, whatever its case.
    #[must_use]
    pub fn header_value(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

impl Reply {
    /// The answer, if there is one already.
    #[must_use]
    pub fn answer(self) -> Option<Answer> {
        match self {
            Self::Answer(answer) => Some(answer),
            Self::Hold { .. } => None,
        }
    }
}
