//! A stream that begins at a time in the past.
//!
//! Box keeps live events of an enterprise for two weeks, and past events for a year, in another log
//! to which it adds some events late. So the stream reads the [`History`] up to 13 days before the
//! present, and then follows live events from the oldest on. Both logs have the events of the days
//! in between, and late ones. So [`SinceState`] remembers the ids of the past events, and removes
//! their repeats. If nobody reads for so long that Box drops live events, the history is read again.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime};

use jiff::{SignedDuration, Timestamp};

use super::driver::Step;
use super::history::{History, Part};
use crate::api::Api;
use crate::batch::Batch;
use crate::checkpoint::Since;
use crate::clock::Moment;
use crate::config::{Config, StreamKind};
use crate::dedup::{KnownIds, Window};
use crate::error::Error;
use crate::event::Event;
use crate::position::StartAt;
use crate::protocol::LongPoll;
use crate::status::{HistoryProgress, Status};
use crate::transport::HttpTransport;

/// The distance from the present at which the history ends: 13 days. Box keeps live events for 14,
/// so a day is left to reach the oldest of them.
const HISTORY_ENDS: SignedDuration = SignedDuration::from_hours(13 * 24);

/// The part of the past that may be unread when the live events begin: one hour. The end of the
/// history moves on while it is read.
const NEARLY: SignedDuration = SignedDuration::from_hours(1);

/// The time for which Box keeps live events: 14 days.
const LIVE_EVENTS_KEPT: SignedDuration = SignedDuration::from_hours(14 * 24);

/// The time for which ids are remembered after the stream has reached the present. By then, Box has
/// dropped the live events that the history had too.
const IDS_KEPT: SignedDuration = LIVE_EVENTS_KEPT;

/// The time for which Box keeps the history: 365 days.
const HISTORY_KEPT: SignedDuration = SignedDuration::from_hours(365 * 24);

/// The same with a margin for the time that passes until a stream starts that begins at the edge.
const HISTORY_REACHES: SignedDuration = SignedDuration::from_mins(365 * 24 * 60 + 10);

/// The state of a stream that begins at a time.
pub(super) struct SinceState<T: HttpTransport> {
    /// Events that happened earlier are not delivered.
    from: Timestamp,
    /// The end of a query. `None` if live events follow the history.
    until: Option<Timestamp>,
    /// The time up to which the history is read, or was when live events began.
    covered: Timestamp,
    /// The history, while it is read.
    history: Option<History<T>>,
    /// The ids of the events that were delivered until the stream had reached the present.
    known: KnownIds,
    /// The time at which the ids are forgotten. `None` until the stream has reached the present.
    forget_ids_at: Option<Timestamp>,
    /// `false` until it is checked that Box keeps the history for so long.
    is_checked: bool,
    rng: fastrand::Rng,
    /// The start of this run's reading.
    began: Instant,
    began_at: Timestamp,
    events: u64,
    pages: u64,
}

impl<T: HttpTransport> SinceState<T> {
    /// Creates the state of a stream that begins at `from`. Returns `None` if the streams of this
    /// client can't begin at a time.
    pub(super) fn new(from: Timestamp, api: &Api<T>, seed: u64) -> Option<Self> {
        let settings = api.config.stream_kind.history()?;
        let now = api.transport().now();
        let (from, until) = match &api.config.stream_kind {
            StreamKind::History(query) => {
                let present = Timestamp::try_from(now.wall).ok();
                let until = query.range.last_second().or(present)?;
                (query.range.begin_at(from), Some(until))
            }
            _ => (from, None),
        };
        Some(Self {
            from,
            until,
            covered: from,
            history: None,
            known: KnownIds::new(settings.ids),
            forget_ids_at: None,
            is_checked: false,
            rng: fastrand::Rng::with_seed(seed),
            began: now.monotonic,
            began_at: from,
            events: 0,
            pages: 0,
        })
    }

    /// Continues from a checkpoint.
    pub(super) fn resume(&mut self, since: Since, covered: SystemTime, known: KnownIds) {
        self.from = since.from;
        self.forget_ids_at = since.forget_ids_at;
        self.covered = Timestamp::try_from(covered).unwrap_or(since.from);
        self.known = known;
        self.is_checked = true;
    }

    /// Returns what a checkpoint stores of this state.
    pub(super) fn mark(&self) -> Since {
        Since {
            from: self.from,
            forget_ids_at: self.forget_ids_at,
        }
    }

    /// Returns the time up to which all events are handled.
    pub(super) fn covered(&self, engine: &LongPoll) -> SystemTime {
        let covered = wall(self.covered);
        engine
            .complete_until()
            .map_or(covered, |until| until.max(covered))
    }

    /// Returns the start from which a stream without a checkpoint resumes, until a live event is
    /// handled.
    pub(super) fn resume_at(&self) -> StartAt {
        StartAt::Since(self.covered)
    }

    /// Returns the time for which Box keeps the history, with the margin for a start at its edge.
    pub(super) fn history_reaches() -> Duration {
        HISTORY_REACHES.unsigned_abs()
    }

    /// Drops the history, with its requests in flight.
    pub(super) fn cancel(&mut self) {
        self.history = None;
    }

