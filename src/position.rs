//! Where in a stream of events one is.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;

/// How a start at the oldest event is written, in checkpoints too. A server that gave it as a position would have its
/// follower start anew.
const OLDEST: &str = "oldest";

/// A position in an event stream, as Box gave it: opaque text, never computed with.
///
/// Published positions have 19 digits, more than a float or a careless integer holds; the text is kept as it came. Store
/// it with [`Display`](fmt::Display) or serde and read it back with [`FromStr`].
///
/// See <https://developer.box.com/reference/get-events/>.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamPosition(Arc<str>);

impl StreamPosition {
    /// The longest position that is taken from anywhere, in bytes: 16 KiB. Box's have up to 19 digits; percent-encoded, a
    /// position of this length still fits into a URL, which may have 64 KiB.
    pub(crate) const MAX_LENGTH: usize = 16 * 1024;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The time in a position of an enterprise's events, which Box makes of 2^60 and the milliseconds since 1970. `None` if
    /// this is not such a position.
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
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for an empty text, one over 16 KiB, and for `now`, `0` and `oldest`, which are places to start
    /// at: use [`StartAt`]. Any other text is a position, white space included.
    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = |why: &str| Err(Error::config(format!("not a stream position: {why}")));
        if text.is_empty() {
            refused("it is empty")
        } else if text.len() > Self::MAX_LENGTH {
            refused("it is longer than 16 KiB")
        } else if text.eq_ignore_ascii_case("now") || is_zero(text) || text == OLDEST {
            refused("`now`, `0` and `oldest` are places to start at")
        } else {
            Ok(Self(text.into()))
        }
    }
}

/// `0` in any spelling: Box may take each of them for the beginning of all events.
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

/// Where a stream starts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StartAt {
    /// With what happens from now on. The client asks Box for the position of `now` first and goes on from there.
    Now,
    /// With the oldest event that Box still has: 21 days back for `all` and `changes`, 31 for `sync`, 14 for
    /// `admin_logs_streaming`.
    Oldest,
    /// After a position that an earlier stream gave.
    At(StreamPosition),
}

impl StartAt {
    /// The value of the `stream_position` parameter.
    pub(crate) fn as_parameter(&self) -> &str {
        match self {
            StartAt::Now => "now",
            StartAt::Oldest => "0",
            StartAt::At(position) => position.as_str(),
        }
    }

    /// The position, where this is one. `None` for [`Now`](Self::Now) and [`Oldest`](Self::Oldest).
    #[must_use]
    pub fn position(&self) -> Option<&StreamPosition> {
        match self {
            StartAt::At(position) => Some(position),
            StartAt::Now | StartAt::Oldest => None,
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

/// `now`, `oldest`, or the position: what [`FromStr`] reads.
impl fmt::Display for StartAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartAt::Now => f.write_str("now"),
            StartAt::Oldest => f.write_str(OLDEST),
            StartAt::At(position) => position.fmt(f),
        }
    }
}

/// `now`, `oldest` (which Box calls `0`), or a position.
impl FromStr for StartAt {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "now" => Ok(StartAt::Now),
            OLDEST | "0" => Ok(StartAt::Oldest),
            position => position.parse().map(StartAt::At),
        }
    }
}
