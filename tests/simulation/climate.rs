//! The climate: the conditions that hold throughout a run.
//!
//! A climate sets how Box, the network and the program behave. Single faults are not part of it;
//! they are the incidents of a scenario. The default climate is fair: nothing slows the program or
//! hinders it. Start at [`Climate`].

use std::time::Duration;

use box_longpoll_testkit::{PollPosition, Settings, Spelling};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::permanent::Weather;

/// The behavior of Box, the network and the program throughout a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an independent switch, like in the emulator"
)]
pub(crate) struct Climate {
    pub(crate) consumer: Consumer,
    /// `true` if the account is an enterprise, which has no realtime servers. Only some consumers
    /// support that.
    pub(crate) enterprise: bool,
    pub(crate) start: Start,
    /// The `limit` of events on a page.
    pub(crate) page_limit: u32,
    /// The number of pages that the stream may fetch ahead of the program: 0 or 1.
    pub(crate) read_ahead: usize,
    /// The longest time between two fetches, in seconds. 0: unlimited.
    pub(crate) max_staleness_s: u64,
    /// The time that the program spends on a batch, in milliseconds.
    pub(crate) handling_ms: u64,
    /// The time in milliseconds after which the program drops the future of `next()` and calls
    /// `next()` again. 0: never.
    pub(crate) patience_ms: u64,
    /// The number of batches that the program keeps before it acknowledges one. If this is the
    /// largest permitted number, the subscription has to wait.
    pub(crate) keeps: usize,
    /// `true` if the program acknowledges any of the kept batches, `false` if it acknowledges the
    /// oldest.
    pub(crate) acks_shuffled: bool,
    /// `true` if acknowledgements run concurrently with the subscription, `false` if the program
    /// waits for each.
    pub(crate) acks_beside: bool,
    pub(crate) max_unacknowledged: usize,
    /// The time that the store takes for a write, in milliseconds.
    pub(crate) write_ms: u64,
    /// The latency between client and API in each direction, in milliseconds.
    pub(crate) latency_ms: u64,
    /// The latency between client and realtime servers in each direction, in milliseconds. If it
    /// differs from the other one, the responses to a fetch and a poll come in either order.
    pub(crate) realtime_latency_ms: u64,
    /// The time at which all faults end, in milliseconds.
    pub(crate) heals_after_ms: u64,
    /// The probability that the log repeats an earlier event after an appended one.
    pub(crate) repeat_rate: f64,
    /// The probability that a page is shorter than it could be.
    pub(crate) short_page_rate: f64,
    /// The probability that a page is empty although more events follow.
    pub(crate) empty_page_rate: f64,
    /// The time from the signal of an event until it can be fetched, in milliseconds.
    pub(crate) visible_after_ms: u64,
    pub(crate) positions_are_numbers: bool,
    /// The places in the log whose page is empty forever, although its position moves. Each is a
    /// number of events.
    pub(crate) holes: Vec<usize>,
    pub(crate) servers: usize,
    /// `true` if the list has plain `http` URLs, like the examples in Box's documentation.
    pub(crate) plain_http: bool,
    /// `true` if the list has a server on a host that doesn't belong to Box.
    pub(crate) foreign_server: bool,
    /// `true` if the list spells its numbers as strings.
    pub(crate) numbers_are_strings: bool,
    pub(crate) max_retries: u64,
    /// The time to live of a listed URL, in minutes. 0: unlimited.
    pub(crate) ttl_minutes: u64,
    /// The `retry_timeout` of the list, in seconds.
    pub(crate) retry_timeout: u64,
    pub(crate) polls_per_url: Option<u64>,
    pub(crate) max_retries_status: u16,
    pub(crate) poll_position: PollPosition,
    pub(crate) drop_signals: bool,
    /// The time for which the server holds a poll, in milliseconds.
    pub(crate) hold_ms: u64,
    /// Weather that lasts for the complete run, until [`heals_after_ms`](Self::heals_after_ms).
    pub(crate) permanent: Option<Weather>,
}

/// The fair climate.
impl Default for Climate {
    fn default() -> Self {
        Self {
            consumer: Consumer::Batches,
            enterprise: false,
            start: Start::Oldest,
            page_limit: 500,
            read_ahead: 1,
            max_staleness_s: 0,
            handling_ms: 0,
            patience_ms: 0,
            keeps: 0,
            acks_shuffled: false,
            acks_beside: false,
            max_unacknowledged: 16,
            write_ms: 0,
            latency_ms: 20,
            realtime_latency_ms: 20,
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
            poll_position: PollPosition::Honored,
            drop_signals: false,
            hold_ms: 600_000,
            permanent: None,
        }
    }
}

/// The part of the public API that the program uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Consumer {
    /// `client.batches(..)`. The program stores `batch.resume_at()` after each batch.
    Batches,
    /// `client.events(..)`. The program stores `events.resume_at().position()` when it has moved.
    Events,
    /// The same as [`Batches`](Self::Batches), but with the blocking client and a program on a
    /// thread.
    BlockingBatches,
    /// `client.subscribe(..)`. The program acknowledges each batch.
    Subscription,
}

/// The start of a program that has stored nothing yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Start {
    Oldest,
    Now,
}

impl Climate {
    /// Returns the time for which a poll may stay without a response: the server's `retry_timeout`,
    /// within the limits that the client accepts, and 5 s more.
    pub(crate) fn longest_poll(&self) -> Duration {
        Duration::from_secs(self.retry_timeout.clamp(10, 1_200) + 5)
    }

    /// Returns the time in milliseconds that a program waits at most until all kept batches are
    /// durable.
    pub(crate) fn longest_commit_ms(&self) -> u64 {
        self.write_ms * (self.keeps as u64 + 2)
    }

    /// Returns `true` if the server responds to each poll at once, and never holds one.
    pub(crate) fn never_holds(&self) -> bool {
        self.poll_position == PollPosition::AlwaysNewChange
    }
}

/// Returns the emulator's settings in a climate.
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
