//! A stream that begins at a time in the past.
//!
//! Box keeps an enterprise's live events for 14 days. It keeps past events for 365 days, in another
//! log to which it adds some events late. So the stream reads the [`History`] up to 13 days ago,
//! and then follows live events from the oldest one. Both logs have the events of the day in
//! between, and late ones. So [`SinceState`] remembers the ids of the past events, and removes
//! their repeats. If the program is away for so long that Box drops live events, the history is
//! read again.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime};

use jiff::{SignedDuration, Timestamp};

use super::driver::Step;
use super::history::{History, Part, Slices};
use crate::api::Api;
use crate::batch::Batch;
use crate::checkpoint::{Checkpoint, Since};
use crate::clock::Moment;
use crate::config::{Config, HISTORY_KEPT, LIVE_EVENTS_KEPT, StreamKind};
use crate::dedup::KnownIds;
use crate::error::{Error, ErrorKind};
use crate::event::Event;
use crate::limiter::Pacer;
use crate::pacing::RateLimiter;
use crate::position::{SlicePoint, StartAt};
use crate::protocol::LongPoll;
use crate::status::{HistoryProgress, Status};
use crate::telemetry::Telemetry;
use crate::transport::HttpTransport;

/// The distance from the present at which the history ends: 13 days. Box keeps live events for 14,
/// so a day is left to reach the oldest of them.
const HISTORY_ENDS: SignedDuration = SignedDuration::from_hours(13 * 24);

/// The part of the past that may be unread when the live events begin: one hour. The end of the
/// history moves on by as much while it is read.
const NEARLY: SignedDuration = SignedDuration::from_hours(1);

/// The time for which ids are remembered after the stream has reached the present. By then, Box has
/// dropped the live events that the history had too.
const IDS_KEPT: SignedDuration = LIVE_EVENTS_KEPT;

/// The time for which Box keeps the history, and a margin of ten minutes: a stream that begins at
/// the edge starts a little later.
const HISTORY_REACHES: SignedDuration = SignedDuration::from_mins(365 * 24 * 60 + 10);

/// The number of pages in a row without an event for the consumer, after which the stream yields to
/// other tasks. Each page is decompressed and parsed.
const SKIPPED_AT_ONCE: u32 = 8;

/// The state of a stream that begins at a time.
pub(super) struct SinceState<T: HttpTransport> {
    /// Events that happened earlier are not delivered.
    from: Timestamp,
    /// The end of a query. `None` if live events follow the history.
    until: Option<Timestamp>,
    /// The time up to which the history is read, or was when live events began.
    covered: Timestamp,
    /// The position within the slice that begins there, up to which all events are handled.
    handled: Option<SlicePoint>,
    /// The position up to which events were delivered.
    delivered: Option<SlicePoint>,
    /// The history, while it is read.
    reading: Option<Reading<T>>,
    /// The progress of the history. A second reading continues it.
    progress: Option<Progress>,
    /// The rate limit of all slices.
    pacer: Arc<Pacer>,
    /// The number of pages in a row that had no event for the consumer.
    skipped: u32,
    /// The ids of the events that were delivered until the stream had reached the present.
    known: KnownIds,
    /// The time at which the ids are forgotten. `None` until the stream has reached the present.
    forget_ids_at: Option<Timestamp>,
    /// The time at which reading the history began, in this run or in one before it. Events that
    /// Box has added to the history since then are found in the live stream.
    history_began_at: Option<Timestamp>,
    /// `true` if the stream begins earlier than the history that Box had when the stream was
    /// created.
    is_too_early: bool,
    rng: fastrand::Rng,
}

/// A history that is being read.
struct Reading<T: HttpTransport> {
    history: History<T>,
    since: Timestamp,
    until: Timestamp,
}

/// The progress of a history in this run.
struct Progress {
    since: Timestamp,
    until: Timestamp,
    /// The time of the newest event that was delivered.
    reached: Timestamp,
    began: Instant,
    events: u64,
    pages: u64,
}

impl Progress {
    fn at_start(since: Timestamp, now: Instant) -> Self {
        Self {
            since,
            until: since,
            reached: since,
            began: now,
            events: 0,
            pages: 0,
        }
    }

    /// Counts the events of a page that are delivered.
    fn count(&mut self, events: &[Event]) {
        self.pages += 1;
        self.events += events.len() as u64;
        let times = events.iter().filter_map(Event::created_at);
        let newest = times.max().unwrap_or(self.reached);
        self.reached = self.reached.max(newest.min(self.until));
    }

