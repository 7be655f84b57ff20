//! Settings: the behavior of accounts, tokens and realtime servers.
//!
//! Box does many things rarely, and some depend on the account. Settings make them likely or switch
//! them on. A fault concerns single requests instead. Start from [`Settings`].

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::access::hashed;
use crate::limits::{MAX_DELAY_MS, MAX_MILLISECONDS, MAX_SERVERS, at_most};

/// The behavior of the emulator. Every setting can be changed while the emulator runs.
///
/// The control API uses the same names: `PATCH /_emulator/settings`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an independent switch"
)]
pub struct Settings {
    /// The number of realistic events that are appended to every known account each second.
    /// Default: 0.
    pub rate: f64,
    /// The probability that a repeat of an earlier event follows an appended event. Half of the
    /// repeats are of one of the last 10 events, the others of one of the last 2,000. Default: 0.
    pub repeat_rate: f64,
    /// The probability that an event's `created_at` is up to an hour earlier than its place in the
    /// log suggests. Default: 0.
    pub reorder_rate: f64,
    /// The probability that an event is appended late: its `created_at` lies up to
    /// [`late_by_ms`](Self::late_by_ms) in the past. Default: 0.
    pub late_rate: f64,
    /// The greatest time in milliseconds by which an event is late. Default: 3 days.
    pub late_by_ms: u64,
    /// The probability that a page is shorter than it could be. Default: 0.
    pub short_page_rate: f64,
    /// The probability that a page is empty although more events follow. Its position moves a
    /// little. Default: 0.
    pub empty_page_rate: f64,
    /// The number of an account's last events that are kept; `null` for all. A page from an earlier
    /// position starts with the oldest kept event. Default: all.
    pub retention: Option<usize>,
    /// The time in milliseconds from the signal of an event until `GET /2.0/events` shows it.
    /// Default: 0.
    pub visible_after_ms: u64,
    /// The JSON type of `next_stream_position`. Box sends both. Default: a string, because Box's
    /// SDKs for Node read a number as a float and lose digits.
    pub position_spelling: Spelling,
    /// `true` if an empty page of an enterprise stream has position `0` when no events follow, as
    /// Box's pages may. Those streams are `admin_logs` and `admin_logs_streaming`. A request with
    /// position `now` is excepted. Default: `false`.
    pub zero_position_at_the_end: bool,
    /// The order in which `admin_logs` shows events. Default: [`AdminLogsOrder::Arrival`].
    pub admin_logs_order: AdminLogsOrder,
    /// The time in milliseconds from the arrival of an event until `admin_logs` shows it, at least
    /// [`visible_after_ms`](Self::visible_after_ms). Default: 0.
    pub admin_logs_delay_ms: u64,
    /// The age in milliseconds, by `created_at`, above which `admin_logs` shows no event and
    /// refuses a `created_after` with a 400; `null` for none. Box keeps events for 365 days.
    /// Default: none.
    pub admin_logs_retention_ms: Option<u64>,
    /// The time in milliseconds from the arrival of an event until `admin_logs_streaming` no longer
    /// shows it; `null` for never. A page from an earlier position starts with the oldest event
    /// that is left. Box keeps events for 14 days. Default: never.
    pub streaming_retention_ms: Option<u64>,
    /// The edge `created_after` of a range. Default: [`Edge::Exclusive`].
    pub created_after_edge: Edge,
    /// The edge `created_before` of a range. Default: [`Edge::Inclusive`].
    pub created_before_edge: Edge,

    /// The number of realtime servers in the list. Default: 1.
    pub realtime_servers: usize,
    /// The origins of the realtime servers, taken in turn; empty for the emulator's own. Default:
    /// empty.
    pub realtime_origins: Vec<String>,
    /// `true` if the list's entries have a `type`. Default: `true`.
    pub list_types: bool,
    /// `true` if `OPTIONS /2.0/events` rejects a `stream_type` with a 400 in Box's format. Box does
    /// not document the parameter there. Default: `false`.
    pub options_rejects_stream_type: bool,
    /// The list's `ttl` in minutes, sent unchanged; `null` leaves it out. Default: `"10"`, a string
    /// as in Box's reference.
    pub ttl: Value,
    /// The list's `max_retries`, sent unchanged; `null` leaves it out. Default: `"10"`, a string as
    /// in Box's reference.
    pub max_retries: Value,
    /// The list's `retry_timeout` in seconds, sent unchanged; `null` leaves it out. Default: `610`.
    pub retry_timeout: Value,

