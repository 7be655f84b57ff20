//! The settings of a client.
//!
//! [`LongPollClientBuilder`] sets and checks them. A [`Config`] is the result, so it is always
//! valid. This module has the types of the settings: [`StreamType`], [`RealtimeHosts`],
//! [`RealtimeToken`], [`RetryPolicy`] and [`Pace`]. You need [`Config`] itself only to drive the
//! engine in [`protocol`](crate::protocol) yourself. Start at
//! [`LongPollClient::builder`](crate::LongPollClient::builder).

pub(crate) mod admin_logs;
pub(crate) mod builder;
mod stream_kind;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

pub(crate) use self::admin_logs::{
    AdminLogs, AdminLogsStreaming, HISTORY_KEPT, HistorySettings, Range,
};
pub(crate) use self::builder::LongPollClientBuilder;
pub use self::stream_kind::StreamType;
pub(crate) use self::stream_kind::{LIVE_EVENTS_KEPT, StreamKind};
use crate::error::{Error, ensure};
use crate::event::{Event, EventFilter};
use crate::hosts::API_ORIGIN;
pub use crate::hosts::RealtimeHosts;
pub use crate::pacing::{Pace, RetryPolicy};

/// The largest page that Box returns, in events.
const MAX_PAGE_LIMIT: u32 = 500;

/// The fewest ids to remember: those of five full pages. Box repeats events across neighboring
/// pages, and a smaller window lets repeats through.
const MIN_DEDUPE_WINDOW: usize = 2_500;

/// The least [`LongPollClientBuilder::max_staleness`]. At the default pace, a fetch each second
/// leaves half of the requests for other uses.
const MIN_STALENESS: Duration = Duration::from_secs(1);

/// The greatest [`LongPollClientBuilder::max_staleness`].
const MAX_STALENESS: Duration = Duration::from_secs(24 * 60 * 60);

/// The default of [`LongPollClientBuilder::event_delay`]: 5 minutes. Box usually shows an event
/// within seconds.
const DEFAULT_EVENT_DELAY: Duration = Duration::from_secs(5 * 60);

/// The greatest [`LongPollClientBuilder::event_delay`]: 24 h.
const MAX_EVENT_DELAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The default of [`LongPollClientBuilder::max_unacknowledged`]. It is enough for a few workers in
/// parallel. As full pages, the batches are a few MB that are fetched again after a restart.
const DEFAULT_MAX_UNACKNOWLEDGED: usize = 16;

/// The default of [`LongPollClientBuilder::max_api_calls`]. It is enough to catch up with a backlog
/// quickly, and few enough connections for any machine and for Box.
const DEFAULT_MAX_API_CALLS: usize = 64;

/// The default of [`LongPollClientBuilder::max_server_lists_per_second`]. At this rate,
/// 10,000 streams are listening within 30 s.
const DEFAULT_MAX_SERVER_LISTS_PER_SECOND: u32 = 500;

/// The longest name of a stream, in bytes. It stands on every line of the log.
const MAX_STREAM_NAME: usize = 128;

/// The longest API timeout: 1 h.
const MAX_API_TIMEOUT: Duration = Duration::from_secs(3_600);

/// The shortest limit on a poll: 1 s.
const MIN_HOLD: Duration = Duration::from_secs(1);

/// The longest limit on a poll: the longest `retry_timeout` that is respected, which is 1,200 s and
/// about twice Box's own, and 5 s more.
const MAX_HOLD: Duration = Duration::from_secs(1_205);

/// The checked settings of a client, created by [`LongPollClientBuilder::config`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The origin of Box's API, without a slash at its end.
    pub(crate) api_origin: Arc<str>,
    pub(crate) stream_kind: StreamKind,
    /// The name of the streams in the log and in metrics, if the program has set one.
    pub(crate) stream_name: Option<Arc<str>>,
    /// The events that streams deliver. Derived clients share it.
    pub(crate) filter: Arc<EventFilter>,
    pub(crate) page_limit: u32,
    pub(crate) as_user: Option<HeaderValue>,
    pub(crate) user_agent: HeaderValue,
    pub(crate) api_timeout: Duration,
    pub(crate) max_hold: Duration,
    pub(crate) realtime_hosts: RealtimeHosts,
    pub(crate) realtime_token: RealtimeToken,
    pub(crate) retry: RetryPolicy,
    pub(crate) pace: Pace,
    pub(crate) dedupe_window: usize,
    pub(crate) read_ahead: usize,
    pub(crate) max_staleness: Option<Duration>,
    pub(crate) event_delay: Duration,
    pub(crate) max_unacknowledged: usize,
    pub(crate) max_api_calls: usize,
    pub(crate) max_server_lists_per_second: u32,
}