    fn at(&self, now: Instant, forgotten_ids: u64) -> HistoryProgress {
        let seconds = |from: Timestamp, to: Timestamp| to.duration_since(from).as_secs_f64();
        let passed = now.saturating_duration_since(self.began).as_secs_f64();
        let left = seconds(self.reached, self.until) / seconds(self.since, self.reached);
        HistoryProgress {
            since: wall(self.since),
            reached: wall(self.reached),
            until: wall(self.until),
            events: self.events,
            pages: self.pages,
            remaining: Duration::try_from_secs_f64((passed * left).round()).ok(),
            forgotten_ids,
        }
    }
}

impl<T: HttpTransport> SinceState<T> {
    /// Creates the state of a stream that begins at `from`. Returns `None` if the streams of this
    /// client can't begin at a time.
    pub(super) fn new(from: Timestamp, api: &Api<T>, seed: u64) -> Option<Self> {
        let settings = api.config.stream_kind.history()?;
        let now = api.transport().now();
        let (from, until) = match &api.config.stream_kind {
            StreamKind::History(query) => {
                let present = Timestamp::try_from(now.wall).ok()?;
                let until = query.range.end_by(present);
                (query.range.begin_at(from), Some(until))
            }
            _ => (from, None),
        };
        Some(Self {
            from,
            until,
            covered: from,
            handled: None,
            delivered: None,
            reading: None,
            progress: None,
            pacer: Arc::new(Pacer::new(settings.bucket(now.monotonic))),
            skipped: 0,
            known: KnownIds::new(settings.ids),
            forget_ids_at: None,
            history_began_at: None,
            is_too_early: reaches_too_far(from, now.wall),
            rng: fastrand::Rng::with_seed(seed),
        })
    }

    /// Continues from a checkpoint. Returns `None` if its stream did not begin at a time.
    pub(super) fn resumed(checkpoint: &Checkpoint, api: &Api<T>, seed: u64) -> Option<Self> {
        let since = checkpoint.since()?;
        let state = Self::new(since.from, api, seed)?;
        let covered = match checkpoint.resume_at() {
            StartAt::Since(covered) => covered,
            _ => Timestamp::try_from(checkpoint.last_success()).unwrap_or(since.from),
        };
        let limit = api.config.stream_kind.history()?.ids;
        Some(Self {
            covered,
            handled: checkpoint.slice().cloned(),
            known: KnownIds::restored(limit, checkpoint.stored_ids()),
            forget_ids_at: since.forget_ids_at,
            history_began_at: since.history_began_at,
            is_too_early: false,
            ..state
        })
    }

    /// Returns a rate limiter with the rate of the history, until the stream has reached the
    /// present.
    pub(super) fn limiter(&self) -> Option<RateLimiter> {
        let catches_up = self.forget_ids_at.is_none();
        catches_up.then(|| RateLimiter::new(self.pacer.bucket(), u32::MAX))
    }

    /// Returns what a checkpoint stores of this state.
    pub(super) fn mark(&self) -> Since {
        Since {
            from: self.from,
            forget_ids_at: self.forget_ids_at,
            history_began_at: self.history_began_at,
        }
    }

    /// Returns the time up to which all events are handled.
    pub(super) fn covered(&self, engine: &LongPoll) -> SystemTime {
        let covered = wall(self.covered);
        let live = engine.complete_until();
        live.map_or(covered, |until| until.max(covered))
    }

    /// Returns the time up to which every event is handled, if Box shows each within `delay`.
    /// Returns `None` until something is read.
    pub(super) fn complete_until(&self, engine: &LongPoll, delay: Duration) -> Option<SystemTime> {
        if self.covered <= self.from {
            return engine.complete_until();
        }
        let covered = self.covered(engine);
        let began_at = self.history_began_at.filter(|_| self.until.is_some());
        // The history of a stream ends days before the present, and that of a query may not.
        let shown = began_at.and_then(|at| wall(at).checked_sub(delay));
        Some(shown.map_or(covered, |shown| shown.min(covered)))
    }

    /// Returns the start from which a stream without a checkpoint resumes, until a live event is
    /// handled.
    pub(super) fn resume_at(&self) -> StartAt {
        StartAt::Since(self.covered)
    }

