//! The end of a request, in the few words that are counted.
//!
//! The engine reads a response and decides what follows. It reports an [`EndedRequest`] beside
//! that, so that nobody else has to understand the response.

use http::StatusCode;

use crate::call::Call;
use crate::error::{Error, ErrorKind};
use crate::transport::TransportErrorKind;

/// The end of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndedRequest {
    pub(crate) call: Call,
    pub(crate) outcome: Outcome,
    /// `true` if the stream takes the request for a success. A poll may end without a response, and
    /// still be one.
    pub(crate) is_success: bool,
    /// The number of events on the page that were delivered before.
    pub(crate) repeats: usize,
}

impl EndedRequest {
    pub(crate) fn succeeded(call: Call) -> Self {
        Self {
            call,
            outcome: Outcome::Ok,
            is_success: true,
            repeats: 0,
        }
    }

    pub(crate) fn failed(call: Call, outcome: Outcome) -> Self {
        Self {
            call,
            outcome,
            is_success: false,
            repeats: 0,
        }
    }
}

/// The outcome of a request, as the label `outcome` of the metrics has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    RateLimited,
    ClientError,
    ServerError,
    Timeout,
    Connect,
    Cut,
    /// A response without the content that Box documents.
    Unexpected,
    /// The stream dropped the request.
    Cancelled,
    /// The transport failed in another way.
    Other,
}

impl Outcome {
    /// Returns the outcome of a request that ended with an error.
    pub(crate) fn of(error: &Error) -> Self {
        let status = error.status();
        if error.kind() == ErrorKind::RateLimited || status == Some(StatusCode::TOO_MANY_REQUESTS) {
            return Self::RateLimited;
        }
        match (status, error.transport_kind()) {
            (Some(status), _) if status.is_client_error() => Self::ClientError,
            (Some(status), _) if status.is_server_error() => Self::ServerError,
            (Some(_), _) | (None, None) => Self::Unexpected,
            (None, Some(kind)) => match kind {
                TransportErrorKind::Timeout => Self::Timeout,
                TransportErrorKind::Connect | TransportErrorKind::Tls => Self::Connect,
                TransportErrorKind::Interrupted | TransportErrorKind::Body => Self::Cut,
                TransportErrorKind::BodyTooLarge => Self::Unexpected,
                _ => Self::Other,
            },
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::RateLimited => "rate_limited",
            Self::ClientError => "client_error",
            Self::ServerError => "server_error",
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::Cut => "cut",
            Self::Unexpected => "unexpected",
            Self::Cancelled => "cancelled",
            Self::Other => "other",
        }
    }
}
