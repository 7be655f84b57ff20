//! The builder of a client.
//!
//! Each setter stores its value, and [`config`](LongPollClientBuilder::config) checks all of them
//! at once, so a setting that is out of range is reported when the client is built. Start at
//! [`LongPollClientBuilder`].

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::{
    Config, MAX_API_TIMEOUT, MAX_EVENT_DELAY, MAX_HOLD, MAX_PAGE_LIMIT, MAX_STALENESS,
    MIN_DEDUPE_WINDOW, MIN_HOLD, MIN_STALENESS, RealtimeToken, StreamKind, StreamType, header,
};
use crate::dedup::MAX_WINDOW;
use crate::error::{Error, ensure};
use crate::event::EventFilter;
use crate::hosts::{RealtimeHosts, api_origin, is_loopback};
use crate::pacing::{Pace, RetryPolicy};

/// A builder of a [`LongPollClient`](crate::LongPollClient), created by
/// [`LongPollClient::builder`](crate::LongPollClient::builder). Every setting has a default.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct LongPollClientBuilder {
    config: Config,
    api_origin: Option<String>,
    user_agent: Option<String>,
    stream_name: Option<String>,
}

impl LongPollClientBuilder {
    /// Sets the origin of Box's API. Default: `https://api.box.com`. It has no path. Plain `http`
    /// is accepted for loopback only. If you run a fake Box on this machine, its realtime servers
    /// are on loopback too: see [`RealtimeHosts::allow_loopback`].
    pub fn api_origin(mut self, origin: impl Into<String>) -> Self {
        self.api_origin = Some(origin.into());
        self
    }

    /// Sets the name of the client's streams in the [log and in metrics](crate::monitoring). Visible
    /// characters and spaces, 1 to 128 bytes. Default: the user that the client [acts
    /// as](crate::LongPollClient::as_user), or else the key of the subscription, or else the account
    /// of the token source, or else a number. In metrics, a stream has a name only if you set one.
    ///
    /// Derived clients keep the name. Give each of them one of its own with
    /// [`with_stream_name`](crate::LongPollClient::with_stream_name). The name must contain no
    /// secret.
    pub fn stream_name(mut self, name: impl Into<String>) -> Self {
        self.stream_name = Some(name.into());
        self
    }

    /// Sets the type of events to follow. Default: [`StreamType::All`].
    pub fn stream_type(mut self, stream_type: StreamType) -> Self {
        self.config.stream_kind = StreamKind::User(stream_type);
        self
    }

    /// Sets the events that streams and subscriptions deliver. Default: all events. The client
    /// applies the filter after Box has sent the events: see [`EventFilter`] for the filters of
    /// Box, which save traffic. A filter does not change the pages that
    /// [`fetch`](crate::LongPollClient::fetch) returns.
    pub fn filter(mut self, filter: EventFilter) -> Self {
        self.config.filter = Arc::new(filter);
        self
    }

    /// Sets the maximum number of events per page, 1 to 500. Default: 500. If a page is too large
    /// or too slow, a stream requests smaller pages for a while.
    pub fn page_limit(mut self, events: u32) -> Self {
        self.config.page_limit = events;
        self
    }

