//! The range of time of a query, as Box takes it: in full seconds, within the last 365 days.
//!
//! [`Range`] checks its ends, rounds them outward, and keeps its beginning inside of the days for
//! which Box keeps the events. The settings that it belongs to are in [`admin_logs`](super).

use std::fmt;
use std::ops;
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use url::form_urlencoded::Serializer;

use crate::error::{Error, ensure};

/// The time for which Box keeps past events: 365 days. It refuses an earlier `created_after`.
pub(crate) const HISTORY_KEPT: SignedDuration = SignedDuration::from_hours(365 * 24);

/// The range of creation times of the requested events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) after: Option<Timestamp>,
    pub(crate) before: Option<Timestamp>,
}

/// Writes both ends, such as `2026-01-01T00:00:00Z to the newest event`.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.after {
            Some(after) => after.fmt(f),
            None => f.write_str("the oldest event"),
        }?;
        match self.before {
            Some(before) => write!(f, " to {before}"),
            None => f.write_str(" to the newest event"),
        }
    }
}

/// The margin at the edge of the 365 days, which moves on while the request travels. The requested
/// range begins 60 s after the edge.
const EDGE_MARGIN: Duration = Duration::from_secs(60);

/// The longest time that is allowed for between the creation of a query and the start of its
/// stream.
const MAX_QUERY_AGE: Duration = Duration::from_secs(10 * 60);

impl Range {
    pub(super) fn check(self) -> Result<(), Error> {
        let mut ends = self.after.iter().chain(&self.before);
        ensure(
            ends.all(|time| *time >= Timestamp::UNIX_EPOCH),
            "created_after and created_before must not be before the year 1970",
        )?;
        let in_order = |after| self.before.is_none_or(|before| after < before);
        ensure(
            self.after.is_none_or(in_order),
            "created_after must be earlier than created_before",
        )
    }

    /// Returns the beginning of the range, or `time` if that is later.
    pub(crate) fn begin_at(self, time: Timestamp) -> Timestamp {
        self.after.map_or(time, |after| after.max(time))
    }

    /// Returns the last moment of the range.
    pub(crate) fn end(self) -> Option<SystemTime> {
        SystemTime::try_from(self.last_second()?).ok()
    }

    /// Returns the end of the range, rounded up to a second.
    fn last_second(self) -> Option<Timestamp> {
        self.before.map(ceil_to_second)
    }

    /// Returns the end of the range, or the present if that is earlier, rounded up to a second.
    pub(crate) fn end_by(self, present: Timestamp) -> Timestamp {
        let present = ceil_to_second(present);
        self.last_second().map_or(present, |end| end.min(present))
    }

    /// Appends the range in seconds, as Box documents its parameters. It is rounded outward, so
    /// that no event is left out.
    pub(crate) fn append_filters(
        self,
        query: &mut Serializer<'_, String>,
        times: ops::Range<SystemTime>,
    ) {
        if let Some(after) = self.after {
            let after = floor_to_second(keep_inside(after, times));
            query.append_pair("created_after", &after.to_string());
        }
        if let Some(before) = self.before {
            query.append_pair("created_before", &ceil_to_second(before).to_string());
        }
    }
}

/// Moves the beginning of a range inside the 365 days, if it has passed their edge since the stream
/// began. An earlier beginning stays unchanged, and Box reports it.
fn keep_inside(after: Timestamp, times: ops::Range<SystemTime>) -> Timestamp {
    let edge = |wall: SystemTime| {
        Timestamp::try_from(wall)
            .ok()?
            .checked_sub(HISTORY_KEPT)
            .ok()
    };
    let (Some(edge_at_first), Some(edge_now)) = (edge(times.start), edge(times.end)) else {
        return after;
    };
    let earliest = edge_now + EDGE_MARGIN;
    if edge_at_first - MAX_QUERY_AGE <= after && after < earliest {
        ceil_to_second(earliest)
    } else {
        after
    }
}

/// Rounds a time down to a second.
fn floor_to_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Rounds a time up to a second.
fn ceil_to_second(time: Timestamp) -> Timestamp {
    let seconds = time.as_second() + i64::from(time.subsec_nanosecond() > 0);
    Timestamp::from_second(seconds).unwrap_or(time)
}
