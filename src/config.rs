//! The settings of a client, and the stream that they ask for.

pub(crate) mod admin_logs;
pub(crate) mod builder;
mod stream_kind;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

pub(crate) use self::admin_logs::{AdminLogs, AdminLogsStreaming};
pub(crate) use self::builder::LongPollClientBuilder;
pub(crate) use self::stream_kind::StreamKind;
pub use self::stream_kind::StreamType;
use crate::error::Error;
use crate::hosts::API_ORIGIN;
pub use crate::hosts::RealtimeHosts;
pub use crate::pacing::{Pace, RetryPolicy};

/// Box's own largest page.
const MAX_PAGE_LIMIT: u32 = 500;

/// Five full pages: Box repeats events across neighbouring pages, and a window below that lets repeats through.
const MIN_DEDUPE_WINDOW: usize = 2_500;

/// Enough for a few workers side by side; as full pages, a few MB that are fetched again after a restart.
const MAX_UNACKNOWLEDGED: usize = 16;

/// Enough for a backlog to be worked off quickly, and few enough connections for any machine and for Box.
const MAX_API_CALLS: usize = 64;

/// 10,000 streams listen within half a minute.
const MAX_SERVER_LISTS_PER_SECOND: u32 = 500;

const MAX_API_TIMEOUT: Duration = Duration::from_secs(3_600);

const MIN_HOLD: Duration = Duration::from_secs(1);

/// The longest `retry_timeout` that is heeded, twice Box's own, and 5 s.
const MAX_HOLD: Duration = Duration::from_secs(1_205);

/// The settings of a client, checked. Made by [`LongPollClientBuilder::config`].
#[derive(Clone, Debug)]
pub struct Config {
    /// Without a slash at its end.
    pub(crate) api_origin: Arc<str>,
    pub(crate) stream_kind: StreamKind,
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
    pub(crate) max_unacknowledged: usize,
    pub(crate) max_api_calls: usize,
    pub(crate) max_server_lists_per_second: u32,
}

/// Whether the realtime servers are sent the access token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RealtimeToken {
    /// They are not: the URL alone gives access. The default.
    #[default]
    Withhold,
    /// They are, for accounts whose realtime servers turn out to want it. The hosts are still those that
    /// [`RealtimeHosts`] permits. The API's own host is refused, unless it is loopback.
    Send,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            api_origin: API_ORIGIN.into(),
            stream_kind: StreamKind::User(StreamType::All),
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
            max_unacknowledged: MAX_UNACKNOWLEDGED,
            max_api_calls: MAX_API_CALLS,
            max_server_lists_per_second: MAX_SERVER_LISTS_PER_SECOND,
        }
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
        Ok(Self {
            stream_kind: StreamKind::Streaming(streaming),
            ..self
        })
    }

    /// These settings, to query an enterprise's past with a [`LongPoll`](crate::protocol::LongPoll) of your own, which
    /// comes to an end. The stream type, the
    /// [pace](crate::LongPollClientBuilder::pace) and all that is said of realtime servers count no more.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), when a setting is out of its range; the sentence names it.
    pub fn admin_logs(self, query: AdminLogs) -> Result<Self, Error> {
        query.check()?;
        Ok(Self {
            stream_kind: StreamKind::History(query),
            ..self
        })
    }

    /// These settings, on behalf of a user.
    pub(crate) fn acting_as(mut self, user_id: &str) -> Result<Self, Error> {
        self.as_user = Some(header("the id of the user to act as", user_id)?);
        Ok(self)
    }
}

/// This library's name and version.
pub(crate) fn user_agent() -> HeaderValue {
    HeaderValue::from_static(concat!("box-longpoll/", env!("CARGO_PKG_VERSION")))
}

fn header(name: &str, text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(text)
        .ok()
        .filter(|value| !value.is_empty())
        .ok_or_else(|| Error::config(format!("{name} is not text that a header can carry")))
}