    /// Returns a time since which events may be missing, if there is one, and the time for which
    /// Box keeps them. `None` if the engine follows live events: then it knows the gap itself.
    pub(super) fn gap(&self, now: SystemTime) -> Option<(SystemTime, Duration)> {
        let now = Timestamp::try_from(now).ok()?;
        let is_past = |time: Timestamp, kept| now.duration_since(time) > kept;
        if is_past(self.covered, HISTORY_REACHES) {
            return Some((wall(self.covered), HISTORY_KEPT.unsigned_abs()));
        }
        let began_at = self.history_began_at?;
        let goes_live = self.until.is_none() && self.reading.is_none();
        let is_lost = goes_live && is_past(began_at, LIVE_EVENTS_KEPT);
        is_lost.then(|| (wall(began_at), LIVE_EVENTS_KEPT.unsigned_abs()))
    }

    /// Returns the position within a slice up to which all events are handled.
    pub(super) fn slice(&self) -> Option<SlicePoint> {
        self.handled.clone()
    }

    /// Notes that the consumer has handled the last page.
    pub(super) fn page_handled(&mut self) {
        if self.delivered.is_some() {
            self.handled = self.delivered.take();
        }
    }

    /// Drops the history, with its requests in flight.
    pub(super) fn cancel(&mut self) {
        self.reading = None;
    }

    /// Begins to read the history if live events may be missing, or if the stream begins in the
    /// past. Returns `true` if so. The live events then follow, from the oldest one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the stream begins before the time for
    /// which Box keeps the history.
    pub(super) fn begin_history(
        &mut self,
        api: &Arc<Api<T>>,
        engine: &LongPoll,
        telemetry: &Arc<Telemetry>,
        now: Moment,
    ) -> Result<bool, Error> {
        let Ok(present) = Timestamp::try_from(now.wall) else {
            return Ok(false);
        };
        if self.is_too_early {
            return Err(Error::config(
                "a stream can begin at most 365 days ago, for which Box keeps the events of an \
                 enterprise",
            ));
        }
        // The clock may have been ahead when that time was noted.
        self.covered = self.covered.min(present.max(self.from));
        let covered = Timestamp::try_from(self.covered(engine)).unwrap_or(self.covered);
        if present.duration_since(covered) > HISTORY_REACHES {
            // Box refuses the slices that begin before the edge.
            self.reading = None;
        }
        let follows = *engine.resume_at() != StartAt::Oldest;
        let may_be_unread = match self.until {
            Some(_) => SignedDuration::ZERO,
            None if follows => LIVE_EVENTS_KEPT,
            None => HISTORY_ENDS + NEARLY,
        };
        let unread = self.until.unwrap_or(present).duration_since(covered);
        if self.reading.is_some() || unread <= may_be_unread {
            return Ok(false);
        }
        let Some(settings) = api.config.stream_kind.history() else {
            return Ok(false);
        };
        let start = covered.max(present - HISTORY_KEPT);
        if start != covered {
            self.handled = None;
        }
        if follows {
            // Everything before `covered` is handled, and the gap after it was reported.
            self.handled = None;
            self.history_began_at = None;
            self.progress = None;
        }
        let start = Timestamp::from_second(start.as_second()).unwrap_or(start);
        self.covered = start;
        let rng = self.rng.fork();
        for id in engine.window_of_delivered().latest(usize::MAX) {
            self.known.insert(id);
        }
        self.forget_ids_at = None;
        self.history_began_at.get_or_insert(present);
        let until = self.history_end(now.wall).max(start);
        let progress = &mut self.progress;
        let progress = progress.get_or_insert_with(|| Progress::at_start(start, now.monotonic));
        progress.until = until;
        let slices = Slices {
            api: api.clone(),
            settings,
            pacer: self.pacer.clone(),
            telemetry: telemetry.clone(),
        };
        self.reading = Some(Reading {
            history: History::new(slices, start, self.handled.clone(), rng),
            since: start,
            until,
        });
        Ok(true)
    }