    /// The number of polls on one realtime URL before it sends `max_retries`; `null` for
    /// `max_retries` + 1. Default: `null`.
    pub polls_per_url: Option<u64>,
    /// The HTTP status of the `max_retries` signal. Default: 200.
    pub max_retries_status: u16,
    /// The effect of a poll's `stream_position`. Default: [`PollPosition::Honored`].
    pub poll_position: PollPosition,
    /// `true` if no change is signaled, so polls end only with `reconnect`. Default: `false`.
    pub drop_signals: bool,
    /// The time in milliseconds for which a poll is held before `reconnect`. Default: 600,000.
    pub hold_ms: u64,
    /// `true` if signals contain `"version":1`. Default: `false`.
    pub signal_version: bool,
    /// `true` if the realtime servers require the bearer token, and respond with 401 without it.
    /// Default: `false`.
    pub realtime_needs_token: bool,

    /// The accepted made-up tokens; `null` for any. Default: any.
    pub accepted_tokens: Option<BTreeSet<String>>,
    /// The tokens that are refused from now on. Default: none.
    pub revoked_tokens: BTreeSet<String>,
    /// The accounts of made-up tokens. A token that is not listed has an account of its own, which
    /// has the token's name.
    pub token_accounts: BTreeMap<String, String>,
    /// `true` if only tokens that `POST /oauth2/token` has issued are accepted, and no made-up
    /// ones. Default: `false`.
    pub issued_tokens_only: bool,
    /// The lifetime of access tokens that are issued from now on, in milliseconds. Default:
    /// 3,600,000.
    pub token_lifetime_ms: u64,
    /// The lifetime of refresh tokens that are issued from now on, in milliseconds. Default: 60
    /// days, as at Box.
    pub refresh_token_lifetime_ms: u64,
    /// `true` if a 401 has an empty body. Default: `false`.
    pub empty_unauthorized: bool,
    /// The number of API calls that a caller may make in any minute before it gets a 429; `null`
    /// for no limit. Default: no limit.
    pub calls_per_minute: Option<usize>,
    /// The number of API calls that a caller may make in a calendar month before it gets a 429
    /// whose `Retry-After` is the end of the month, in UTC and by the emulator's clock; `null` for
    /// no limit. Calls that get a 429 do not count. Default: no limit.
    pub calls_per_month: Option<usize>,
    /// The seconds by which the emulator's clock is ahead of the machine's. The skew affects the
    /// `Date` of all responses, the dates of events, and the check of a JWT's claims. It does not
    /// affect the lifetimes of tokens. Default: 0.
    pub clock_skew_seconds: i64,
    /// `true` if responses have no `Date`. Default: `false`.
    pub no_date: bool,

    /// The time in milliseconds that a byte takes between a client and the server, in either
    /// direction. It delays all that an [`EmulatorServer`](crate::EmulatorServer) and its clients
    /// send each other, including the ends of connections. Default: 0.
    pub latency_ms: u64,
    /// The time in milliseconds that a new connection takes before the first byte of its client
    /// departs; `null` for twice `latency_ms`, as TCP takes. Default: `null`.
    pub connect_ms: Option<u64>,
    /// The time in milliseconds that the server takes for each API call. A poll and a control
    /// request take no time. Default: 0.
    pub server_time_ms: u64,
    /// The bandwidth of the bytes that are sent to a client, in bytes per second and for each
    /// connection; `null` for no limit. Default: no limit.
    pub bytes_per_second: Option<u64>,
    /// `true` if an [`EmulatorServer`](crate::EmulatorServer) compresses responses with gzip: those
    /// to API calls whose `Accept-Encoding` permits it, from a body of 1 KiB on. Polls are never
    /// compressed. Default: `true`.
    pub gzip: bool,
    /// The time in milliseconds after which the server closes a connection that has no request in
    /// progress; `null` for never. A change affects a connection after its next request. Default:
    /// never.
    pub idle_close_ms: Option<u64>,
    /// The time in milliseconds after which a held poll's connection is closed without a response,
    /// as a proxy does; `null` for never. Default: never.
    pub cut_polls_after_ms: Option<u64>,
}

/// The spelling of a number in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spelling {
    /// `610`
    #[default]
    Number,
    /// `"610"`
    String,
}

/// The effect of a poll's `stream_position`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PollPosition {
    /// A poll gets `new_change` at once if an event follows the position.
    #[default]
    Honored,
    /// A poll gets `new_change` only for events that are appended after it began.
    Ignored,
    /// Every poll gets `new_change` at once.
    AlwaysNewChange,
}

