//! What a stream is a stream of, and what that means for how it is asked for.

use std::ops::Range;
use std::time::{Duration, Instant, SystemTime};

use url::form_urlencoded::Serializer;

use crate::config::{Config, StreamType};
use crate::enterprise::{AdminLogs, AdminLogsStreaming};
use crate::error::Error;
use crate::pacing::{Pace, RateLimiter};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const STREAMING: &str = "admin_logs_streaming";

/// What `GET /events` is asked for.
#[derive(Clone, Debug)]
pub(crate) enum Feed {
    /// A user's events. Realtime servers tell of them.
    User(StreamType),
    /// An enterprise's events as they happen, which have to be looked for.
    Streaming(AdminLogsStreaming),
    /// An enterprise's events of the past. They come to an end.
    History(AdminLogs),
}

impl Feed {
    /// Box's name for it.
    pub(crate) fn name(&self) -> FeedName {
        FeedName(match self {
            Feed::User(stream_type) => stream_type.as_str(),
            Feed::Streaming(_) => STREAMING,
            Feed::History(_) => "admin_logs",
        })
    }

    /// How long Box is sure to keep the events. For a user's its pages name 21 days, 31 for `sync`, and elsewhere two weeks
    /// to two months: the least counts.
    ///
    /// See <https://developer.box.com/guides/events/user-events/> and
    /// <https://developer.box.com/guides/events/enterprise-events/for-enterprise/>.
    pub(crate) fn kept_for(&self) -> Duration {
        match self {
            Feed::User(_) | Feed::Streaming(_) => 14 * DAY,
            Feed::History(_) => 365 * DAY,
        }
    }

    /// How often it may be asked for: `pace` is that of a user's events.
    pub(crate) fn rate_limiter(&self, pace: Pace, now: Instant) -> RateLimiter {
        match self {
            Feed::User(_) => pace.rate_limiter(now),
            Feed::Streaming(streaming) => streaming.calls.rate_limiter(now),
            Feed::History(query) => query.calls.rate_limiter(now),
        }
    }

    /// Adds what narrows it down to the query of `GET /events`. The times are those at which the stream began, and now.
    pub(crate) fn narrow(&self, query: &mut Serializer<'_, String>, times: Range<SystemTime>) {
        match self {
            Feed::User(_) => {}
            Feed::Streaming(streaming) => streaming.event_types.narrow(query),
            Feed::History(history) => {
                history.event_types.narrow(query);
                history.range.narrow(query, times);
            }
        }
    }
}

/// Box's name for a stream type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FeedName(&'static str);

impl FeedName {
    /// That of a feed that can be subscribed to.
    pub(crate) fn of_a_checkpoint(name: &str) -> Option<Self> {
        let users = StreamType::ALL.map(StreamType::as_str);
        let mut names = users.into_iter().chain([STREAMING]);
        names.find(|known| *known == name).map(Self)
    }

    pub(crate) fn as_str(self) -> &'static str {
        self.0
    }
}

impl Config {
    /// These settings, to follow an enterprise's events with a [`LongPoll`](crate::protocol::LongPoll) of your own. The
    /// stream type, the [pace](crate::LongPollClientBuilder::pace) and all that is said of realtime servers count no more.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), when a setting is out of its range; the sentence names it.
    pub fn enterprise(self, streaming: AdminLogsStreaming) -> Result<Self, Error> {
        streaming.check()?;
        Ok(self.of(Feed::Streaming(streaming)))
    }

    /// These settings, to query an enterprise's past with a [`LongPoll`](crate::protocol::LongPoll) of your own, which
    /// starts at [`AdminLogs::starts_at`] and comes to an end. The stream type, the
    /// [pace](crate::LongPollClientBuilder::pace) and all that is said of realtime servers count no more.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), when a setting is out of its range; the sentence names it.
    pub fn admin_logs(self, query: AdminLogs) -> Result<Self, Error> {
        query.check()?;
        Ok(self.of(Feed::History(query)))
    }

    fn of(mut self, feed: Feed) -> Self {
        self.feed = feed;
        self
    }
}