    /// Sets the `User-Agent` header. Default: this library's name and version.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = Some(user_agent.into());
        self
    }

    /// Sets the timeout of a response from the API, including its body. Longer than zero, at most
    /// 1 h. Default: 60 s. For a list of realtime servers, the timeout is never longer than 10 s,
    /// because no poll is open meanwhile.
    pub fn api_timeout(mut self, timeout: Duration) -> Self {
        self.config.api_timeout = timeout;
        self
    }

    /// Sets the longest time to hold one poll, even if the server's `retry_timeout` is longer. When
    /// that time is over, the client fetches and polls again. Set a shorter time if a proxy closes
    /// idle connections. From 1 s to 1,205 s. Default: 1,205 s, so that the server decides.
    pub fn max_hold(mut self, hold: Duration) -> Self {
        self.config.max_hold = hold;
        self
    }

    /// Sets the hosts at which realtime servers may be polled. Default: the subdomains of `box.com`
    /// and `box.net`, over https.
    pub fn realtime_hosts(mut self, hosts: RealtimeHosts) -> Self {
        self.config.realtime_hosts = hosts;
        self
    }

    /// Sets whether polls send the access token to the realtime servers. Default:
    /// [`RealtimeToken::Withhold`].
    pub fn realtime_token(mut self, token: RealtimeToken) -> Self {
        self.config.realtime_token = token;
        self
    }

    /// Sets the waits after failures. Default: those of [`RetryPolicy`], from 50 ms to 60 s.
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.config.retry = retry;
        self
    }

    /// Limits the requests that bring no new event, for each stream of a user's events. Default:
    /// that of [`Pace`], 5 per second and 120 per minute. An enterprise's events have
    /// [`calls_per_minute`](crate::enterprise::AdminLogsStreaming::calls_per_minute) instead.
    pub fn pace(mut self, pace: Pace) -> Self {
        self.config.pace = pace;
        self
    }

    /// Sets the number of event ids that each stream remembers to skip repeats. From 2,500 to
    /// 65,535. Default: 2,500. They are the ids of the latest events, and each takes 15 bytes of
    /// memory. A checkpoint carries them too, with 32 bytes each in JSON.
    pub fn dedupe_window(mut self, events: usize) -> Self {
        self.config.dedupe_window = events;
        self
    }

    /// Sets the number of pages that a stream fetches while your code handles a batch: 0 or 1.
    /// Default: 1. The page that is read ahead takes memory until you request it.
    ///
    /// A page that was fetched ahead counts as handled only after the batches before it, so a crash
    /// loses nothing. The request is sent before you get the batch. There is one exception: if you
    /// requested this batch within 1 ms of getting the one before, the request is sent when you
    /// request the next batch. If the transport works by itself, as reqwest and isahc do, the
    /// request proceeds even while you do not poll the stream. With surf, it proceeds only while
    /// you poll the stream.
    pub fn read_ahead(mut self, pages: usize) -> Self {
        self.config.read_ahead = pages;
        self
    }

    /// Sets the longest time between two fetches of a user's stream, from 1 s to 1 day. Default: no
    /// limit, because a realtime server signals each change.
    ///
    /// Set this if you do not trust the signals: a stream then also fetches while it holds a poll.
    /// If Box's API responds and your code is waiting for a batch, an event arrives no later than
    /// this time, plus the time of one fetch, after Box shows it. These fetches count against the
    /// [pace](Self::pace), which may delay them.
    pub fn max_staleness(mut self, time: Duration) -> Self {
        self.config.max_staleness = Some(time);
        self
    }

    /// Sets the longest time that you expect between an event and its appearance in Box's stream.
    /// From 0 to 24 h. Default: 5 minutes.
    ///
    /// [`complete_until`](crate::StreamHandle::complete_until) stays this far behind the fetches
    /// that prove it. After a long absence, a stream that began with the
    /// [history](crate::StartAt::Since) also reads it again from that time. Nothing else depends on
    /// this setting. Box documents no limit for the delay, and dates events to the second, so the
    /// delay is at least 1 s in practice. Choose a longer time if a late event costs more than a
    /// late result. `admin_logs` shows new events later than `admin_logs_streaming`: see
    /// <https://developer.box.com/guides/events/enterprise-events/for-enterprise/>.
    pub fn event_delay(mut self, delay: Duration) -> Self {
        self.config.event_delay = delay;
        self
    }

    /// Sets the maximum number of batches that a [`Subscription`](crate::Subscription) has
    /// delivered but that are not durable yet. A batch is durable once it and all batches before it
    /// are acknowledged and the checkpoint is saved. At the maximum, the subscription waits and
    /// delivers nothing. At least 1. Default: 16, so up to 8,000 events.
    pub fn max_unacknowledged(mut self, batches: usize) -> Self {
        self.config.max_unacknowledged = batches;
        self
    }

    /// Sets the maximum number of calls to Box's API that a client has in flight at once. The limit
    /// holds for the client, its clones, its [derived clients](crate::LongPollClient::with_tokens)
    /// and all their streams together. At least 1. Default: 64.
    ///
    /// Other calls wait in the order of their arrival. The [timeout](Self::api_timeout) of a call
    /// begins when it is sent. The limit does not count polls, which the realtime servers hold for
    /// minutes, or the requests of a token source. If a call is sent while your code handles a
    /// batch, it counts for at most 2 s, because your code may not take the response for a long
    /// time.
    pub fn max_api_calls(mut self, calls: usize) -> Self {
        self.config.max_api_calls = calls;
        self
    }

    /// Sets the maximum number of lists of realtime servers that a client and its derived clients
    /// request in any second. A stream requests a list when it starts, and when a server signals it
    /// to reconnect. A server that restarts sends this signal to all its streams at once. At
    /// least 1. Default: 500, so that 10,000 streams are listening within 30 s.
    pub fn max_server_lists_per_second(mut self, lists: u32) -> Self {
        self.config.max_server_lists_per_second = lists;
        self
    }

    /// Checks the settings and returns them without a client, for programs that drive
    /// [`LongPoll`](crate::protocol::LongPoll) themselves.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if a setting is out of range or malformed.
    /// The message names the setting.
    pub fn config(self) -> Result<Config, Error> {
        let mut config = self.config;
        ensure(
            (1..=MAX_PAGE_LIMIT).contains(&config.page_limit),
            "the page limit must be 1 to 500",
        )?;
        ensure(
            (MIN_DEDUPE_WINDOW..=MAX_WINDOW).contains(&config.dedupe_window),
            "the dedupe window must hold 2,500 to 65,535 events",
        )?;
        ensure(config.read_ahead <= 1, "0 or 1 pages may be read ahead")?;
        ensure(
            config
                .max_staleness
                .is_none_or(|most| (MIN_STALENESS..=MAX_STALENESS).contains(&most)),
            "the longest time between two fetches must be 1 s to 1 day",
        )?;
        ensure(
            config.event_delay <= MAX_EVENT_DELAY,
            "the delay of events must be at most 24 hours",
        )?;
        ensure(
            config.max_unacknowledged >= 1,
            "at least one batch must be delivered before an acknowledgement",
        )?;
        ensure(
            config.max_api_calls >= 1,
            "at least one API call must be permitted at once",
        )?;
        ensure(
            config.max_server_lists_per_second >= 1,
            "at least one list of servers a second must be permitted",
        )?;
        ensure(
            !config.api_timeout.is_zero() && config.api_timeout <= MAX_API_TIMEOUT,
            "the API timeout must be longer than zero and at most an hour",
        )?;
        ensure(
            (MIN_HOLD..=MAX_HOLD).contains(&config.max_hold),
            "the longest hold must be 1 s to 1,205 s",
        )?;
        config.realtime_hosts.check()?;
        config.retry.check()?;
        config.pace.check()?;
        if let Some(origin) = &self.api_origin {
            config.api_origin = api_origin(origin)?.into();
        }
        // A poll that sends the token to the API's host would be an API call that the realtime
        // server chooses. On loopback, where tests have both at one host, that does no harm.
        if config.realtime_token == RealtimeToken::Send
            && let Ok(api) = Url::parse(&config.api_origin)
            && !is_loopback(&api)
            && let Some(host) = api.host_str()
        {
            config.realtime_hosts.refuse(host);
        }
        if let Some(user_agent) = &self.user_agent {
            config.user_agent = header("the user agent", user_agent)?;
        }
        if let Some(name) = &self.stream_name {
            config = config.named(name)?;
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[track_caller]
    fn assert_refused(builder: LongPollClientBuilder) {
        assert_eq!(builder.config().unwrap_err().kind(), ErrorKind::Config);
    }

    #[test]
    fn origin_is_refused_beyond_https_and_loopback() {
        let builder = LongPollClientBuilder::default;
        for refused in [
            "http://api.box.com",
            "https://user@api.box.com",
            "https://api.box.com/2.0",
            "https://api.box.com?x",
            "ftp://api.box.com",
            "api.box.com",
            "http://10.0.0.1",
            "http://localhost.example.com",
            "https://a`b.com",
            "https://a\"b.com",
            &format!("https://{}.com", "a.".repeat(10_000)),
        ] {
            assert_refused(builder().api_origin(refused));
        }
        for (taken, origin) in [
            ("https://api.box.com/", "https://api.box.com"),
            ("http://127.0.0.1:8787", "http://127.0.0.1:8787"),
            ("http://[::1]:1", "http://[::1]:1"),
            ("http://localhost:1", "http://localhost:1"),
        ] {
            assert_eq!(
                &*builder().api_origin(taken).config().unwrap().api_origin,
                origin
            );
        }
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let builder = LongPollClientBuilder::default;
        assert_refused(builder().page_limit(0));
        assert_refused(builder().page_limit(501));
        assert_refused(builder().dedupe_window(2_499));
        assert_refused(builder().dedupe_window(65_536));
        assert_refused(builder().max_unacknowledged(0));
        assert_refused(builder().read_ahead(2));
        assert_refused(builder().max_staleness(Duration::from_millis(999)));
        assert_refused(builder().max_staleness(Duration::MAX));
        assert_refused(builder().event_delay(Duration::from_secs(24 * 60 * 60 + 1)));
        assert_refused(builder().max_api_calls(0));
        assert_refused(builder().max_server_lists_per_second(0));
        assert_refused(builder().max_hold(Duration::ZERO));
        assert_refused(builder().api_timeout(Duration::ZERO));
        assert_refused(builder().user_agent(""));
        assert_refused(builder().stream_name(""));
        assert_refused(builder().stream_name("two\nlines"));
        assert_refused(builder().stream_name("x".repeat(129)));
        assert_refused(builder().api_timeout(Duration::MAX));
        for host in [
            "",
            "localhost",
            "10.0.0.5",
            "a.example:",
            "a.example:0x1bb",
            "a.example:65536",
            "user@a.example",
            "https://a.example",
        ] {
            assert_refused(builder().realtime_hosts(RealtimeHosts::default().allow(host)));
        }
        assert_refused(builder().pace(Pace::default().per_second(1)));
        assert_refused(builder().pace(Pace::default().per_minute(9)));
        assert_refused(builder().pace(Pace::default().small_pages_per_minute(14)));
        let retry = RetryPolicy::default;
        let over_an_hour = Duration::from_secs(3_601);
        for policy in [
            retry().first(Duration::ZERO),
            retry()
                .first(Duration::from_secs(2))
                .longest(Duration::from_secs(1)),
            retry().longest(over_an_hour),
            retry().degraded_interval(Duration::ZERO),
            retry().degraded_interval(over_an_hour),
        ] {
            assert_refused(builder().retry(policy));
        }
    }
}