    /// Begins to read the history if live events may be missing, or if the stream begins in the
    /// past. Returns `true` if so. The live events then follow from the oldest on.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the stream begins before the time for
    /// which Box keeps the history.
    pub(super) fn begin_history(
        &mut self,
        api: &Arc<Api<T>>,
        engine: &LongPoll,
        now: Moment,
    ) -> Result<bool, Error> {
        let Ok(present) = Timestamp::try_from(now.wall) else {
            return Ok(false);
        };
        if !self.is_checked {
            self.is_checked = true;
            if present.duration_since(self.from) > HISTORY_REACHES {
                return Err(Error::config(
                    "a stream can begin at most 365 days ago, for which Box keeps the events of \
                     an enterprise",
                ));
            }
        }
        let covered = Timestamp::try_from(self.covered(engine)).unwrap_or(self.covered);
        let follows = *engine.resume_at() != StartAt::Oldest;
        let may_be_unread = match self.until {
            Some(_) => SignedDuration::ZERO,
            None if follows => LIVE_EVENTS_KEPT,
            None => HISTORY_ENDS + NEARLY,
        };
        let unread = self.until.unwrap_or(present).duration_since(covered);
        if self.history.is_some() || unread <= may_be_unread {
            return Ok(false);
        }
        let Some(settings) = api.config.stream_kind.history() else {
            return Ok(false);
        };
        let start = covered.max(present - HISTORY_KEPT);
        self.covered = Timestamp::from_second(start.as_second()).unwrap_or(start);
        self.began = now.monotonic;
        self.began_at = self.covered;
        self.forget_ids_at = None;
        let history = History::new(api.clone(), settings, self.covered, self.rng.fork());
        self.history = Some(history);
        Ok(true)
    }

    /// Returns the engine that follows live events from the oldest on.
    pub(super) fn live_engine(
        &mut self,
        before: &LongPoll,
        config: &Arc<Config>,
        now: Moment,
    ) -> LongPoll {
        let mut engine = LongPoll::new(config.clone(), StartAt::Oldest, self.rng.u64(..), now);
        let window = before.window_of_delivered();
        engine.resume_from(StartAt::Oldest, window, wall(self.covered));
        engine
    }

    /// Reads the history on. Returns `None` if the stream follows live events.
    pub(super) fn poll(
        &mut self,
        window: &Window,
        config: &Config,
        now: SystemTime,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Step>> {
        let Some(history) = &mut self.history else {
            return Poll::Ready(self.until.map(|_| Step::Ended));
        };
        let end = self.until.or(history_end(now)).unwrap_or(self.covered);
        let step = match ready!(history.poll(end, cx)) {
            Part::Page(events) => {
                self.pages += 1;
                let events = self.new_events(events, window, config);
                self.events += events.len() as u64;
                if events.is_empty() {
                    Step::Moved
                } else {
                    Step::Deliver(Batch::new(events, self.resume_at()))
                }
            }
            Part::Slice(reached) => {
                self.covered = reached;
                Step::Moved
            }
            Part::Stop(error) => Step::Stop(error),
            Part::Ended => {
                self.history = None;
                Step::Moved
            }
        };
        Poll::Ready(Some(step))
    }

    /// Returns the events of a page of the history that were not delivered before.
    fn new_events(
        &mut self,
        mut events: Vec<Event>,
        window: &Window,
        config: &Config,
    ) -> Vec<Event> {
        events.retain(|event| {
            let is_new = event
                .id()
                .is_none_or(|id| self.known.insert(window.hash(id)));
            is_new && self.is_wanted(event) && config.wants(event)
        });
        events
    }

    /// Removes the events of a live batch that were delivered before, or that the stream does not
    /// want.
    pub(super) fn filter_live(&mut self, batch: Batch, engine: &LongPoll) -> Batch {
        let window = engine.window();
        let collects = self.forget_ids_at.is_none();
        batch.retain(|event| {
            let is_new = event.id().is_none_or(|id| {
                let hash = window.hash(id);
                if collects {
                    self.known.insert(hash)
                } else {
                    !self.known.contains(hash)
                }
            });
            is_new && self.is_wanted(event)
        })
    }

    fn is_wanted(&self, event: &Event) -> bool {
        event.created_at().is_none_or(|time| time >= self.from)
    }

    /// Notes when the stream has reached the present, and forgets the ids two weeks later.
    pub(super) fn check_ids(&mut self, engine: &LongPoll, now: SystemTime) {
        let Ok(now) = Timestamp::try_from(now) else {
            return;
        };
        match self.forget_ids_at {
            None => {
                let covered = wall(self.covered);
                let has_reached = engine.caught_up_at().is_some_and(|at| at > covered);
                if self.history.is_none() && has_reached {
                    self.forget_ids_at = now.checked_add(IDS_KEPT).ok();
                }
            }
            Some(at) if now >= at && self.known.len() > 0 => self.known.clear(),
            Some(_) => {}
        }
    }

    /// Returns the status of a stream that reads the history.
    pub(super) fn status(&self, now: Moment) -> Option<Status> {
        let history = self.history.as_ref()?;
        if let Some(trouble) = history.trouble() {
            return Some(trouble);
        }
        let until = self.until.or(history_end(now.wall)).unwrap_or(self.covered);
        let seconds = |range: SignedDuration| range.as_secs_f64().max(0.0);
        let done = seconds(self.covered.duration_since(self.began_at));
        let left = seconds(until.duration_since(self.covered));
        let passed = now.monotonic.saturating_duration_since(self.began);
        let remaining = passed.as_secs_f64() * left / done;
        Some(Status::ReadingHistory(HistoryProgress {
            since: wall(self.began_at),
            reached: wall(self.covered),
            until: wall(until),
            events: self.events,
            pages: self.pages,
            remaining: Duration::try_from_secs_f64(remaining.round()).ok(),
            forgotten_ids: self.known.forgotten(),
        }))
    }
}

/// Returns a time of an event in the form of the clocks.
fn wall(time: Timestamp) -> SystemTime {
    SystemTime::try_from(time).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Returns the end of the history.
fn history_end(now: SystemTime) -> Option<Timestamp> {
    let now = Timestamp::try_from(now).ok()?.checked_sub(HISTORY_ENDS);
    Timestamp::from_second(now.ok()?.as_second()).ok()
}
