//! The description of one run: an enterprise, a program that reads its past and follows it, and the
//! faults. It is data, so that a failing run can be printed and repeated. Start at [`Case`].

use std::time::Duration;

use box_longpoll_testkit::{AdminLogsOrder, Edge, Settings};
use fastrand::Rng;
use serde::{Deserialize, Serialize};

pub(super) const MINUTE: u64 = 60;
pub(super) const HOUR: u64 = 60 * MINUTE;
pub(super) const DAY: u64 = 24 * HOUR;

/// The time for which Box keeps live events.
pub(super) const LIVE_EVENTS_KEPT: u64 = 14 * DAY;

/// The manner in which the program reads events and keeps its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Consumer {
    /// A subscription without a store. The program stores events, checkpoint and ids together.
    OwnTransactions,
    /// A subscription with a store that keeps the ids.
    Acks,
    /// A subscription with a store that drops the ids.
    AcksWithoutIds,
    /// A plain stream by page. The program stores its position after each page.
    Batches,
    /// A plain stream by event. The program stores its position after each event.
    Events,
}

impl Consumer {
    pub(super) const ALL: [Self; 5] = [
        Self::OwnTransactions,
        Self::Acks,
        Self::AcksWithoutIds,
        Self::Batches,
        Self::Events,
    ];

    /// Returns `true` if the program can resume after any absence without a loss.
    pub(super) fn is_subscription(self) -> bool {
        !matches!(self, Self::Batches | Self::Events)
    }
}

/// A death of the program at a step, and the time until it starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kill {
    pub(super) step: u32,
    pub(super) down_s: u64,
}

/// The description of one run. Two runs of the same case are identical.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Case {
    /// The seed of all random numbers.
    pub(super) seed: u64,
    pub(super) consumer: Consumer,
    /// The time from the first event to the start of the program.
    pub(super) past_s: u64,
    pub(super) past_events: u32,
    /// `true` if nearly all of them happen in the day that both logs have.
    pub(super) is_dense: bool,
    /// The time before its start from which on the program wants events.
    pub(super) since_ms: u64,
    /// The time in which faults happen, while the program runs.
    pub(super) runs_s: u64,
    /// The mean time between two events after the start.
    pub(super) live_every_s: u64,
    /// The greatest time by which an event may appear late and still count as usual.
    pub(super) event_delay_s: u64,
    /// The share of events that appear later than that, up to [`late_s`](Self::late_s).
    pub(super) late_percent: u8,
    pub(super) late_s: u64,
    /// The time from an event's appearance in the live log until `admin_logs` has it.
    pub(super) admin_logs_delay_s: u64,
    pub(super) repeat_percent: u8,
    /// The share of events without an id.
    pub(super) no_id_percent: u8,
    pub(super) short_page_rate: f64,
    pub(super) empty_page_rate: f64,
    pub(super) created_after: Edge,
    pub(super) created_before: Edge,
    /// The share of requests that meet a fault.
    pub(super) fault_percent: u8,
    /// The share of calls of the store that fail.
    pub(super) store_fault_percent: u8,
    pub(super) latency_ms: u64,
    pub(super) page_limit: u32,
    pub(super) history_calls: u32,
    pub(super) calls: u32,
    pub(super) parallel: usize,
    pub(super) longest_interval_s: u64,
    /// The time that the program takes for each batch.
    pub(super) handling_ms: u64,
    pub(super) write_ms: u64,
    /// The number of batches that the program collects before it acknowledges one.
    pub(super) keeps: usize,
    pub(super) acks_shuffled: bool,
    /// The batch on which the program works for [`rest_s`](Self::rest_s).
    pub(super) rests_at: Option<u32>,
    pub(super) rest_s: u64,
    pub(super) kills: Vec<Kill>,
}

