//! How Box, the network and the program are throughout a run.

use std::time::Duration;

use box_longpoll_testkit::{PollPosition, Settings, Spelling};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::permanent::Weather;

/// How Box, the network and the program are throughout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own, as in the emulator"
)]
pub(crate) struct Climate {
    pub(crate) consumer: Consumer,
    /// Whether the account is an enterprise, which is followed without realtime servers. Not by every consumer.
    pub(crate) enterprise: bool,
    pub(crate) start: Start,
    pub(crate) page_limit: u32,
    /// How long a batch is worked on, in milliseconds.
    pub(crate) handling_ms: u64,
    /// After how long the future of `next()` is dropped, to do something else and ask again. 0: never.
    pub(crate) patience_ms: u64,
    /// How many batches of a subscription are kept before one is acknowledged. Where that is as many as may be, the
    /// subscription has to wait.
    pub(crate) keeps: usize,
    /// Whether it is any of them, or the oldest.
    pub(crate) acks_shuffled: bool,
    /// Whether acknowledgements run beside the subscription, or are waited for.
    pub(crate) acks_beside: bool,
    pub(crate) max_unacknowledged: usize,
    /// How long the store takes for a write.
    pub(crate) write_ms: u64,
    /// Between client and server, each way.
    pub(crate) latency_ms: u64,
    /// When nothing goes wrong any more.
    pub(crate) heals_after_ms: u64,
    pub(crate) repeat_rate: f64,
    pub(crate) short_page_rate: f64,
    pub(crate) empty_page_rate: f64,
    pub(crate) visible_after_ms: u64,
    pub(crate) positions_are_numbers: bool,
    /// How many events lie before the places whose page is empty, for ever, with a position that moved.
    pub(crate) holes: Vec<usize>,
    pub(crate) servers: usize,
    /// Whether the list has plain `http` URLs, as Box's documentation shows them.
    pub(crate) plain_http: bool,
    /// Whether the list has a server on a host that isn't Box's.
    pub(crate) foreign_server: bool,
    /// Whether the list's numbers are spelt as strings.
    pub(crate) numbers_are_strings: bool,
    pub(crate) max_retries: u64,
    /// 0: none.
    pub(crate) ttl_minutes: u64,
    pub(crate) retry_timeout: u64,
    pub(crate) polls_per_url: Option<u64>,
    pub(crate) max_retries_status: u16,
    pub(crate) poll_position: PollPosition,
    pub(crate) drop_signals: bool,
    pub(crate) hold_ms: u64,
    /// Weather that lasts for the complete run, until [`heals_after_ms`](Self::heals_after_ms).
    pub(crate) permanent: Option<Weather>,
}

/// The fair one.
impl Default for Climate {
    fn default() -> Self {
        Self {
            consumer: Consumer::Batches,
            enterprise: false,
            start: Start::Oldest,
            page_limit: 500,
            handling_ms: 0,
            patience_ms: 0,
            keeps: 0,
            acks_shuffled: false,
            acks_beside: false,
            max_unacknowledged: 16,
            write_ms: 0,
            latency_ms: 20,
            heals_after_ms: 60_000,
            repeat_rate: 0.0,
            short_page_rate: 0.0,
            empty_page_rate: 0.0,
            visible_after_ms: 0,
            positions_are_numbers: false,
            holes: Vec::new(),
            servers: 1,
            plain_http: false,
            foreign_server: false,
            numbers_are_strings: false,
            max_retries: 10,
            ttl_minutes: 10,
            retry_timeout: 610,
            polls_per_url: None,
            max_retries_status: 200,
            poll_position: PollPosition::Honoured,
            drop_signals: false,
            hold_ms: 600_000,
            permanent: None,
        }
    }
}

/// Which part of the public API the program follows the account with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Consumer {
    /// `client.batches(..)`: it stores `batch.resume_at()` after each batch.
    Batches,
    /// `client.events(..)`: it stores `events.resume_at().position()` when that has moved.
    Events,
    /// As [`Batches`](Self::Batches), with the blocking client and a program on a thread.
    BlockingBatches,
    /// `client.subscribe(..)`: it acknowledges each batch.
    Subscription,
}

/// Where a program starts that has stored nothing yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Start {
    Oldest,
    Now,
}

impl Climate {
    /// How long a poll may stay unanswered: what the server says, within what the client takes from it, and 5 s.
    pub(crate) fn longest_poll(&self) -> Duration {
        Duration::from_secs(self.retry_timeout.clamp(10, 1_200) + 5)
    }

    /// How long a program is busy that waits until all is written that it may have kept.
    pub(crate) fn longest_commit_ms(&self) -> u64 {
        self.write_ms * (self.keeps as u64 + 2)
    }

    /// Whether each poll is answered at once, and none is ever held.
    pub(crate) fn never_holds(&self) -> bool {
        self.poll_position == PollPosition::AlwaysNewChange
    }
}

/// The emulator's settings in that climate.
pub(crate) fn settings(climate: &Climate) -> Settings {
    let scheme = if climate.plain_http { "http" } else { "https" };
    let mut origins: Vec<String> = (0..climate.servers)
        .map(|host| format!("{scheme}://{host}.realtime.services.box.net"))
        .collect();
    if climate.foreign_server {
        origins.push(format!("{scheme}://realtime.box.net.evil.example"));
    }
    let number = |number: u64| -> Value {
        if climate.numbers_are_strings {
            json!(number.to_string())
        } else {
            json!(number)
        }
    };
    Settings {
        repeat_rate: climate.repeat_rate,
        short_page_rate: climate.short_page_rate,
        empty_page_rate: climate.empty_page_rate,
        visible_after_ms: climate.visible_after_ms,
        position_spelling: if climate.positions_are_numbers {
            Spelling::Number
        } else {
            Spelling::String
        },
        realtime_servers: origins.len(),
        realtime_origins: origins,
        ttl: match climate.ttl_minutes {
            0 => Value::Null,
            minutes => number(minutes),
        },
        max_retries: number(climate.max_retries),
        retry_timeout: number(climate.retry_timeout),
        polls_per_url: climate.polls_per_url,
        max_retries_status: climate.max_retries_status,
        poll_position: climate.poll_position,
        drop_signals: climate.drop_signals,
        hold_ms: climate.hold_ms,
        zero_position_at_the_end: climate.enterprise,
        ..Settings::default()
    }
}
