//! The builder of a client's settings.

use std::time::Duration;

use url::Url;

use super::{
    Config, MAX_API_TIMEOUT, MAX_HOLD, MAX_PAGE_LIMIT, MIN_DEDUPE_WINDOW, MIN_HOLD, RealtimeToken,
    StreamKind, StreamType, header,
};
use crate::dedup::MAX_WINDOW;
use crate::error::{Error, ensure};
use crate::hosts::{RealtimeHosts, api_origin, is_loopback};
use crate::pacing::{Pace, RetryPolicy};

/// Builds a [`LongPollClient`](crate::LongPollClient); see [`builder`](crate::LongPollClient::builder).
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct LongPollClientBuilder {
    config: Config,
    api_origin: Option<String>,
    as_user: Option<String>,
    user_agent: Option<String>,
}

impl LongPollClientBuilder {
    /// Where Box's API is. Default: `https://api.box.com`. Plain `http` is taken for loopback only. A fake Box on this
    /// machine has its realtime servers here too: see [`RealtimeHosts::allow_loopback`].
    pub fn api_origin(mut self, origin: impl Into<String>) -> Self {
        self.api_origin = Some(origin.into());
        self
    }

    /// Which events to follow. Default: [`StreamType::All`].
    pub fn stream_type(mut self, stream_type: StreamType) -> Self {
        self.config.stream_kind = StreamKind::User(stream_type);
        self
    }

    /// The most events to ask for at once, 1 to 500. Default: 500.
    pub fn page_limit(mut self, events: u32) -> Self {
        self.config.page_limit = events;
        self
    }

    /// The id of the user to act as, by the `As-User` header. Default: the token's own user.
    ///
    /// See <https://developer.box.com/guides/authentication/jwt/as-user/>.
    pub fn as_user(mut self, user_id: impl Into<String>) -> Self {
        self.as_user = Some(user_id.into());
        self
    }

    /// The `User-Agent` header. Default: this library's name and version.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = Some(user_agent.into());
        self
    }

    /// How long to wait for an answer of the API, body included. At most an hour; default: 60 s. A list of realtime servers
    /// is given 10 s at most, since nothing is fetched meanwhile.
    pub fn api_timeout(mut self, timeout: Duration) -> Self {
        self.config.api_timeout = timeout;
        self
    }

    /// The longest time to hold one poll, whatever the server's `retry_timeout` says; after it the client fetches and
    /// polls anew. Lower it where a proxy cuts quiet connections. 1 s to 1,205 s; default: 1,205 s, which leaves it to the
    /// server.
    pub fn max_hold(mut self, hold: Duration) -> Self {
        self.config.max_hold = hold;
        self
    }

    /// Which hosts the realtime servers may have. Default: those of `box.com` and `box.net`, over https.
    pub fn realtime_hosts(mut self, hosts: RealtimeHosts) -> Self {
        self.config.realtime_hosts = hosts;
        self
    }

    /// Whether the realtime servers are sent the access token. Default: [`RealtimeToken::Withhold`].
    pub fn realtime_token(mut self, token: RealtimeToken) -> Self {
        self.config.realtime_token = token;
        self
    }

    /// How long to wait between failures.
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.config.retry = retry;
        self
    }

    /// How often a stream of a user's events may ask in vain. For those of an enterprise there is
    /// [`calls_per_minute`](crate::enterprise::AdminLogsStreaming::calls_per_minute).
    pub fn pace(mut self, pace: Pace) -> Self {
        self.config.pace = pace;
        self
    }

    /// How many of the latest events are remembered to suppress repeats, 15 bytes each. Default, and least: 2,500; at most
    /// 65,535. A checkpoint carries them too.
    pub fn dedupe_window(mut self, events: usize) -> Self {
        self.config.dedupe_window = events;
        self
    }

    /// How many batches a [`Subscription`](crate::Subscription) delivers that are not durable yet, because they are not
    /// acknowledged or the checkpoint can't be saved. At least 1; default: 16, so up to 8,000 events.
    pub fn max_unacknowledged(mut self, batches: usize) -> Self {
        self.config.max_unacknowledged = batches;
        self
    }

    /// How many calls to Box's API a client has under way at once, together with its clones, its
    /// [siblings](crate::LongPollClient::with_tokens) and all their streams. At least 1; default: 64.
    ///
    /// The others wait in the order in which they came; a call's [timeout](Self::api_timeout) begins when it is sent. Polls,
    /// which the realtime servers hold for minutes, are not counted, nor is what a token source does.
    pub fn max_api_calls(mut self, calls: usize) -> Self {
        self.config.max_api_calls = calls;
        self
    }

    /// How many lists of realtime servers they ask for in any second, at most. A stream asks for one when it starts, and when a
    /// server tells it to reconnect, which a server that is restarted tells all at once. At least 1; default: 500, which has
    /// 10,000 streams listen within half a minute.
    pub fn max_server_lists_per_second(mut self, lists: u32) -> Self {
        self.config.max_server_lists_per_second = lists;
        self
    }

    /// The checked settings alone, for those who drive [`LongPoll`](crate::protocol::LongPoll) themselves.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), when a setting is out of its range; the sentence names it.
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
        // A poll with the token at the API's host would be an API call, of the realtime server's choice. On loopback, where
        // tests have both at one host, it does no harm.
        if config.realtime_token == RealtimeToken::Send
            && let Ok(api) = Url::parse(&config.api_origin)
            && !is_loopback(&api)
            && let Some(host) = api.host_str()
        {
            config.realtime_hosts.refuse(host);
        }
        if let Some(user) = &self.as_user {
            config = config.acting_as(user)?;
        }
        if let Some(user_agent) = &self.user_agent {
            config.user_agent = header("the user agent", user_agent)?;
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
    fn the_token_may_go_to_https_and_loopback_only() {
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
        assert_refused(builder().max_api_calls(0));
        assert_refused(builder().max_server_lists_per_second(0));
        assert_refused(builder().max_hold(Duration::ZERO));
        assert_refused(builder().api_timeout(Duration::ZERO));
        assert_refused(builder().as_user("1\r\nX: y"));
        assert_refused(builder().user_agent(""));
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
