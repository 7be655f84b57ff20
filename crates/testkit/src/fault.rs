//! Faults: the failures that a test queues for single requests.
//!
//! A fault says what goes wrong: the connection, the status, the body, or the position. The
//! responses are made in `fault_responses`. Behavior that lasts is a setting instead. Start from
//! [`Fault`].

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::limits::{MAX_DRIP_MS, MAX_FAULTS, MAX_PADDING, MAX_TIMES, at_most};
use crate::{Endpoint, FakeResponse};

/// A failure of one request.
///
/// A poll that meets a fault gets its response at once. A token request is carried out if a part of
/// its regular response is sent. If nothing of the response is sent, it is carried out only by the
/// faults that say so.
///
/// In JSON, a fault is `{"fault":"rate_limited","seconds":3}`. A field that is left out has the
/// default that is given here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// A response with any status, headers and body. Any endpoint.
    Status {
        /// The HTTP status. Default: 500.
        #[serde(default = "default_status")]
        status: u16,
        /// The headers. If there is a body and no `content-type`, `application/json` is added.
        /// Default: none.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// The body. Default: empty.
        #[serde(default)]
        body: String,
    },
    /// The connection is closed (FIN) before the first byte of the response. Any endpoint.
    CloseBeforeHeaders,
    /// The connection is reset (RST) before the first byte of the response. Any endpoint.
    Reset,
    /// The connection is closed inside the headers. Any endpoint.
    CloseInHeaders,
    /// The connection is closed halfway through the body that `content-length` announces. Any
    /// endpoint.
    CloseInBody,
    /// The connection is reset halfway through the body that `content-length` announces. Any
    /// endpoint.
    ResetInBody,
    /// The connection is closed inside a chunk of a chunked body. Any endpoint.
    CloseInChunk,
    /// A complete response with `connection: close`, after which the connection is never closed.
    /// Any endpoint.
    NeverClose,
    /// The request never gets a response. Any endpoint.
    Silence,
    /// The response arrives one byte at a time. Any endpoint.
    Drip {
        /// The pause between two bytes, in milliseconds. With 0, the bytes are still written one by
        /// one. Default: 10.
        #[serde(default = "default_drip")]
        interval_ms: u64,
    },
    /// 200 with random bytes. Any endpoint.
    Garbage,
    /// 200 with an HTML page. Any endpoint.
    Html,
    /// 200 with truncated JSON. Any endpoint.
    TruncatedJson,
    /// 200 with JSON whose fields have the wrong types. Any endpoint.
    WrongTypes,
    /// 200 with empty `entries`: no realtime server, or a page whose position does not move.
    /// `options` and `events`.
    EmptyList,
    /// 200 without `entries`. The position of a page does not move. `options` and `events`.
    NoEntries,
    /// A page without `next_stream_position`. `events`.
    MissingPosition,
    /// A page whose `next_stream_position` is null. `events`.
    NullPosition,
    /// A page whose `next_stream_position` is 0. `events`.
    ZeroPosition,
    /// A page whose `next_stream_position` is "now". `events`.
    NowPosition,
    /// A page whose `next_stream_position` is an empty string. `events`.
    EmptyPosition,
    /// A page whose `next_stream_position` is written with a decimal point. `events`.
    FloatPosition,
    /// 200 with a valid response that is padded with spaces. Any endpoint.
    HugeBody {
        /// The number of bytes of padding. Default: 32 MiB.
        #[serde(default = "default_padding")]
        bytes: usize,
    },
    /// 200 with a valid response that is padded with spaces and compressed with gzip, without a
    /// request for that. Any endpoint.
    CompressedBody {
        /// The number of bytes of padding, before compression. Default: 32 MiB.
        #[serde(default = "default_padding")]
        bytes: usize,
    },
    /// 200 with a valid response that is compressed with gzip, and whose gzip stream ends halfway.
    /// The `content-length` is the length of that half. Any endpoint.
    TruncatedGzip,
    /// 200 with a valid response that is compressed with gzip, and whose gzip stream ends with a
    /// wrong length. Any endpoint.
    WrongGzipLength,
    /// 200 with a valid response that is not compressed, although its `content-encoding` is gzip.
    /// Any endpoint.
    NotGzip,
    /// 200 with a body that never ends. Any endpoint.
    EndlessBody,
    /// The caller's previous page once more, unless it begins after the requested position.
    /// `events`.
    StalePage,
    /// A 302 to another host. Any endpoint.
    Redirect {
        /// The URL of the `location` header. Default: a URL whose host does not exist.
        #[serde(default = "default_location")]
        location: String,
    },
    /// 204 without a body. Any endpoint.
    NoContent,
    /// 401 in Box's format. Any endpoint.
    Unauthorized,
    /// 401 with an empty body. Any endpoint.
    UnauthorizedEmpty,
    /// 403. Any endpoint.
    Forbidden,
    /// 404. Any endpoint.
    NotFound,
    /// 429 with `retry-after` in seconds. Any endpoint.
    RateLimited {
        /// The seconds of the `retry-after` header. Default: 1.
        #[serde(default = "default_seconds")]
        seconds: u64,
    },
    /// 429 with `retry-after` as a date. Any endpoint.
    RateLimitedDate {
        /// The seconds from the response's own `date` to the date of its `retry-after`. Default: 1.
        #[serde(default = "default_seconds")]
        seconds: u64,
    },
    /// 500. Any endpoint.
    ServerError,
    /// 503. Any endpoint.
    Unavailable,
    /// 400 for the position. `events`.
    BadPosition,
    /// A given signal, at once. `realtime`.
    Signal {
        /// The signal. Default: `reconnect`.
        #[serde(default = "default_signal")]
        message: String,
    },
    /// A signal that is not in Box's documentation. `realtime`.
    UnknownSignal,
    /// 200 with a body that isn't JSON. `realtime`.
    GarbageSignal,
    /// The connection is reset instead of a response, but the request is carried out: a refresh
    /// token is used up and a new one issued. `token`.
    LostResponse,
    /// The request never gets a response but is carried out: a refresh token is used up and a new
    /// one issued. `token`.
    WithheldResponse,
}