/// A setting that decides whether polls send the access token to the realtime servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RealtimeToken {
    /// Polls carry no token, because the URL alone gives access. This is the default.
    #[default]
    Withhold,
    /// Polls carry the token. Choose this if the realtime servers respond 401 or 403 without it.
    /// Polls still go only to hosts that [`RealtimeHosts`] permits, and never to the API's own
    /// host, unless it is loopback.
    Send,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            api_origin: API_ORIGIN.into(),
            stream_kind: StreamKind::User(StreamType::All),
            stream_name: None,
            filter: Arc::default(),
            page_limit: MAX_PAGE_LIMIT,
            as_user: None,
            user_agent: user_agent(),
            api_timeout: Duration::from_secs(60),
            max_hold: MAX_HOLD,
            realtime_hosts: RealtimeHosts::default(),
            realtime_token: RealtimeToken::Withhold,
            retry: RetryPolicy::default(),
            pace: Pace::default(),
            dedupe_window: MIN_DEDUPE_WINDOW,
            read_ahead: 1,
            max_staleness: None,
            event_delay: DEFAULT_EVENT_DELAY,
            max_unacknowledged: DEFAULT_MAX_UNACKNOWLEDGED,
            max_api_calls: DEFAULT_MAX_API_CALLS,
            max_server_lists_per_second: DEFAULT_MAX_SERVER_LISTS_PER_SECOND,
        }
    }
}

impl Config {
    /// Returns these settings for an enterprise's live events, to use with a
    /// [`LongPoll`](crate::protocol::LongPoll) of your own. The stream type, the
    /// [pace](crate::LongPollClientBuilder::pace) and the settings of realtime servers no longer
    /// apply.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if a setting is out of range or malformed.
    /// The message names the setting.
    pub fn enterprise(self, streaming: AdminLogsStreaming) -> Result<Self, Error> {
        streaming.check()?;
        Ok(Self {
            stream_kind: StreamKind::Streaming(streaming),
            ..self
        })
    }

    /// Returns these settings for a query of an enterprise's past events, to use with a
    /// [`LongPoll`](crate::protocol::LongPoll) of your own, which ends when the query is complete.
    /// The stream type, the [pace](crate::LongPollClientBuilder::pace) and the settings of realtime
    /// servers no longer apply.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if a setting is out of range or malformed.
    /// The message names the setting.
    pub fn admin_logs(self, query: AdminLogs) -> Result<Self, Error> {
        query.check()?;
        Ok(Self {
            stream_kind: StreamKind::History(query),
            ..self
        })
    }

    /// Returns these settings for requests as another user, by the `As-User` header. Without this
    /// call, requests are for the token's own user. A program with a client uses
    /// [`LongPollClient::as_user`](crate::LongPollClient::as_user) instead.
    ///
    /// See <https://developer.box.com/guides/authentication/jwt/as-user/>.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the id is empty, or if a header can't
    /// carry it.
    pub fn as_user(mut self, user_id: &str) -> Result<Self, Error> {
        self.as_user = Some(header("the id of the user to act as", user_id)?);
        Ok(self)
    }

    /// Returns these settings for streams with this name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the name can't be used.
    pub(crate) fn named(mut self, name: &str) -> Result<Self, Error> {
        let is_usable = (1..=MAX_STREAM_NAME).contains(&name.len());
        ensure(
            is_usable && !name.chars().any(char::is_control),
            "the name of a stream must have 1 to 128 bytes, and no control character",
        )?;
        self.stream_name = Some(name.into());
        Ok(self)
    }

    /// Returns `true` if a stream delivers the event, unless it is a repeat.
    pub(crate) fn wants(&self, event: &Event) -> bool {
        self.filter.matches(event)
    }
}

/// Returns this library's name and version.
pub(crate) fn user_agent() -> HeaderValue {
    HeaderValue::from_static(concat!("box-longpoll/", env!("CARGO_PKG_VERSION")))
}

fn header(name: &str, text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(text)
        .ok()
        .filter(|value| !value.is_empty())
        .ok_or_else(|| Error::config(format!("{name} is not text that a header can carry")))
}
