//! The simulated world: one account at Box, one network, one program and one clock.
//!
//! [`World`] owns all state of a run, so that a run depends on its scenario alone. The other
//! modules extend [`Inner`], each with one part of the world. This module keeps the time, the queue
//! of scheduled events, and the first violation of a rule. It doesn't decide the order of events;
//! `run` does. Start at [`World::new`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use std::time::{Duration, Instant, SystemTime};

use box_longpoll::transport::Moment;
use box_longpoll::{ErrorKind, StreamHandle, StreamPosition};
use box_longpoll_testkit::{Config, Emulator, Endpoint, HoldId};

use crate::budget::Budget;
use crate::climate::{Climate, settings};
use crate::conduct::Conduct;
use crate::coverage::{Coverage, state};
use crate::exchange::Phase;
use crate::gaps::Gaps;
use crate::lanes::Lanes;
use crate::ledger::{Ledger, event};
use crate::network::Pending;
use crate::open_batches::OpenBatches;
use crate::permanent::Permanent;
use crate::progress::Stage;
use crate::scenario::{Scenario, What, When};
use crate::store::Store;

/// The account that the program follows.
pub(crate) const ACCOUNT: &str = "account";

pub(crate) const SECONDS_A_DAY: i64 = 24 * 60 * 60;

/// 2026-01-01T00:00:00Z, the time at which the emulator's calendar begins too.
const STARTED_UNIX: Duration = Duration::from_secs(1_767_225_600);

/// The world, which the program's transport, token source, store and consumer share.
#[derive(Clone)]
pub(crate) struct World(Arc<Mutex<Inner>>);

/// An event that is scheduled for a time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scheduled {
    /// The incident with this index in the scenario happens.
    Incident(usize),
    /// All faults end.
    Heal,
    /// The program starts.
    Restart,
    /// A request reaches the server.
    Arrival(u64),
    /// A response reaches the client.
    Response(u64),
    /// The server ends a poll.
    HoldEnds(HoldId),
    /// A sleep ends.
    Wake(u64),
    /// The weather ends a held poll.
    Cut(u64),
    /// The weather appends events, and decides when it does so again.
    Burst,
    /// The weather appends another event of a burst.
    Event,
}

/// One step of a run's trace: an action of the program, or an event that it learns of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// The program starts, at this stored position.
    Starts(Option<String>),
    /// The client sends a request, with this position.
    Sends(Endpoint, Option<String>),
    /// The client receives a response with this status.
    Receives(u16),
    /// A request fails without a response.
    Fails(&'static str),
    Sleeps(Duration),
    Wakes,
    RequestsToken,
    /// The program gets this number of events.
    Gets(usize),
    Handled,
    Writes(String),
    LearnsOfGap,
    Ends(Option<ErrorKind>),
    Dies,
    /// A fault happens. This is not a step of the program itself.
    Meets(String),
}

/// The state of the world. Times are durations since the start of the run.
pub(crate) struct Inner {
    /// The start of the run.
    base: Instant,
    pub(crate) now: Duration,
    /// The number of seconds by which the wall clock is ahead of the monotonic one.
    pub(crate) clock_set: i64,
    queue: BTreeMap<(Duration, u64), Scheduled>,
    next_number: u64,
    pub(crate) climate: Climate,
    pub(crate) scenario: Arc<Scenario>,
    /// The index of the incident for each occasion that has not come yet.
    by_occasion: HashMap<When, usize>,
    pub(crate) emulator: Emulator,
    /// The number of distinct events that were appended.
    events: u64,
    pub(crate) ledger: Ledger,
    pub(crate) open_batches: OpenBatches,
    pub(crate) gaps: Gaps,
    pub(crate) conduct: Conduct,
    pub(crate) budget: Budget,
    pub(crate) lanes: Lanes,
    pub(crate) store: Store,
    pub(crate) pending: BTreeMap<u64, Pending>,
    /// The request of each poll that the server holds.
    pub(crate) holds: BTreeMap<HoldId, u64>,
    /// The number of requests that each endpoint has received.
    pub(crate) requests_to: HashMap<Endpoint, u32>,
    pub(crate) forgotten_channels: BTreeSet<String>,
    pub(crate) known_channels: BTreeSet<String>,
    pub(crate) down_until: Duration,
    pub(crate) hosts_down: HashMap<String, Duration>,
    /// The number of page bodies that the library holds.
    pub(crate) live_bodies: Arc<AtomicUsize>,
    pub(crate) sleepers: BTreeMap<u64, Option<Waker>>,
    /// The number of the current token.
    token: u64,
    /// The number of calls of the token source.
    token_calls: u32,
    pub(crate) revoked: BTreeSet<String>,
    steps: u32,
    pub(crate) healed: bool,
    /// The time in milliseconds after which a program that has just died starts again.
    pub(crate) crashed: Option<u64>,
    /// `true` if the world is about to stop the stream by its handle.
    pub(crate) stop_wanted: bool,
    /// `true` if the world has stopped the stream by its handle.
    pub(crate) stopping: bool,
    /// The number of batches that the program was to acknowledge.
    pub(crate) acks: u32,
    pub(crate) stage: Stage,
    pub(crate) handle: Option<StreamHandle>,
    pub(crate) requests: u64,
    pub(crate) permanent: Option<Permanent>,
    pub(crate) coverage: Coverage,
    /// The incidents that have happened.
    pub(crate) fired: BTreeSet<usize>,
    pub(crate) trace: Vec<(Duration, Step)>,
    /// The first rule that was broken, as a sentence.
    pub(crate) violation: Option<String>,
}