fn default_status() -> u16 {
    500
}

fn default_drip() -> u64 {
    10
}

/// The default padding, in bytes: 32 MiB, which is twice as much as a client should read for one
/// page.
fn default_padding() -> usize {
    32 << 20
}

fn default_location() -> String {
    "https://elsewhere.invalid/2.0/events".into()
}

fn default_seconds() -> u64 {
    1
}

fn default_signal() -> String {
    "reconnect".into()
}

impl Fault {
    /// Returns every fault, with its defaults.
    #[must_use]
    pub fn all() -> Vec<Self> {
        vec![
            Self::Status {
                status: default_status(),
                headers: BTreeMap::new(),
                body: String::new(),
            },
            Self::CloseBeforeHeaders,
            Self::Reset,
            Self::CloseInHeaders,
            Self::CloseInBody,
            Self::ResetInBody,
            Self::CloseInChunk,
            Self::NeverClose,
            Self::Silence,
            Self::Drip {
                interval_ms: default_drip(),
            },
            Self::Garbage,
            Self::Html,
            Self::TruncatedJson,
            Self::WrongTypes,
            Self::EmptyList,
            Self::NoEntries,
            Self::MissingPosition,
            Self::NullPosition,
            Self::ZeroPosition,
            Self::NowPosition,
            Self::EmptyPosition,
            Self::FloatPosition,
            Self::HugeBody {
                bytes: default_padding(),
            },
            Self::CompressedBody {
                bytes: default_padding(),
            },
            Self::TruncatedGzip,
            Self::WrongGzipLength,
            Self::NotGzip,
            Self::EndlessBody,
            Self::StalePage,
            Self::Redirect {
                location: default_location(),
            },
            Self::NoContent,
            Self::Unauthorized,
            Self::UnauthorizedEmpty,
            Self::Forbidden,
            Self::NotFound,
            Self::RateLimited {
                seconds: default_seconds(),
            },
            Self::RateLimitedDate {
                seconds: default_seconds(),
            },
            Self::ServerError,
            Self::Unavailable,
            Self::BadPosition,
            Self::Signal {
                message: default_signal(),
            },
            Self::UnknownSignal,
            Self::GarbageSignal,
            Self::LostResponse,
            Self::WithheldResponse,
        ]
    }

    /// Returns a [`Fault::Status`] whose body is an error in Box's format.
    #[must_use]
    pub fn box_error(status: u16, code: &str, message: &str) -> Self {
        let error = FakeResponse::box_error(status, code, message, &Value::Null);
        Self::Status {
            status,
            headers: error.headers.into_iter().collect(),
            body: String::from_utf8_lossy(&error.body).into_owned(),
        }
    }

    /// Returns a [`Fault::Status`] whose body is an HTML page, as a proxy between a client and Box
    /// may send it.
    #[must_use]
    pub fn html(status: u16, page: &str) -> Self {
        Self::Status {
            status,
            headers: BTreeMap::from([("content-type".into(), "text/html".into())]),
            body: page.into(),
        }
    }

