//! The counters and times of one stream, in little memory.
//!
//! Each of ten thousand idle streams has a [`Record`], so it has small counters, and times of eight
//! bytes. It decides when a stream has failed and when it has recovered. It logs nothing itself:
//! [`Telemetry`](super::Telemetry) does that, without the lock.

use std::mem;
use std::num::NonZeroU64;
use std::time::{Duration, Instant, SystemTime};

use super::metrics::Accounts;
use super::outcome::{EndedRequest, Outcome};
use super::state::{State, wait_cause};
use super::statistics::{Requests, Statistics, Wait, WaitCause};
use crate::call::Call;
use crate::clock::Moment;
use crate::error::Error;
use crate::event::Event;
use crate::status::Status;

/// The health of a stream at the end of a poll, as its driver knows it.
pub(crate) struct Health {
    pub(crate) now: Moment,
    /// The time since which nothing has failed: see
    /// [`LongPoll::works_since`](crate::protocol::LongPoll::works_since).
    pub(crate) works_since: Option<Instant>,
    /// `true` if the next request waits for the pace.
    pub(crate) is_paced: bool,
    /// The time at which Box had nothing more, if that is so now.
    pub(crate) caught_up_at: Option<SystemTime>,
}

/// The change of a stream since its last poll.
pub(super) struct Change {
    pub(super) before: State,
    pub(super) after: State,
    /// `true` if the stream listens for the first time.
    pub(super) listens: bool,
    /// The time from the first failure to the recovery, and the number of failures.
    pub(super) recovered: Option<(Duration, u32)>,
    /// The cause of the last wait, and its full seconds that were not recorded yet.
    pub(super) waited: Option<(WaitCause, u64)>,
}

/// The numbers of a stream.
#[derive(Default)]
pub(super) struct Record {
    requests: [Counts; 3],
    retries: u32,
    failures: u32,
    recoveries: u32,
    batches: u32,
    unacknowledged: u32,
    events: u64,
    repeats: u64,
    bytes: u64,
    newest_event_at: Time,
    last_delivery_at: Time,
    last_success_at: Time,
    connected_since: Time,
    caught_up_at: Time,
    /// The current wait, other than for events.
    wait: Option<Box<CurrentWait>>,
    state: State,
    has_started: bool,
    has_listened: bool,
    is_caught_up: bool,
    /// The failures since the last success.
    trouble: Option<Box<Trouble>>,
    accounts: Accounts,
}

/// A series of failures, from the first one to the recovery.
struct Trouble {
    began: Moment,
    attempts: u32,
    last: Error,
}

/// A wait of the stream.
struct CurrentWait {
    cause: WaitCause,
    since: SystemTime,
    /// The time up to which the wait is recorded.
    recorded_until: Instant,
}

/// The requests of one kind.
#[derive(Default)]
struct Counts {
    succeeded: u32,
    failed: u32,
    rate_limited: u32,
    cancelled: u32,
}

impl Counts {
    fn total(&self) -> Requests {
        Requests {
            succeeded: self.succeeded.into(),
            failed: self.failed.into(),
            rate_limited: self.rate_limited.into(),
            cancelled: self.cancelled.into(),
        }
    }
}

/// A time in nanoseconds after 1970, or none. An `Option<SystemTime>` would take twice the memory.
#[derive(Clone, Copy, Default)]
struct Time(Option<NonZeroU64>);

impl Time {
    fn of(time: SystemTime) -> Self {
        let since_1970 = time.duration_since(SystemTime::UNIX_EPOCH).ok();
        let nanos = since_1970.and_then(|time| u64::try_from(time.as_nanos()).ok());
        Self(nanos.and_then(NonZeroU64::new))
    }

    fn get(self) -> Option<SystemTime> {
        let nanos = self.0?.get();
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(nanos))
    }
}

impl Record {
    /// Returns `true` at the first call.
    pub(super) fn start(&mut self) -> bool {
        !mem::replace(&mut self.has_started, true)
    }

    pub(super) fn request_ended(&mut self, ended: &EndedRequest, bytes: usize, now: SystemTime) {
        let counts = &mut self.requests[ended.call as usize];
        let count = match ended.outcome {
            _ if ended.is_success => &mut counts.succeeded,
            Outcome::RateLimited => &mut counts.rate_limited,
            Outcome::Cancelled => &mut counts.cancelled,
            _ => &mut counts.failed,
        };
        *count = count.saturating_add(1);
        self.bytes += bytes as u64;
        if ended.is_success {
            self.last_success_at = Time::of(now);
            if self.trouble.is_none() && self.connected_since.0.is_none() {
                self.connected_since = self.last_success_at;
            }
        }
    }

    /// Returns the number of the next attempt: 1 unless the last one has failed.
    pub(super) fn attempt(&self) -> u32 {
        let failed = self.trouble.as_ref().map_or(0, |trouble| trouble.attempts);
        failed.saturating_add(1)
    }

    /// Notes a failure that is retried. Returns its number since the last success, or `None` if it
    /// was noted before.
    pub(super) fn retry(&mut self, error: &Error, now: Moment) -> Option<u32> {
        let failures = &mut self.failures;
        let mut begin = || {
            *failures = failures.saturating_add(1);
            let began = now;
            Box::new(Trouble {
                began,
                attempts: 0,
                last: error.clone(),
            })
        };
        let trouble = match &mut self.trouble {
            Some(trouble) if trouble.last.is_same(error) => return None,
            Some(trouble) => trouble,
            none => none.insert(begin()),
        };
        trouble.attempts = trouble.attempts.saturating_add(1);
        trouble.last = error.clone();
        self.retries = self.retries.saturating_add(1);
        self.connected_since = Time::default();
        self.is_caught_up = false;
        Some(trouble.attempts)
    }

