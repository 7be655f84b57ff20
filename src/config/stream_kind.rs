//! Which events a stream is of, and what that means for its requests.

use std::fmt;
use std::ops::Range;
use std::time::{Duration, Instant, SystemTime};

use url::form_urlencoded::Serializer;

use super::{AdminLogs, AdminLogsStreaming};
use crate::pacing::{Pace, RateLimiter};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const STREAMING: &str = "admin_logs_streaming";

/// Which of a user's events to follow. For those of a whole enterprise there is
/// [`LongPollClient::enterprise`](crate::LongPollClient::enterprise).
///
/// See <https://developer.box.com/guides/events/user-events/>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamType {
    /// Everything the user sees happen. The default.
    #[default]
    All,
    /// Only what may change the tree of files and folders.
    Changes,
    /// As `Changes`, for synced folders only.
    Sync,
}

impl StreamType {
    pub(crate) const ALL: [Self; 3] = [Self::All, Self::Changes, Self::Sync];

    /// Box's name for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            StreamType::All => "all",
            StreamType::Changes => "changes",
            StreamType::Sync => "sync",
        }
    }
}

/// What `GET /events` is asked for.
#[derive(Clone, Debug)]
pub(crate) enum StreamKind {
    /// A user's events. Realtime servers tell of them.
    User(StreamType),
    /// An enterprise's events as they happen, which have to be looked for.
    Streaming(AdminLogsStreaming),
    /// An enterprise's events of the past. They come to an end.
    History(AdminLogs),
}

impl StreamKind {
    /// Box's name for it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            StreamKind::User(stream_type) => stream_type.as_str(),
            StreamKind::Streaming(_) => STREAMING,
            StreamKind::History(_) => "admin_logs",
        }
    }

    /// Box's name for a stream that can be subscribed to, if it is one.
    pub(crate) fn of_a_checkpoint(name: &str) -> Option<&'static str> {
        let users = StreamType::ALL.map(StreamType::as_str);
        let mut names = users.into_iter().chain([STREAMING]);
        names.find(|known| *known == name)
    }

    /// How long Box is sure to keep the events. For a user's its pages name 21 days, 31 for `sync`, and elsewhere two weeks
    /// to two months: the least counts.
    ///
    /// See <https://developer.box.com/guides/events/user-events/> and
    /// <https://developer.box.com/guides/events/enterprise-events/for-enterprise/>.
    pub(crate) fn retention(&self) -> Duration {
        match self {
            StreamKind::User(_) | StreamKind::Streaming(_) => 14 * DAY,
            StreamKind::History(_) => 365 * DAY,
        }
    }

    /// How often it may be asked for: `pace` is that of a user's events.
    pub(crate) fn rate_limiter(&self, pace: Pace, now: Instant) -> RateLimiter {
        match self {
            StreamKind::User(_) => pace.rate_limiter(now),
            StreamKind::Streaming(streaming) => streaming.calls.rate_limiter(now),
            StreamKind::History(query) => query.calls.rate_limiter(now),
        }
    }

    /// Adds what narrows it down to the query of `GET /events`. The times are those at which the stream began, and now.
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
