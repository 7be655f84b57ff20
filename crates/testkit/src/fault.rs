use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::limits::{MAX_DRIP_MS, MAX_FAULTS, MAX_PADDING, MAX_TIMES, at_most};
use crate::{Answer, Endpoint};

/// Something that goes wrong with one request.
///
/// A fault on a poll comes at once. A token request is carried out where something of its true answer is sent; where
/// nothing is, only by those faults that say so. In JSON a fault is `{"fault":"rate_limited","seconds":3}`; what is left out has
/// the default given here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// Any status, headers and body. Any endpoint.
    Status {
        /// Default: 500.
        #[serde(default = "default_status")]
        status: u16,
        /// A body without a `content-type` among them is `application/json`. Default: none.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// Default: empty.
        #[serde(default)]
        body: String,
    },
    /// The connection is closed (FIN) before the first byte of the answer. Any endpoint.
    CloseBeforeHeaders,
    /// The connection is reset (RST) before the first byte of the answer. Any endpoint.
    Reset,
    /// The connection is closed inside the headers. Any endpoint.
    CloseInHeaders,
    /// The connection is closed half-way through the body that `content-length` announced. Any endpoint.
    CloseInBody,
    /// The connection is reset half-way through the body that `content-length` announced. Any endpoint.
    ResetInBody,
    /// The connection is closed inside a chunk of a chunked body. Any endpoint.
    CloseInChunk,
    /// The answer says `connection: close` and is whole, and the connection is never closed. Any endpoint.
    NeverClose,
    /// The request is never answered. Any endpoint.
    Silence,
    /// The answer comes a byte at a time. Any endpoint.
    Drip {
        /// Milliseconds between two bytes; 0 for bytes that come one by one without a pause. Default: 10.
        #[serde(default = "default_drip")]
        interval_ms: u64,
    },
    /// 200 with random bytes. Any endpoint.
    Garbage,
    /// 200 with an HTML page. Any endpoint.
    Html,
    /// 200 with JSON cut short. Any endpoint.
    TruncatedJson,
    /// 200 with JSON whose fields have the wrong types. Any endpoint.
    WrongTypes,
    /// 200 with `entries` empty: no realtime server, or a page that stays where it was. `options` and `events`.
    EmptyList,
    /// 200 with `entries` missing; the position of a page stays where it was. `options` and `events`.
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
    /// 200 with a valid answer padded with spaces. Any endpoint.
    HugeBody {
        /// How many bytes of padding. Default: 32 MiB.
        #[serde(default = "default_padding")]
        bytes: usize,
    },
    /// 200 with a valid answer padded with spaces, compressed with gzip though nobody asked for that. Any endpoint.
    CompressedBody {
        /// How many bytes of padding. Default: 32 MiB.
        #[serde(default = "default_padding")]
        bytes: usize,
    },
    /// 200 with a body that never ends. Any endpoint.
    EndlessBody,
    /// The page that this caller got before, once more. `events`.
    StalePage,
    /// A 302 to another host. Any endpoint.
    Redirect {
        /// Default: a host that does not exist.
        #[serde(default = "default_location")]
        location: String,
    },
    /// 204 without a body. Any endpoint.
    NoContent,
    /// 401 in Box's form. Any endpoint.
    Unauthorized,
    /// 401 with an empty body. Any endpoint.
    UnauthorizedEmpty,
    /// 403. Any endpoint.
    Forbidden,
    /// 404. Any endpoint.
    NotFound,
    /// 429 with `retry-after` in seconds. Any endpoint.
    RateLimited {
        /// Default: 1.
        #[serde(default = "default_seconds")]
        seconds: u64,
    },
    /// 429 with `retry-after` as a date. Any endpoint.
    RateLimitedDate {
        /// How far the date lies after the answer's own. Default: 1.
        #[serde(default = "default_seconds")]
        seconds: u64,
    },
    /// 500. Any endpoint.
    ServerError,
    /// 503. Any endpoint.
    Unavailable,
    /// 400 for the position. `events`.
    BadPosition,
    /// A signal of one's choice, at once. `realtime`.
    Signal {
        /// Default: `reconnect`.
        #[serde(default = "default_signal")]
        message: String,
    },
    /// A signal that Box's documentation does not know. `realtime`.
    UnknownSignal,
    /// 200 with a body that isn't JSON. `realtime`.
    GarbageSignal,
    /// The request is carried out, a refresh token is used up and a new one issued, and the connection is reset in
    /// place of the answer. `token`.
    LostAnswer,
    /// The request is carried out, a refresh token is used up and a new one issued, and it is never answered. `token`.
    WithheldAnswer,
}

