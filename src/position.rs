//! Positions in a stream of events, and the start of a stream.
//!
//! A [`StreamPosition`] is the opaque text that Box returns, so that no digit is lost. [`StartAt`]
//! adds the starting points that are not positions. This module does not store them. The type to
//! start from is [`StartAt`].

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;
use crate::redact::quote;

/// The text for a start at the oldest event, in checkpoints too. It is not accepted as a position:
/// a server that returned it would make its follower start over.
const OLDEST: &str = "oldest";

/// The beginning of the text for a start at a time. It is not accepted as a position either.
const SINCE: &str = "since ";

/// A position in an event stream: opaque text, kept exactly as Box returned it.
///
/// Published positions have 19 digits, which a float or a 32-bit integer can't hold. Store it with
/// [`Display`](fmt::Display) or serde, and read it back with [`FromStr`].
///
/// See <https://developer.box.com/reference/get-events/>.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamPosition(Arc<str>);

impl StreamPosition {
    /// The longest position that is accepted, in bytes: 16 KiB. Box's have up to 19 digits. A
    /// percent-encoded position of this length still fits into a URL of 64 KiB.
    pub(crate) const MAX_LENGTH: usize = 16 * 1024;

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the time in a position of enterprise events: Box adds the milliseconds since 1970 to
    /// 2^60. Returns `None` for any other position.
    pub(crate) fn time(&self) -> Option<SystemTime> {
        let number: u64 = self.0.parse().ok()?;
        let millis = number.checked_sub(1 << 60)?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))
    }
}

impl FromStr for StreamPosition {
    type Err = Error;

    /// # Errors
    ///
    /// Returns [`ErrorKind::Config`](crate::ErrorKind::Config) if the text is empty or longer than
    /// 16 KiB. The same error is returned for `oldest`, for any spelling of `now` and `0`, and for
    /// text that begins with `since `. These are starting points: use [`StartAt`]. Any other text
    /// is a position, even white space.
    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = |why: &str| Err(Error::config(format!("not a stream position: {why}")));
        if text.is_empty() {
            refused("it is empty")
        } else if text.len() > Self::MAX_LENGTH {
            refused("it is longer than 16 KiB")
        } else if text.eq_ignore_ascii_case("now") || is_zero(text) || text == OLDEST {
            refused("`now`, `0` and `oldest` are starting points, see StartAt")
        } else if text.starts_with(SINCE) {
            refused("`since` and a time is a starting point, see StartAt")
        } else {
            Ok(Self(text.into()))
        }
    }
}

/// Returns `true` for `0` in any spelling. Box may read each spelling as the beginning of all
/// events.
fn is_zero(text: &str) -> bool {
    text.parse().is_ok_and(|number: f64| number == 0.0)
}

impl fmt::Display for StreamPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for StreamPosition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for StreamPosition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// The starting point of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StartAt {
    /// The present: the stream delivers events that happen from now on. The client first fetches
    /// the position of `now`, and continues from there.
    Now,
    /// The oldest event that Box still has: 21 days back for `all` and `changes`, 31 for `sync`, 14
    /// for `admin_logs_streaming`. For a [query](crate::enterprise::AdminLogsQuery), it is the
    /// beginning of its range.
    Oldest,
    /// The events after a position that an earlier stream returned.
    At(StreamPosition),
    /// The events of an enterprise that were created at this time or later, up to 365 days back.
    /// The stream reads the past from Box's history first, and then follows live events.
    ///
    /// Box has no history of a user's events, so a stream of those can't start at a time.
    Since(Timestamp),
}

/// A position within a slice of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlicePoint {
    /// The end of the slice.
    pub(crate) until: Timestamp,
    /// The position in the query of the slice.
    pub(crate) position: StreamPosition,
}

impl StartAt {
    /// Returns the value of the `stream_position` parameter. It can't carry a time, so a stream
    /// that starts at one reads the history instead.
    pub(crate) fn as_parameter(&self) -> &str {
        match self {
            StartAt::Now => "now",
            StartAt::Oldest | StartAt::Since(_) => "0",
            StartAt::At(position) => position.as_str(),
        }
    }

    /// Returns the position. Returns `None` for the other starting points.
    #[must_use]
    pub fn position(&self) -> Option<&StreamPosition> {
        match self {
            StartAt::At(position) => Some(position),
            StartAt::Now | StartAt::Oldest | StartAt::Since(_) => None,
        }
    }
}

impl From<StreamPosition> for StartAt {
    fn from(position: StreamPosition) -> Self {
        StartAt::At(position)
    }
}

impl From<&StreamPosition> for StartAt {
    fn from(position: &StreamPosition) -> Self {
        StartAt::At(position.clone())
    }
}

/// Writes `now`, `oldest`, the position, or `since` and a time such as `since
/// 2026-01-01T00:00:00Z`, so that [`FromStr`] reads it back.
impl fmt::Display for StartAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartAt::Now => f.write_str("now"),
            StartAt::Oldest => f.write_str(OLDEST),
            StartAt::At(position) => position.fmt(f),
            StartAt::Since(time) => write!(f, "{SINCE}{time}"),
        }
    }
}

/// Reads `now`, `oldest`, `0` (Box's name for `oldest`), `since` and a time in RFC 3339, or a
/// position.
impl FromStr for StartAt {
    type Err = Error;

    /// # Errors
    ///
    /// Returns [`ErrorKind::Config`](crate::ErrorKind::Config) if the text is empty, longer than 16
    /// KiB, or a spelling of `now` or `0` that is not listed above. The same error is returned if
    /// the text begins with `since ` and no time follows.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "now" => Ok(StartAt::Now),
            OLDEST | "0" => Ok(StartAt::Oldest),
            _ => match text.strip_prefix(SINCE) {
                Some(time) => time.parse().map(StartAt::Since).map_err(|_| {
                    let rule = "no time in RFC 3339 follows `since`";
                    Error::config(format!("{rule}: \"{}\"", quote(time)))
                }),
                None => text.parse().map(StartAt::At),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn start_at_a_time_is_read_back_from_its_text() {
        for text in [
            "since 2026-01-01T00:00:00Z",
            "since 2026-01-01T00:00:00.123456789Z",
            "since 1969-12-31T23:59:59Z",
        ] {
            let start: StartAt = text.parse().unwrap();
            assert!(matches!(start, StartAt::Since(_)), "{start:?}");
            assert_eq!(start.to_string(), text);
        }
        let elsewhere: StartAt = "since 2026-01-01T02:00:00+02:00".parse().unwrap();
        assert_eq!(elsewhere.to_string(), "since 2026-01-01T00:00:00Z");
    }

    #[test]
    fn text_of_a_start_at_a_time_is_no_position() {
        for text in ["since 2026-01-01T00:00:00Z", "since ", "since yesterday"] {
            let error = text.parse::<StreamPosition>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{text}");
        }
        for text in ["since ", "since yesterday", "since 2026-01-01"] {
            let error = text.parse::<StartAt>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{text}");
        }
    }
}