    /// Returns the fault with this name, with its defaults.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|fault| fault.name() == name)
    }

    /// Returns the name of the fault in JSON.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::CloseBeforeHeaders => "close_before_headers",
            Self::Reset => "reset",
            Self::CloseInHeaders => "close_in_headers",
            Self::CloseInBody => "close_in_body",
            Self::ResetInBody => "reset_in_body",
            Self::CloseInChunk => "close_in_chunk",
            Self::NeverClose => "never_close",
            Self::Silence => "silence",
            Self::Drip { .. } => "drip",
            Self::Garbage => "garbage",
            Self::Html => "html",
            Self::TruncatedJson => "truncated_json",
            Self::WrongTypes => "wrong_types",
            Self::EmptyList => "empty_list",
            Self::NoEntries => "no_entries",
            Self::MissingPosition => "missing_position",
            Self::NullPosition => "null_position",
            Self::ZeroPosition => "zero_position",
            Self::NowPosition => "now_position",
            Self::EmptyPosition => "empty_position",
            Self::FloatPosition => "float_position",
            Self::HugeBody { .. } => "huge_body",
            Self::CompressedBody { .. } => "compressed_body",
            Self::TruncatedGzip => "truncated_gzip",
            Self::WrongGzipLength => "wrong_gzip_length",
            Self::NotGzip => "not_gzip",
            Self::EndlessBody => "endless_body",
            Self::StalePage => "stale_page",
            Self::Redirect { .. } => "redirect",
            Self::NoContent => "no_content",
            Self::Unauthorized => "unauthorized",
            Self::UnauthorizedEmpty => "unauthorized_empty",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::RateLimited { .. } => "rate_limited",
            Self::RateLimitedDate { .. } => "rate_limited_date",
            Self::ServerError => "server_error",
            Self::Unavailable => "unavailable",
            Self::BadPosition => "bad_position",
            Self::Signal { .. } => "signal",
            Self::UnknownSignal => "unknown_signal",
            Self::GarbageSignal => "garbage_signal",
            Self::LostResponse => "lost_response",
            Self::WithheldResponse => "withheld_response",
        }
    }

    /// Checks that the values of the fault are within their limits.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Self::HugeBody { bytes } | Self::CompressedBody { bytes } => {
                at_most("bytes", *bytes, MAX_PADDING)
            }
            Self::Drip { interval_ms } => at_most("interval_ms", *interval_ms, MAX_DRIP_MS),
            Self::Status { status, .. } if !(100..=999).contains(status) => {
                Err("status is not between 100 and 999".into())
            }
            _ => Ok(()),
        }
    }

    /// Returns `true` if the fault is possible on an endpoint.
    #[must_use]
    pub fn applies_to(&self, endpoint: Endpoint) -> bool {
        match self {
            Self::EmptyList | Self::NoEntries => {
                matches!(endpoint, Endpoint::Options | Endpoint::Events)
            }
            Self::MissingPosition
            | Self::NullPosition
            | Self::ZeroPosition
            | Self::NowPosition
            | Self::EmptyPosition
            | Self::FloatPosition
            | Self::StalePage
            | Self::BadPosition => endpoint == Endpoint::Events,
            Self::Signal { .. } | Self::UnknownSignal | Self::GarbageSignal => {
                endpoint == Endpoint::Realtime
            }
            Self::LostResponse | Self::WithheldResponse => endpoint == Endpoint::Token,
            _ => endpoint != Endpoint::Other,
        }
    }
}

/// The queued faults, in a first-in, first-out queue for each endpoint.
#[derive(Debug, Default)]
pub(crate) struct FaultQueue(BTreeMap<Endpoint, VecDeque<QueuedFault>>);

/// A fault in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QueuedFault {
    pub(crate) endpoint: Endpoint,
    /// The number of requests that will still meet the fault.
    #[serde(default = "once")]
    pub(crate) times: u32,
    #[serde(flatten)]
    pub(crate) fault: Fault,
}

fn once() -> u32 {
    1
}

impl QueuedFault {
    /// Checks that the fault applies to its endpoint and is within the limits.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !self.fault.applies_to(self.endpoint) {
            return Err(format!(
                "the fault {} does not apply to this endpoint",
                self.fault.name()
            ));
        }
        at_most("times", self.times, MAX_TIMES)?;
        self.fault.check()
    }
}

impl FaultQueue {
    /// Checks that the queue has room for one more fault.
    pub(crate) fn check_room(&self) -> Result<(), String> {
        at_most(
            "the number of queued faults",
            self.iter().count() + 1,
            MAX_FAULTS,
        )
    }

    pub(crate) fn push(&mut self, queued: QueuedFault) {
        if queued.times > 0 {
            self.0.entry(queued.endpoint).or_default().push_back(queued);
        }
    }

    /// Takes the next fault for a request of the endpoint.
    pub(crate) fn take(&mut self, endpoint: Endpoint) -> Option<Fault> {
        let queue = self.0.get_mut(&endpoint)?;
        let first = queue.front_mut()?;
        first.times -= 1;
        if first.times == 0 {
            queue.pop_front().map(|queued| queued.fault)
        } else {
            Some(first.fault.clone())
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &QueuedFault> {
        self.0.values().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_fault_is_enough_in_json() {
        for fault in Fault::all() {
            let parsed: Fault =
                serde_json::from_value(serde_json::json!({"fault": fault.name()})).unwrap();
            assert_eq!(parsed, fault);
            assert_eq!(Fault::named(fault.name()), Some(fault));
        }
    }

    #[test]
    fn a_fault_is_taken_as_often_as_it_was_queued_for() {
        let mut queue = FaultQueue::default();
        queue.push(QueuedFault {
            endpoint: Endpoint::Events,
            times: 2,
            fault: Fault::Html,
        });
        queue.push(QueuedFault {
            endpoint: Endpoint::Events,
            times: 1,
            fault: Fault::Reset,
        });
        let taken: Vec<_> = std::iter::from_fn(|| queue.take(Endpoint::Events)).collect();
        assert_eq!(taken, [Fault::Html, Fault::Html, Fault::Reset]);
    }
}