/// The order in which `admin_logs` shows events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdminLogsOrder {
    /// The order of their arrival with repeats, as in `admin_logs_streaming`.
    #[default]
    Arrival,
    /// The order of `created_at` without repeats, as [at
    /// Box](https://developer.box.com/guides/events/enterprise-events/for-enterprise/).
    ///
    /// An event that arrives late stands at the time at which it happened, so a reader whose
    /// position is past that time misses it. An event without a readable `created_at` stands with
    /// the latest event so far.
    Chronological,
}

/// An edge of a range of dates, `created_after` or `created_before`, as part of the range or not.
/// Box does not document which of the two applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edge {
    /// The range contains the events of that second.
    Inclusive,
    /// The range does not contain the events of that second.
    Exclusive,
}

impl Spelling {
    /// Writes a number as JSON.
    pub(crate) fn spell(self, number: u64) -> String {
        match self {
            Self::Number => number.to_string(),
            Self::String => format!("\"{number}\""),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rate: 0.0,
            repeat_rate: 0.0,
            reorder_rate: 0.0,
            late_rate: 0.0,
            late_by_ms: 3 * 24 * 3_600_000,
            short_page_rate: 0.0,
            empty_page_rate: 0.0,
            retention: None,
            visible_after_ms: 0,
            position_spelling: Spelling::String,
            zero_position_at_the_end: false,
            admin_logs_order: AdminLogsOrder::Arrival,
            admin_logs_delay_ms: 0,
            admin_logs_retention_ms: None,
            streaming_retention_ms: None,
            created_after_edge: Edge::Exclusive,
            created_before_edge: Edge::Inclusive,
            realtime_servers: 1,
            realtime_origins: Vec::new(),
            list_types: true,
            options_rejects_stream_type: false,
            ttl: json!("10"),
            max_retries: json!("10"),
            retry_timeout: json!(610),
            polls_per_url: None,
            max_retries_status: 200,
            poll_position: PollPosition::Honored,
            drop_signals: false,
            // 10 s less than the `retry_timeout` above, so that a client gets `reconnect` before
            // its timeout.
            hold_ms: 600_000,
            signal_version: false,
            realtime_needs_token: false,
            accepted_tokens: None,
            revoked_tokens: BTreeSet::new(),
            token_accounts: BTreeMap::new(),
            issued_tokens_only: false,
            token_lifetime_ms: 3_600_000,
            refresh_token_lifetime_ms: 60 * 24 * 3_600_000,
            empty_unauthorized: false,
            calls_per_minute: None,
            calls_per_month: None,
            clock_skew_seconds: 0,
            no_date: false,
            latency_ms: 0,
            connect_ms: None,
            server_time_ms: 0,
            bytes_per_second: None,
            gzip: true,
            idle_close_ms: None,
            cut_polls_after_ms: None,
        }
    }
}

impl Settings {
    /// Returns these settings with some of them replaced, for example by
    /// `{"repeat_rate": 0.1, "retention": null}`.
    ///
    /// # Errors
    ///
    /// Returns a description if a setting is unknown or a value is not possible.
    pub fn changed_by(&self, change: &Value) -> Result<Self, String> {
        let Value::Object(change) = change else {
            return Err("the change is not a JSON object".into());
        };
        let mut all = serde_json::to_value(self).map_err(|error| error.to_string())?;
        for (name, value) in change {
            all[name] = value.clone();
        }
        let changed: Self = serde_json::from_value(all).map_err(|error| error.to_string())?;
        changed.check()?;
        Ok(changed)
    }