    /// Returns the engine that follows live events from the oldest one.
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
        engine: &mut LongPoll,
        config: &Config,
        telemetry: &Telemetry,
        now: SystemTime,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Step>> {
        let Some(reading) = &mut self.reading else {
            return Poll::Ready(self.until.map(|_| Step::Ended));
        };
        if self.skipped == SKIPPED_AT_ONCE {
            self.skipped = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let step = match ready!(reading.history.poll(reading.until, cx)) {
            Part::Page(mut events, end) => {
                let (window, received) = (engine.window(), events.len());
                events.retain(|event| {
                    let is_new = |id| self.known.insert(window.hash(id));
                    event.id().is_none_or(is_new)
                });
                telemetry.repeated(received - events.len());
                events.retain(|event| is_wanted(event, self.from) && config.wants(event));
                if let Some(progress) = &mut self.progress {
                    progress.count(&events);
                }
                if events.is_empty() {
                    self.skipped += 1;
                    self.handled = end;
                    Step::Moved
                } else {
                    self.skipped = 0;
                    self.delivered = end.clone();
                    let batch = Batch::new(events, StartAt::Since(self.covered));
                    Step::Deliver(batch.with_slice(end))
                }
            }
            Part::Slice(reached) => {
                self.covered = reached;
                self.handled = None;
                Step::Moved
            }
            Part::Stop(error)
                if error.kind() == ErrorKind::ParameterRejected
                    && is_refused_by_now(reading.since, now) =>
            {
                // The next history begins at the edge.
                self.reading = None;
                Step::Moved
            }
            Part::Stop(error) => Step::Stop(error),
            Part::Ended => {
                self.reading = None;
                if let Some(limiter) = self.limiter() {
                    engine.limit_calls(limiter);
                }
                Step::Moved
            }
        };
        Poll::Ready(Some(step))
    }

    /// Removes the events of a live batch that were delivered before, or that the stream does not
    /// want.
    pub(super) fn filter_live(
        &mut self,
        batch: Batch,
        engine: &LongPoll,
        telemetry: &Telemetry,
    ) -> Batch {
        let window = engine.window();
        let collects = self.forget_ids_at.is_none();
        let received = batch.len();
        let batch = batch.retain(|event| {
            event.id().is_none_or(|id| {
                let hash = window.hash(id);
                if collects {
                    self.known.insert(hash)
                } else {
                    !self.known.contains(hash)
                }
            })
        });
        telemetry.repeated(received - batch.len());
        batch.retain(|event| is_wanted(event, self.from))
    }

    /// Notes when the stream has reached the present, and forgets the ids 14 days later.
    pub(super) fn check_ids(&mut self, engine: &mut LongPoll, config: &Config, now: Moment) {
        let monotonic = now.monotonic;
        let Ok(now) = Timestamp::try_from(now.wall) else {
            return;
        };
        match self.forget_ids_at {
            None => {
                let covered = wall(self.covered);
                let has_reached = engine.caught_up_at().is_some_and(|at| at > covered);
                if self.reading.is_none() && has_reached {
                    self.history_began_at = None;
                    self.forget_ids_at = now.checked_add(IDS_KEPT).ok();
                    let usual = config.stream_kind.rate_limiter(config.pace, monotonic);
                    engine.limit_calls(usual.without_burst(monotonic));
                }
            }
            Some(at) if now >= at && self.known.len() > 0 => self.known.clear(),
            Some(_) => {}
        }
    }

    /// Returns the history while it is read.
    pub(super) fn reading(&self) -> Option<&History<T>> {
        self.reading.as_ref().map(|reading| &reading.history)
    }

    /// Returns the status of a stream that reads the history.
    pub(super) fn status(&self, now: Moment) -> Option<Status> {
        let reading = self.reading.as_ref()?;
        if let Some(trouble) = reading.history.trouble() {
            return Some(trouble);
        }
        let progress = self.progress.as_ref()?;
        let forgotten = self.known.forgotten();
        Some(Status::ReadingHistory(
            progress.at(now.monotonic, forgotten),
        ))
    }

    /// Returns the end of the history, in full seconds.
    fn history_end(&self, now: SystemTime) -> Timestamp {
        let end = || {
            let end = Timestamp::try_from(now).ok()?.checked_sub(HISTORY_ENDS);
            Timestamp::from_second(end.ok()?.as_second()).ok()
        };
        self.until.or_else(end).unwrap_or(self.covered)
    }
}

/// Returns `true` if Box does not keep the history that far back, even with the margin.
fn reaches_too_far(start: Timestamp, now: SystemTime) -> bool {
    Timestamp::try_from(now).is_ok_and(|now| now.duration_since(start) > HISTORY_REACHES)
}

/// Returns `true` if Box may refuse a history that begins there, because the edge of its 365 days
/// has moved on.
fn is_refused_by_now(start: Timestamp, now: SystemTime) -> bool {
    let minute = SignedDuration::from_mins(1);
    Timestamp::try_from(now).is_ok_and(|now| now.duration_since(start) > HISTORY_KEPT + minute)
}

/// Returns `true` unless the event happened before the stream begins.
fn is_wanted(event: &Event, from: Timestamp) -> bool {
    event.created_at().is_none_or(|time| time >= from)
}

/// Returns a time of an event in the form of the clocks.
fn wall(time: Timestamp) -> SystemTime {
    SystemTime::try_from(time).unwrap_or(SystemTime::UNIX_EPOCH)
}