    /// Notes a write of a checkpoint that failed and is retried.
    pub(super) fn not_saved(&mut self) {
        self.retries = self.retries.saturating_add(1);
    }

    pub(super) fn repeated(&mut self, repeats: usize) {
        self.repeats += repeats as u64;
    }

    pub(super) fn delivered(&mut self, events: &[Event], now: SystemTime) {
        self.batches = self.batches.saturating_add(1);
        self.events += events.len() as u64;
        self.last_delivery_at = Time::of(now);
        let newest = events.iter().filter_map(Event::created_at).max();
        if let Some(newest) = newest.and_then(|time| SystemTime::try_from(time).ok()) {
            let newest = Time::of(newest);
            if newest.0 > self.newest_event_at.0 {
                self.newest_event_at = newest;
            }
        }
    }

    /// Sets the number of batches that are not durable, and returns the one before.
    pub(super) fn set_unacknowledged(&mut self, batches: u32) -> u32 {
        mem::replace(&mut self.unacknowledged, batches)
    }

    /// Takes the status at the end of a poll.
    pub(super) fn show(&mut self, status: &Status, health: &Health) -> Change {
        let now = health.now;
        let works_since = health
            .works_since
            .filter(|_| !matches!(status, Status::Retrying { .. } | Status::Degraded { .. }));
        let recovered = works_since.and_then(|since| {
            let trouble = self.trouble.take()?;
            self.recoveries = self.recoveries.saturating_add(1);
            self.connected_since = Time::of(now.wall);
            let lasted = since.saturating_duration_since(trouble.began.monotonic);
            Some((lasted, trouble.attempts))
        });
        self.is_caught_up = self.trouble.is_none() && health.caught_up_at.is_some();
        if let Some(at) = health.caught_up_at.filter(|_| self.is_caught_up) {
            self.caught_up_at = Time::of(at);
        }
        let waited = self.waits(wait_cause(status, health.is_paced), now);
        let before = self.state;
        self.state = before.next(status, self.trouble.is_some());
        Change {
            before,
            after: self.state,
            listens: self.listens(status),
            recovered,
            waited,
        }
    }

    /// Returns `true` if the stream listens for the first time: it holds a poll, or has caught up and
    /// waits for its interval.
    fn listens(&mut self, status: &Status) -> bool {
        let listens = match status {
            Status::Listening { .. } => true,
            Status::Waiting { .. } => self.is_caught_up,
            Status::ReadingHistory(_) => {
                self.has_listened = false;
                false
            }
            _ => false,
        };
        listens && !mem::replace(&mut self.has_listened, true)
    }

    /// Takes the cause of the current wait. Returns that of the wait up to now, with its full seconds
    /// that are not recorded yet.
    fn waits(&mut self, cause: Option<WaitCause>, now: Moment) -> Option<(WaitCause, u64)> {
        let waited = self.wait.as_mut().map(|wait| {
            let before = mem::replace(&mut wait.recorded_until, now.monotonic);
            let passed = now.monotonic.saturating_duration_since(before);
            (wait.cause, self.accounts.waited(wait.cause, passed))
        });
        if waited.map(|(before, _)| before) != cause {
            self.wait = cause.map(|cause| {
                Box::new(CurrentWait {
                    cause,
                    since: now.wall,
                    recorded_until: now.monotonic,
                })
            });
        }
        waited
    }

    /// Ends the stream. Returns its last change, and `true` if it has been polled. Without a time,
    /// the current wait ends at the time up to which it is recorded.
    pub(super) fn stop(&mut self, now: Option<Moment>) -> (Change, bool) {
        let waited = now.and_then(|now| self.waits(None, now));
        self.trouble = None;
        self.connected_since = Time::default();
        self.is_caught_up = false;
        self.wait = None;
        let change = Change {
            before: mem::replace(&mut self.state, State::Stopped),
            after: State::Stopped,
            listens: false,
            recovered: None,
            waited,
        };
        (change, self.has_started)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.state == State::Stopped
    }

    pub(super) fn statistics(
        &self,
        status: &Status,
        complete_until: Option<SystemTime>,
    ) -> Statistics {
        let of = |call: Call| self.requests[call as usize].total();
        let until = match status {
            Status::Waiting { until }
            | Status::Retrying { until, .. }
            | Status::Degraded { until, .. } => Some(*until),
            _ => None,
        };
        Statistics {
            lists: of(Call::List),
            polls: of(Call::Listen),
            fetches: of(Call::Fetch),
            bytes: self.bytes,
            batches: self.batches.into(),
            events: self.events,
            repeats: self.repeats,
            retries: self.retries.into(),
            failures: self.failures.into(),
            recoveries: self.recoveries.into(),
            unacknowledged: usize::try_from(self.unacknowledged).unwrap_or(usize::MAX),
            newest_event_at: self.newest_event_at.get(),
            last_delivery_at: self.last_delivery_at.get(),
            last_success_at: self.last_success_at.get(),
            connected_since: self.connected_since.get(),
            failing_since: self.trouble.as_ref().map(|trouble| trouble.began.wall),
            caught_up_at: self.caught_up_at.get(),
            is_caught_up: self.is_caught_up,
            complete_until,
            wait: self.wait.as_ref().map(|wait| Wait {
                cause: wait.cause,
                since: wait.since,
                until,
            }),
        }
    }
}
