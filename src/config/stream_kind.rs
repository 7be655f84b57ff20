//! The kinds of streams, and the differences in their requests.
//!
//! [`StreamType`] selects among a user's events. [`StreamKind`] adds an enterprise's live and past
//! events, and has everything that depends on the kind: Box's name, retention, rate limit and
//! filters. The engine is the same for all of them.

use std::fmt;
use std::ops::Range;
use std::time::{Duration, Instant, SystemTime};

use jiff::{SignedDuration, Timestamp};
use url::form_urlencoded::Serializer;

use super::admin_logs::{CallsPerMinute, EventTypes, HISTORY_KEPT, HistorySettings};
use super::{AdminLogs, AdminLogsStreaming};
use crate::pacing::{Pace, RateLimiter};

/// The time for which Box is sure to keep live events: 14 days.
pub(crate) const LIVE_EVENTS_KEPT: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Box's name for an enterprise's live events.
const STREAMING: &str = "admin_logs_streaming";

/// Box's name for an enterprise's past events.
const HISTORY: &str = "admin_logs";

/// The types of a user's events that a stream can follow. For those of an entire enterprise, see
/// [`LongPollClient::enterprise`](crate::LongPollClient::enterprise).
///
/// See <https://developer.box.com/guides/events/user-events/>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamType {
    /// All events that the user can see. This is the default.
    #[default]
    All,
    /// Only events that may change the tree of files and folders.
    Changes,
    /// Like `Changes`, but for synced folders only.
    Sync,
}

impl StreamType {
    pub(crate) const ALL: [Self; 3] = [Self::All, Self::Changes, Self::Sync];

    /// Returns Box's name for the type.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            StreamType::All => "all",
            StreamType::Changes => "changes",
            StreamType::Sync => "sync",
        }
    }
}

/// The kind of events that a stream requests from `GET /events`.
#[derive(Clone, Debug)]
pub(crate) enum StreamKind {
    /// A user's events, which realtime servers signal.
    User(StreamType),
    /// An enterprise's live events, which are fetched at an interval.
    Streaming(AdminLogsStreaming),
    /// An enterprise's past events, which end.
    History(AdminLogs),
}

impl StreamKind {
    /// Returns Box's name for the kind.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            StreamKind::User(stream_type) => stream_type.as_str(),
            StreamKind::Streaming(_) => STREAMING,
            StreamKind::History(_) => HISTORY,
        }
    }

    /// Returns the settings for reading a history in slices. `None` for a user's events, of which
    /// Box has no history.
    pub(crate) fn history(&self) -> Option<HistorySettings> {
        match self {
            StreamKind::User(_) => None,
            StreamKind::Streaming(streaming) => Some(streaming.history),
            StreamKind::History(query) => Some(query.history()),
        }
    }

    /// Returns the kind of a slice of the history.
    pub(crate) fn slice(&self, calls: CallsPerMinute, range: Range<Timestamp>) -> Self {
        let types = match self {
            StreamKind::User(_) => EventTypes::default(),
            StreamKind::Streaming(streaming) => streaming.event_types.clone(),
            StreamKind::History(query) => query.event_types.clone(),
        };
        StreamKind::History(AdminLogs::slice(types, calls, range))
    }

    /// Returns Box's name for a kind, if `name` is one.
    pub(crate) fn known_name(name: &str) -> Option<&'static str> {
        let users = StreamType::ALL.map(StreamType::as_str);
        let mut names = users.into_iter().chain([STREAMING, HISTORY]);
        names.find(|known| *known == name)
    }

    /// Returns `true` if this is the name of an enterprise's past events.
    pub(crate) fn is_history(name: &str) -> bool {
        name == HISTORY
    }

    /// Returns `true` if Box has a history of the events of the kind with this name.
    pub(crate) fn has_history(name: &str) -> bool {
        [STREAMING, HISTORY].contains(&name)
    }

    /// Returns the time for which Box is sure to keep the events.
    ///
    /// For a user's events, Box's documentation names 21 days, 31 days for `sync`, and elsewhere
    /// two weeks to two months. The shortest of these counts.
    ///
    /// See <https://developer.box.com/guides/events/user-events/> and
    /// <https://developer.box.com/guides/events/enterprise-events/for-enterprise/>.
    pub(crate) fn retention(&self) -> Duration {
        match self {
            StreamKind::User(_) | StreamKind::Streaming(_) => LIVE_EVENTS_KEPT.unsigned_abs(),
            StreamKind::History(_) => HISTORY_KEPT.unsigned_abs(),
        }
    }

    /// Returns the rate limiter of a stream. `pace` is the limit for a user's events.
    pub(crate) fn rate_limiter(&self, pace: Pace, now: Instant) -> RateLimiter {
        match self {
            StreamKind::User(_) => pace.rate_limiter(now),
            StreamKind::Streaming(streaming) => streaming.calls.rate_limiter(now),
            StreamKind::History(query) => query.calls.rate_limiter(now),
        }
    }

    /// Appends the filters of the kind to the query of `GET /events`. `times` is the range from the
    /// start of the stream to now.
    pub(crate) fn append_filters(
        &self,
        query: &mut Serializer<'_, String>,
        times: Range<SystemTime>,
    ) {
        match self {
            StreamKind::User(_) => {}
            StreamKind::Streaming(streaming) => streaming.event_types.append_filters(query),
            StreamKind::History(history) => {
                history.event_types.append_filters(query);
                history.range.append_filters(query, times);
            }
        }
    }
}

impl fmt::Display for StreamType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