fn default_status() -> u16 {
    500
}

fn default_drip() -> u64 {
    10
}

/// Twice what a client should be ready to read for one page.
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
    /// Every fault, with its defaults.
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
            Self::LostAnswer,
            Self::WithheldAnswer,
        ]
    }

    /// Returns an error in Box's form: [`Fault::Status`] with its JSON.
    #[must_use]
    pub fn box_error(status: u16, code: &str, message: &str) -> Self {
        let error = Answer::box_error(status, code, message, &Value::Null);
        Self::Status {
            status,
            headers: error.headers.into_iter().collect(),
            body: String::from_utf8_lossy(&error.body).into_owned(),
        }
    }

    /// Returns a page of HTML, as something between a client and Box sends: [`Fault::Status`] with its `content-type`.
    #[must_use]
    pub fn html(status: u16, page: &str) -> Self {
        Self::Status {
            status,
            headers: BTreeMap::from([("content-type".into(), "text/html".into())]),
            body: page.into(),
        }
    }

    /// The fault of that name, with its defaults.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|fault| fault.name() == name)
    }

    /// The name that JSON uses.
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
            Self::LostAnswer => "lost_answer",
            Self::WithheldAnswer => "withheld_answer",
        }
    }

    /// Refuses what is more than a response may cost.
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

    /// Whether the fault means anything on an endpoint.
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
            Self::LostAnswer | Self::WithheldAnswer => endpoint == Endpoint::Token,
            _ => endpoint != Endpoint::Other,
        }
    }
}

/// The faults that wait for a request, per endpoint, first in first out.
#[derive(Debug, Default)]
pub(crate) struct FaultQueue(BTreeMap<Endpoint, VecDeque<QueuedFault>>);

/// A fault, and for how many more requests it is meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QueuedFault {
    pub(crate) endpoint: Endpoint,
    #[serde(default = "once")]
    pub(crate) times: u32,
    #[serde(flatten)]
    pub(crate) fault: Fault,
}

fn once() -> u32 {
    1
}

impl QueuedFault {
    /// Refuses what makes no sense or is more than the emulator takes.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !self.fault.applies_to(self.endpoint) {
            return Err(format!(
                "{} means nothing on this endpoint",
                self.fault.name()
            ));
        }
        at_most("times", self.times, MAX_TIMES)?;
        self.fault.check()
    }
}

impl FaultQueue {
    /// Refuses one fault more than the queue may hold.
    pub(crate) fn check_room(&self) -> Result<(), String> {
        at_most(
            "the number of faults that wait",
            self.iter().count() + 1,
            MAX_FAULTS,
        )
    }

    pub(crate) fn push(&mut self, queued: QueuedFault) {
        if queued.times > 0 {
            self.0.entry(queued.endpoint).or_default().push_back(queued);
        }
    }

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
    fn every_fault_is_known_in_json_by_its_name_alone() {
        for fault in Fault::all() {
            let parsed: Fault =
                serde_json::from_value(serde_json::json!({"fault": fault.name()})).unwrap();
            assert_eq!(parsed, fault);
            assert_eq!(Fault::named(fault.name()), Some(fault));
        }
    }

    #[test]
    fn a_fault_serves_as_many_requests_as_it_was_queued_for() {
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
