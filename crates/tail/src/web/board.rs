//! [`Board`]: what the main loop has done, for the web server to read.
//!
//! The main loop writes, and never waits for a reader: the board keeps the last events and a few
//! numbers. A reader that comes late misses events, and sees by their numbers how many.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use box_longpoll::monitoring::Statistics;
use box_longpoll::{Event, Status};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::row::Row;
use super::state::State;
use crate::report::with_causes;
use crate::sink::SinkError;

/// The number of events that the page shows.
pub(super) const ROWS: usize = 50;

/// The length of a step in the chart of the rate, in seconds.
pub(super) const RATE_STEP: u64 = 5;

/// The number of steps in the chart. Together they are 10 minutes.
const RATE_STEPS: usize = 120;

/// The last events and the numbers of a run.
pub(super) struct Board {
    facts: Mutex<Facts>,
    /// The number of events that were written. It wakes the readers.
    written: watch::Sender<u64>,
}

struct Facts {
    rows: VecDeque<Row>,
    rate: Rate,
    output: Output,
    sink_errors: u64,
    state: State,
    /// The time since which the state has not changed.
    since: Timestamp,
}

/// The activity of the sink.
#[derive(Clone, Default)]
pub(super) enum Output {
    #[default]
    Idle,
    Writing,
    /// The last attempt to write failed, for this reason.
    Failing(String),
}

/// The parts of the board that an overview shows.
pub(super) struct Snapshot {
    pub(super) written: u64,
    /// The numbers of events in the last steps, and the number of the current step.
    pub(super) rate: Vec<u64>,
    pub(super) step: u64,
    pub(super) output: Output,
    pub(super) sink_errors: u64,
    pub(super) state: State,
    pub(super) since: Timestamp,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            facts: Mutex::new(Facts {
                rows: VecDeque::with_capacity(ROWS),
                rate: Rate::new(),
                output: Output::Idle,
                sink_errors: 0,
                state: State::Starting,
                since: Timestamp::now(),
            }),
            written: watch::Sender::new(0),
        }
    }
}

impl Board {
    /// Notes that the sink begins to write.
    pub(super) fn writes(&self) {
        let output = &mut self.facts().output;
        // While attempts fail one after the other, the reason stays.
        if let Output::Idle = output {
            *output = Output::Writing;
        }
    }

    /// Notes that events were written.
    pub(super) fn wrote(&self, events: &[Event]) {
        let mut facts = self.facts();
        facts.output = Output::Idle;
        facts.add(events, *self.written.borrow());
        drop(facts);
        self.count(events);
    }

    /// Notes that the sink failed after it had written these events.
    pub(super) fn failed(&self, events: &[Event], error: &SinkError) {
        let mut facts = self.facts();
        facts.output = Output::Failing(with_causes(error));
        facts.sink_errors += 1;
        facts.add(events, *self.written.borrow());
        drop(facts);
        self.count(events);
    }

    fn count(&self, events: &[Event]) {
        if !events.is_empty() {
            self.written
                .send_modify(|written| *written += events.len() as u64);
        }
    }

    /// Determines the state of the run, and returns all that the page shows except the events.
    pub(super) fn update(&self, status: &Status, statistics: &Statistics) -> Snapshot {
        let mut facts = self.facts();
        let state = facts.state.next(status, statistics, &facts.output);
        if facts.state != state {
            facts.state = state;
            facts.since = Timestamp::now();
        }
        Snapshot {
            written: *self.written.borrow(),
            rate: facts.rate.steps(),
            step: facts.rate.step,
            output: facts.output.clone(),
            sink_errors: facts.sink_errors,
            state,
            since: facts.since,
        }
    }

    /// Returns the events that are still on the board after the first `seen` ones.
    pub(super) fn rows_after(&self, seen: u64) -> Vec<Row> {
        let facts = self.facts();
        let new = facts.rows.iter().filter(|row| row.number > seen);
        new.cloned().collect()
    }

    /// Returns a receiver that wakes when events are written.
    pub(super) fn written(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts
            .lock()
            .expect("nothing panics while it holds the lock")
    }
}

impl Facts {
    fn add(&mut self, events: &[Event], written: u64) {
        let count = events.len() as u64;
        self.rate.add(count);
        // Only the last events are read. A page of a history may have hundreds.
        let last = &events[events.len().saturating_sub(ROWS)..];
        let first = written + count - last.len() as u64 + 1;
        for (number, event) in (first..).zip(last) {
            if self.rows.len() == ROWS {
                self.rows.pop_front();
            }
            self.rows.push_back(Row::of(number, event));
        }
    }
}

/// The numbers of events in the last steps of time.
struct Rate {
    started: Instant,
    /// The numbers, the current step last.
    counts: VecDeque<u64>,
    /// The number of the current step since the start.
    step: u64,
}

impl Rate {
    fn new() -> Self {
        Self {
            started: Instant::now(),
            counts: VecDeque::from([0; RATE_STEPS]),
            step: 0,
        }
    }

    fn add(&mut self, events: u64) {
        self.advance();
        if let Some(count) = self.counts.back_mut() {
            *count += events;
        }
    }

    fn steps(&mut self) -> Vec<u64> {
        self.advance();
        self.counts.iter().copied().collect()
    }

    /// Begins the steps that have passed since the last call.
    fn advance(&mut self) {
        let step = self.started.elapsed().as_secs() / RATE_STEP;
        let passed = usize::try_from(step - self.step).unwrap_or(RATE_STEPS);
        for _ in 0..passed.min(RATE_STEPS) {
            self.counts.pop_front();
            self.counts.push_back(0);
        }
        self.step = step;
    }
}