    /// Checks that all values are possible.
    fn check(&self) -> Result<(), String> {
        let probabilities = [
            ("repeat_rate", self.repeat_rate),
            ("reorder_rate", self.reorder_rate),
            ("late_rate", self.late_rate),
            ("short_page_rate", self.short_page_rate),
            ("empty_page_rate", self.empty_page_rate),
        ];
        for (name, value) in probabilities {
            if !(0.0..=1.0).contains(&value) {
                return Err(format!("{name} is not between 0 and 1"));
            }
        }
        if !(0.0..=1e6).contains(&self.rate) {
            return Err("rate is not between 0 and 1,000,000 a second".into());
        }
        let milliseconds = [
            ("visible_after_ms", self.visible_after_ms),
            ("late_by_ms", self.late_by_ms),
            ("admin_logs_delay_ms", self.admin_logs_delay_ms),
            (
                "admin_logs_retention_ms",
                self.admin_logs_retention_ms.unwrap_or(0),
            ),
            (
                "streaming_retention_ms",
                self.streaming_retention_ms.unwrap_or(0),
            ),
            ("hold_ms", self.hold_ms),
            ("token_lifetime_ms", self.token_lifetime_ms),
            ("refresh_token_lifetime_ms", self.refresh_token_lifetime_ms),
            ("idle_close_ms", self.idle_close_ms.unwrap_or(0)),
            ("cut_polls_after_ms", self.cut_polls_after_ms.unwrap_or(0)),
        ];
        for (name, value) in milliseconds {
            at_most(name, value, MAX_MILLISECONDS)?;
        }
        let delays = [
            ("latency_ms", self.latency_ms),
            ("connect_ms", self.connect_ms.unwrap_or(0)),
            ("server_time_ms", self.server_time_ms),
        ];
        for (name, value) in delays {
            at_most(name, value, MAX_DELAY_MS)?;
        }
        if self.bytes_per_second == Some(0) {
            return Err("bytes_per_second is 0: with null there is no limit".into());
        }
        let skew = self.clock_skew_seconds.unsigned_abs();
        at_most("clock_skew_seconds", skew, MAX_MILLISECONDS / 1_000)?;
        at_most("realtime_servers", self.realtime_servers, MAX_SERVERS)?;
        if !(200..=599).contains(&self.max_retries_status) {
            return Err("max_retries_status is not between 200 and 599".into());
        }
        Ok(())
    }

    /// Returns the settings as JSON, with a hash in place of each token.
    pub(crate) fn shown(&self) -> Value {
        let hashes = |tokens: &BTreeSet<String>| tokens.iter().map(|token| hashed(token)).collect();
        let accounts = self.token_accounts.iter();
        json!(Self {
            accepted_tokens: self.accepted_tokens.as_ref().map(hashes),
            revoked_tokens: hashes(&self.revoked_tokens),
            token_accounts: accounts
                .map(|(token, account)| (hashed(token), account.clone()))
                .collect(),
            ..self.clone()
        })
    }

    /// Returns `true` if a made-up token is accepted.
    pub(crate) fn accepts(&self, token: &str) -> bool {
        !self.issued_tokens_only
            && !self.revoked_tokens.contains(token)
            && self
                .accepted_tokens
                .as_ref()
                .is_none_or(|accepted| accepted.contains(token))
    }

    /// Returns the account of a made-up token.
    pub(crate) fn account_of<'a>(&'a self, token: &'a str) -> &'a str {
        self.token_accounts.get(token).map_or(token, String::as_str)
    }

    /// Returns the number of polls on one realtime URL. If `max_retries` is no number, it counts as
    /// 10.
    pub(crate) fn polls_per_url(&self) -> u64 {
        let max_retries = match &self.max_retries {
            Value::String(text) => text.parse().ok(),
            value => value.as_u64(),
        };
        self.polls_per_url
            .unwrap_or_else(|| max_retries.unwrap_or(10).saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_keeps_the_other_settings() {
        let changed = Settings::default()
            .changed_by(&json!({"repeat_rate": 0.5, "retention": 7}))
            .unwrap();
        assert_eq!(
            changed,
            Settings {
                repeat_rate: 0.5,
                retention: Some(7),
                ..Settings::default()
            }
        );
    }

    #[test]
    fn unknown_settings_and_impossible_values_are_refused() {
        for change in [
            json!({"speed": 1}),
            json!({"repeat_rate": 2}),
            json!({"rate": -1}),
            json!({"late_rate": 2}),
            json!({"late_by_ms": u64::MAX}),
            json!({"admin_logs_order": "by_name"}),
            json!({"admin_logs_delay_ms": u64::MAX}),
            json!({"admin_logs_retention_ms": u64::MAX}),
            json!({"streaming_retention_ms": u64::MAX}),
            json!({"created_after_edge": "open"}),
            json!({"hold_ms": u64::MAX}),
            json!({"visible_after_ms": u64::MAX}),
            json!({"latency_ms": u64::MAX}),
            json!({"connect_ms": u64::MAX}),
            json!({"server_time_ms": u64::MAX}),
            json!({"bytes_per_second": 0}),
            json!({"idle_close_ms": u64::MAX}),
            json!({"cut_polls_after_ms": u64::MAX}),
            json!({"clock_skew_seconds": i64::MIN}),
            json!({"realtime_servers": 1_000_000_000_000_u64}),
            json!([]),
        ] {
            assert!(Settings::default().changed_by(&change).is_err(), "{change}");
        }
    }
}
