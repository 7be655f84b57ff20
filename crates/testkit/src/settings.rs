use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::access::hashed;
use crate::limits::{MAX_MILLISECONDS, MAX_SERVERS, at_most};

/// How an account behaves. Everything can be changed while the emulator runs.
///
/// The same names are used by the control API (`PATCH /_emulator/settings`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Settings {
    /// Realistic events appended to every known account, each second. Default: 0.
    pub rate: f64,
    /// How likely an appended event is followed in the log by an earlier event once more: half of the time one of
    /// the last ten, else one of the last two thousand. Default: 0.
    pub repeat_rate: f64,
    /// How likely an event's `created_at` lies up to an hour before its place in the log. Default: 0.
    pub reorder_rate: f64,
    /// How likely a page is shorter than it could be. Default: 0.
    pub short_page_rate: f64,
    /// How likely a page is empty, with a position that has moved a little, though there is more. Default: 0.
    pub empty_page_rate: f64,
    /// How many of an account's last events are kept; `null` for all. A position before them continues with the oldest.
    /// Default: all.
    pub retention: Option<usize>,
    /// `GET /2.0/events` shows an event only this many milliseconds after it was signalled. Default: 0.
    pub visible_after_ms: u64,
    /// How `next_stream_position` is spelled. Box does both. Default: a string, because Box's SDKs for Node read a number as
    /// a float and lose their place.
    pub position_spelling: Spelling,
    /// Whether a page of an enterprise's events (`admin_logs` and `admin_logs_streaming`) carries position `0` where it has no
    /// event and none follows, as Box's may; unless `now` was asked for. Default: no.
    pub zero_position_at_the_end: bool,

    /// How many realtime servers the list has. Default: 1.
    pub realtime_servers: usize,
    /// Origins of the realtime servers, taken in turn; empty for the emulator's own. Default: empty.
    pub realtime_origins: Vec<String>,
    /// Whether the list's entries have a `type`. Default: yes.
    pub list_types: bool,
    /// `OPTIONS /2.0/events` rejects a `stream_type`, which Box does not document there, with a 400 in Box's form. Default:
    /// no.
    pub options_rejects_stream_type: bool,
    /// The list's `ttl`, in minutes, sent as it is; `null` leaves it out. Default: `"10"`, a string as in Box's reference.
    pub ttl: Value,
    /// The list's `max_retries`, sent as it is; `null` leaves it out. Default: `"10"`, a string as in Box's reference.
    pub max_retries: Value,
    /// The list's `retry_timeout`, in seconds, sent as it is; `null` leaves it out. Default: `610`.
    pub retry_timeout: Value,

    /// How many polls one realtime URL answers before it says `max_retries`; `null` for `max_retries` + 1. Default: `null`.
    pub polls_per_url: Option<u64>,
    /// The HTTP status that comes with the `max_retries` signal. Default: 200.
    pub max_retries_status: u16,
    /// What a poll's `stream_position` is good for. Default: honoured.
    pub poll_position: PollPosition,
    /// No change is ever signalled: polls end with `reconnect` alone. Default: no.
    pub drop_signals: bool,
    /// How long a poll is held before `reconnect`, in milliseconds. Default: 600,000.
    pub hold_ms: u64,
    /// Whether signals carry `"version":1`. Default: no.
    pub signal_version: bool,
    /// Whether the realtime servers demand the bearer token, and answer 401 without. Default: no.
    pub realtime_needs_token: bool,

    /// The made-up tokens that are accepted; `null` for any. Default: any.
    pub accepted_tokens: Option<BTreeSet<String>>,
    /// Tokens that are refused from now on. Default: none.
    pub revoked_tokens: BTreeSet<String>,
    /// The account that a made-up token belongs to. One that isn't here has an account of its own, named by the token.
    pub token_accounts: BTreeMap<String, String>,
    /// Only tokens that `POST /oauth2/token` issued are accepted, no made-up ones. Default: no.
    pub issued_tokens_only: bool,
    /// How long access tokens live that are issued from now on, in milliseconds. Default: 3,600,000.
    pub token_lifetime_ms: u64,
    /// How long refresh tokens live that are issued from now on, in milliseconds. Default: 60 days, as Box's.
    pub refresh_token_lifetime_ms: u64,
    /// Whether a 401 has an empty body. Default: no.
    pub empty_unauthorized: bool,
    /// How many API calls a caller may make in any minute before 429; `null` for no limit. Default: no limit.
    pub calls_per_minute: Option<usize>,
    /// How far the emulator's clock is ahead of the machine's, in seconds: in the `Date` of all answers, in events, and
    /// where a JWT's claims are checked. How long tokens live is measured without it. Default: 0.
    pub clock_skew_seconds: i64,
    /// Answers have no `Date`. Default: they have one.
    pub no_date: bool,
}