impl World {
    /// Creates the world of a scenario, with all its incidents scheduled.
    pub(crate) fn new(scenario: &Arc<Scenario>) -> Self {
        let climate = scenario.climate.clone();
        let base = Moment::read_clocks().monotonic;
        let config = Config {
            settings: settings(&climate),
            seed: scenario.seed,
            request_log_capacity: 0,
            ..Config::default()
        };
        let mut inner = Inner {
            base,
            now: Duration::ZERO,
            clock_set: 0,
            queue: BTreeMap::new(),
            next_number: 0,
            conduct: Conduct::of_new_stream(None, &climate),
            permanent: Permanent::of(scenario),
            climate,
            scenario: scenario.clone(),
            by_occasion: HashMap::new(),
            emulator: Emulator::new(config, base),
            events: 0,
            ledger: Ledger::new(),
            open_batches: OpenBatches::default(),
            gaps: Gaps::default(),
            budget: Budget::default(),
            lanes: Lanes::default(),
            store: Store::default(),
            pending: BTreeMap::new(),
            holds: BTreeMap::new(),
            requests_to: HashMap::new(),
            forgotten_channels: BTreeSet::new(),
            known_channels: BTreeSet::new(),
            down_until: Duration::ZERO,
            hosts_down: HashMap::new(),
            live_bodies: Arc::default(),
            sleepers: BTreeMap::new(),
            token: 0,
            token_calls: 0,
            revoked: BTreeSet::new(),
            steps: 0,
            healed: false,
            crashed: None,
            stop_wanted: false,
            stopping: false,
            acks: 0,
            stage: Stage::Troubled,
            handle: None,
            requests: 0,
            coverage: Coverage::default(),
            fired: BTreeSet::new(),
            trace: Vec::new(),
            violation: None,
        };
        for (index, incident) in scenario.incidents.iter().enumerate() {
            match incident.when {
                When::At(ms) => {
                    inner.schedule(Duration::from_millis(ms), Scheduled::Incident(index));
                }
                occasion => {
                    inner.by_occasion.entry(occasion).or_insert(index);
                }
            }
        }
        let heals = Duration::from_millis(inner.climate.heals_after_ms);
        inner.schedule(heals, Scheduled::Heal);
        inner.schedule(Duration::ZERO, Scheduled::Restart);
        inner.begin_weather();
        Self(Arc::new(Mutex::new(inner)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Gives the world the handle of the program's stream.
    pub(crate) fn watch(&self, handle: StreamHandle) {
        self.lock().handle = Some(handle);
    }

    /// Takes a step of the program. If the program dies at this step, the future never completes.
    pub(crate) async fn step(&self, step: Step) {
        if !self.lock().step(step) {
            std::future::pending::<()>().await;
        }
    }

    /// Checks events that the consumer gets. `position` is the position that the stream shows as
    /// handled. Returns the batch number for [`handled`](Self::handled).
    pub(crate) fn delivered(&self, events: &[Arc<str>], position: Option<&StreamPosition>) -> u64 {
        let mut inner = self.lock();
        if let Some(position) = position {
            let covered = inner.ledger.check_covered(position.as_str());
            inner.check(covered.map_err(|why| format!("the stream's position: {why}")));
        }
        let delivered = inner.ledger.delivered(events);
        let ranks = inner.check(delivered).unwrap_or_default();
        inner.measure_delivery(&ranks);
        if let Some(first) = ranks.first() {
            inner.gaps.delivered(first.number);
        }
        inner.open_batches.take(ranks)
    }

    /// Marks a batch as handled.
    pub(crate) fn handled(&self, number: u64) {
        let mut inner = self.lock();
        let ranks = inner.open_batches.acknowledge(number);
        inner.ledger.acknowledge(&ranks);
    }
}

impl Inner {
    pub(crate) fn moment(&self) -> Moment {
        let wall = SystemTime::UNIX_EPOCH + STARTED_UNIX + self.now;
        let set = Duration::from_secs(self.clock_set.unsigned_abs());
        Moment {
            monotonic: self.base + self.now,
            wall: if self.clock_set < 0 {
                wall - set
            } else {
                wall + set
            },
        }
    }

    /// Sets the wall clock, but not the monotonic one.
    pub(crate) fn wall_jumps(&mut self, seconds: i64) {
        self.clock_set += seconds;
        let now = self.now;
        self.conduct.clocks_jumped(now);
    }

    pub(crate) fn instant(&self) -> Instant {
        self.base + self.now
    }

    pub(crate) fn since_base(&self, instant: Instant) -> Duration {
        instant - self.base
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    pub(crate) fn schedule(&mut self, at: Duration, due: Scheduled) {
        let number = self.number();
        self.queue.insert((at.max(self.now), number), due);
    }

    /// Moves the clock to the next scheduled event, and returns that event.
    pub(crate) fn advance(&mut self) -> Option<Scheduled> {
        let ((at, _), due) = self.queue.pop_first()?;
        self.measure_listening(at);
        self.stays_until(at);
        self.now = at;
        Some(due)
    }

    /// Returns the value, or records the error as the run's violation if it is the first.
    pub(crate) fn check<T>(&mut self, outcome: Result<T, String>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(why) => {
                self.violation.get_or_insert(why);
                None
            }
        }
    }

    /// Returns `true` if the program is still alive after this step.
    pub(crate) fn step(&mut self, step: Step) -> bool {
        // After a violation the run shows nothing more, and the program may loop without end.
        if self.crashed.is_some() || self.violation.is_some() {
            return false;
        }
        self.trace.push((self.now, step));
        let what = self.take(When::Step(self.steps));
        self.steps += 1;
        match what {
            Some(what) => {
                let state = state(self.status().as_ref());
                self.meets(&what, state);
                match what {
                    What::Crash { down_ms } => self.crashed = Some(down_ms),
                    What::Away { days } => {
                        self.wall_jumps(i64::from(days) * SECONDS_A_DAY);
                        self.crashed = Some(0);
                    }
                    _ => self.stop_wanted = true,
                }
                self.crashed.is_none()
            }
            None => true,
        }
    }

    pub(crate) fn status(&self) -> Option<box_longpoll::Status> {
        self.handle.as_ref().map(StreamHandle::status)
    }

    pub(crate) fn handle(&self) -> Option<StreamHandle> {
        self.handle.clone()
    }

    /// Removes and returns the incident of this occasion, so that it happens once.
    pub(crate) fn take(&mut self, occasion: When) -> Option<What> {
        if self.healed {
            return None;
        }
        let index = self.by_occasion.remove(&occasion)?;
        self.fired.insert(index);
        Some(self.scenario.incidents[index].what.clone())
    }

    /// Records that a fault happened while the stream was in `state`.
    pub(crate) fn meets(&mut self, what: &What, state: impl std::fmt::Debug) {
        let name = what.name();
        self.coverage.count(&name, state);
        self.coverage.count(&name, self.lanes_in_flight());
        if let Some(state) = self.page_ahead() {
            self.coverage.count(&name, state);
        }
        self.trace.push((self.now, Step::Meets(name)));
    }

    /// Appends events to the account's log. If `odd`, some of them differ from Box's documentation.
    pub(crate) fn append(&mut self, events: u32, odd: bool) {
        let texts: Vec<Arc<str>> = (self.events..self.events + u64::from(events))
            .map(|number| event(number, odd).into())
            .collect();
        self.events += u64::from(events);
        let now = self.instant();
        self.emulator
            .append_json(ACCOUNT, texts.iter().cloned(), now);
        if self.climate.repeat_rate > 0.0 {
            let log = self.emulator.events(ACCOUNT);
            self.ledger.logged(&log);
        } else {
            self.ledger.grows(&texts);
        }
        self.measure_appended(&texts);
    }

    pub(crate) fn current_token(&self) -> String {
        format!("token-{}", self.token)
    }

    /// Creates and returns the next token. The previous one stays valid.
    pub(crate) fn new_token(&mut self) -> String {
        self.token += 1;
        self.current_token()
    }

    /// Returns the fault of this call of the token source.
    pub(crate) fn token_mishap(&mut self) -> Option<What> {
        let mishap = self.take(When::Token(self.token_calls));
        self.token_calls += 1;
        mishap
    }

    /// Forgets everything that the program knew, except for its store.
    pub(crate) fn program_ended(&mut self) {
        self.handle = None;
        self.crashed = None;
        self.stop_wanted = false;
        self.stopping = false;
        self.lanes = Lanes::default();
        let window = self.store.window();
        self.ledger.forget(window.clone());
        self.open_batches = OpenBatches::remembering(window);
        self.gaps = Gaps::of_new_life(self.store.checkpoint());
        self.store.reopen();
        self.sleepers.clear();
    }

    /// Records that a request of the stream in `phase` met a fault.
    pub(crate) fn count_phase(&mut self, endpoint: Endpoint, what: &What, phase: Phase) {
        let name = format!("{endpoint:?} {}", what.name());
        self.trace.push((self.now, Step::Meets(name.clone())));
        self.coverage.count(&name, phase);
    }
}