impl Case {
    /// Returns the case of a seed.
    pub(super) fn of_seed(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let rng = &mut rng;
        let consumer = Consumer::ALL[rng.usize(..Consumer::ALL.len())];
        let past_s = rng.u64(15 * DAY..120 * DAY);
        let since_ms = match rng.u8(..8) {
            // The start lies before the first event, or within the time of live events.
            0 => (past_s + rng.u64(..5 * DAY)) * 1_000,
            1 => rng.u64(..14 * DAY) * 1_000,
            2 => rng.u64(13 * DAY..15 * DAY) * 1_000,
            _ => rng.u64(14 * DAY * 1_000..past_s.max(15 * DAY) * 1_000),
        };
        let event_delay_s = [5 * MINUTE, HOUR, 12 * HOUR][rng.usize(..3)];
        let is_late = rng.u8(..3) == 0;
        let most_events = choose(rng, &[50, 300, 300, 1_500]);
        let past_events = rng.u32(..most_events);
        let page_limits: &[u32] = if past_events < 100 {
            &[3, 10]
        } else {
            &[20, 100, 500]
        };
        let mut case = Self {
            seed,
            consumer,
            past_s,
            past_events,
            is_dense: false,
            since_ms,
            runs_s: rng.u64(MINUTE..6 * HOUR),
            live_every_s: rng.u64(MINUTE..4 * HOUR),
            event_delay_s,
            late_percent: if is_late { rng.u8(1..30) } else { 0 },
            late_s: rng.u64(event_delay_s..3 * DAY),
            admin_logs_delay_s: rng.u64(..DAY),
            repeat_percent: choose(rng, &[0, 3, 30]),
            no_id_percent: choose(rng, &[0, 0, 5]),
            short_page_rate: choose(rng, &[0.0, 0.3]),
            empty_page_rate: choose(rng, &[0.0, 0.1]),
            created_after: choose(rng, &[Edge::Inclusive, Edge::Exclusive]),
            created_before: choose(rng, &[Edge::Inclusive, Edge::Exclusive]),
            fault_percent: choose(rng, &[0, 5, 25]),
            store_fault_percent: choose(rng, &[0, 20]),
            latency_ms: rng.u64(1..500),
            page_limit: choose(rng, page_limits),
            history_calls: choose(rng, &[60, 300, 1_000]),
            calls: choose(rng, &[60, 240]),
            parallel: rng.usize(1..=8),
            longest_interval_s: choose(rng, &[60, HOUR]),
            handling_ms: choose(rng, &[0, 0, 300]),
            write_ms: choose(rng, &[0, 30]),
            keeps: choose(rng, &[0, 0, 3]),
            acks_shuffled: rng.bool(),
            rests_at: None,
            rest_s: 0,
            kills: Vec::new(),
        };
        if rng.u8(..6) == 0 && consumer.is_subscription() {
            case.rests_at = Some(rng.u32(..40));
            case.rest_s = rng.u64(DAY..20 * DAY);
        }
        let steps = case.usual_steps();
        case.kills = (0..rng.usize(..6))
            .map(|_| Kill {
                step: rng.u32(..steps),
                down_s: case.absence(rng),
            })
            .collect();
        case
    }

    /// Returns a small case, for a death at each step.
    pub(super) fn small(consumer: Consumer) -> Self {
        Self {
            seed: 1,
            consumer,
            past_s: 40 * DAY,
            past_events: 40,
            is_dense: false,
            since_ms: 30 * DAY * 1_000,
            runs_s: 2 * MINUTE,
            live_every_s: 4 * HOUR,
            event_delay_s: 5 * MINUTE,
            late_percent: 0,
            late_s: 0,
            admin_logs_delay_s: HOUR,
            repeat_percent: 10,
            no_id_percent: 0,
            short_page_rate: 0.0,
            empty_page_rate: 0.0,
            created_after: Edge::Exclusive,
            created_before: Edge::Exclusive,
            fault_percent: 0,
            store_fault_percent: 0,
            latency_ms: 20,
            page_limit: 8,
            history_calls: 300,
            calls: 240,
            parallel: 3,
            longest_interval_s: HOUR,
            handling_ms: 0,
            write_ms: 10,
            keeps: 0,
            acks_shuffled: false,
            rests_at: None,
            rest_s: 0,
            kills: Vec::new(),
        }
    }

    /// Returns a case in which both logs have more events than the window of live events remembers.
    pub(super) fn dense() -> Self {
        Self {
            past_events: 3_400,
            is_dense: true,
            page_limit: 500,
            repeat_percent: 0,
            ..Self::small(Consumer::OwnTransactions)
        }
    }

    /// Returns a case in which the live events of two weeks take more calls than a minute has for them.
    pub(super) fn many_live_events() -> Self {
        Self {
            past_events: 400,
            page_limit: 3,
            calls: 60,
            ..Self::dense()
        }
    }

    /// Returns about the number of steps up to the end of the past.
    fn usual_steps(&self) -> u32 {
        100 + 8 * (self.past_events / self.page_limit)
    }

    /// Returns a time for which the program is dead.
    fn absence(&self, rng: &mut Rng) -> u64 {
        match rng.u8(..6) {
            0 | 1 => 0,
            2 => rng.u64(..MINUTE),
            3 => rng.u64(..DAY),
            // A plain stream can't tell that it has been away for too long.
            _ if !self.consumer.is_subscription() => rng.u64(..DAY),
            4 => rng.u64(13 * DAY..16 * DAY),
            _ => rng.u64(DAY..22 * DAY),
        }
    }

    /// Returns the behavior of Box.
    pub(super) fn settings(&self) -> Settings {
        Settings {
            short_page_rate: self.short_page_rate,
            empty_page_rate: self.empty_page_rate,
            zero_position_at_the_end: true,
            admin_logs_order: AdminLogsOrder::Chronological,
            admin_logs_delay_ms: self.admin_logs_delay_s * 1_000,
            admin_logs_retention_ms: Some(365 * DAY * 1_000),
            streaming_retention_ms: Some(LIVE_EVENTS_KEPT * 1_000),
            created_after_edge: self.created_after,
            created_before_edge: self.created_before,
            ..Settings::default()
        }
    }

    /// Returns the time from the first event to the start of the program.
    pub(super) fn starts(&self) -> Duration {
        Duration::from_secs(self.past_s)
    }

    /// Returns the case as a line of JSON for [`replay`](Self::replay).
    pub(super) fn line(&self) -> String {
        serde_json::to_string(self).expect("plain data")
    }

    pub(super) fn replay(line: &str) -> Self {
        serde_json::from_str(line).expect("a case")
    }
}

fn choose<T: Copy>(rng: &mut Rng, all: &[T]) -> T {
    all[rng.usize(..all.len())]
}