/// How a number is spelled in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spelling {
    /// `610`
    #[default]
    Number,
    /// `"610"`
    String,
}

/// What the `stream_position` of a poll is good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PollPosition {
    /// `new_change` comes at once when something lies behind the position.
    #[default]
    Honoured,
    /// Only what happens after the poll began is signalled.
    Ignored,
    /// `new_change` comes at once, always.
    AlwaysNewChange,
}

impl Spelling {
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
            short_page_rate: 0.0,
            empty_page_rate: 0.0,
            retention: None,
            visible_after_ms: 0,
            position_spelling: Spelling::String,
            zero_position_at_the_end: false,
            realtime_servers: 1,
            realtime_origins: Vec::new(),
            list_types: true,
            options_rejects_stream_type: false,
            ttl: json!("10"),
            max_retries: json!("10"),
            retry_timeout: json!(610),
            polls_per_url: None,
            max_retries_status: 200,
            poll_position: PollPosition::Honoured,
            drop_signals: false,
            // Ten seconds short of the `retry_timeout` above.
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
            clock_skew_seconds: 0,
            no_date: false,
        }
    }
}

impl Settings {
    /// These settings with some of them replaced: `{"repeat_rate": 0.1, "retention": null}`.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong with the change.
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

    fn check(&self) -> Result<(), String> {
        let probabilities = [
            ("repeat_rate", self.repeat_rate),
            ("reorder_rate", self.reorder_rate),
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
            ("hold_ms", self.hold_ms),
            ("token_lifetime_ms", self.token_lifetime_ms),
            ("refresh_token_lifetime_ms", self.refresh_token_lifetime_ms),
        ];
        for (name, value) in milliseconds {
            at_most(name, value, MAX_MILLISECONDS)?;
        }
        let skew = self.clock_skew_seconds.unsigned_abs();
        at_most("clock_skew_seconds", skew, MAX_MILLISECONDS / 1_000)?;
        at_most("realtime_servers", self.realtime_servers, MAX_SERVERS)?;
        if !(200..=599).contains(&self.max_retries_status) {
            return Err("max_retries_status is not between 200 and 599".into());
        }
        Ok(())
    }

    /// The settings in JSON, with a hash in place of each token.
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

    /// Whether a made-up token is accepted.
    pub(crate) fn accepts(&self, token: &str) -> bool {
        !self.issued_tokens_only
            && !self.revoked_tokens.contains(token)
            && self
                .accepted_tokens
                .as_ref()
                .is_none_or(|accepted| accepted.contains(token))
    }

    /// The account of a made-up token.
    pub(crate) fn account_of<'a>(&'a self, token: &'a str) -> &'a str {
        self.token_accounts.get(token).map_or(token, String::as_str)
    }

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
    fn a_change_leaves_the_rest_alone() {
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
    fn an_unknown_setting_or_an_impossible_value_is_refused() {
        for change in [
            json!({"speed": 1}),
            json!({"repeat_rate": 2}),
            json!({"rate": -1}),
            json!({"hold_ms": u64::MAX}),
            json!({"visible_after_ms": u64::MAX}),
            json!({"clock_skew_seconds": i64::MIN}),
            json!({"realtime_servers": 1_000_000_000_000_u64}),
            json!([]),
        ] {
            assert!(Settings::default().changed_by(&change).is_err(), "{change}");
        }
    }
}
