//! The simulated world: one account at Box, one network, one program, one clock.

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
use crate::exchange::Place;
use crate::gaps::Gaps;
use crate::hands::Hands;
use crate::ledger::{Ledger, event, has_id};
use crate::network::Pending;
use crate::permanent::Permanent;
use crate::progress::Stage;
use crate::scenario::{Scenario, What, When};
use crate::store::Store;

/// The account that is followed.
pub(crate) const ACCOUNT: &str = "account";

pub(crate) const SECONDS_A_DAY: i64 = 24 * 60 * 60;

/// 2026-01-01T00:00:00Z, where the emulator's calendar begins too.
const STARTED_UNIX: Duration = Duration::from_secs(1_767_225_600);

/// The world, shared by the program's transport, token source, store and consumer.
#[derive(Clone)]
pub(crate) struct World(Arc<Mutex<Inner>>);

/// What is to happen at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Due {
    Incident(usize),
    Heal,
    Restart,
    /// A request reaches the server.
    Arrival(u64),
    /// An answer reaches the client.
    Answer(u64),
    /// The server ends a poll.
    HoldEnds(HoldId),
    Wake(u64),
    /// The weather ends a held poll.
    Cut(u64),
    /// The weather appends events, and decides when it does so again.
    Burst,
    /// The weather appends another event of a burst.
    Event,
}

/// What the program does or is told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Starts(Option<String>),
    Asks(Endpoint, Option<String>),
    IsAnswered(u16),
    IsFailed(&'static str),
    Sleeps(Duration),
    Wakes,
    AsksForToken,
    Gets(usize),
    Handled,
    Writes(String),
    HearsOfGap,
    Ends(Option<ErrorKind>),
    Dies,
    /// Not a step of the program's own.
    Meets(String),
}

pub(crate) struct Inner {
    base: Instant,
    pub(crate) now: Duration,
    pub(crate) clock_set: i64,
    queue: BTreeMap<(Duration, u64), Due>,
    next_number: u64,
    pub(crate) climate: Climate,
    pub(crate) scenario: Arc<Scenario>,
    by_occasion: HashMap<When, usize>,
    pub(crate) emulator: Emulator,
    events: u64,
    pub(crate) ledger: Ledger,
    pub(crate) hands: Hands,
    pub(crate) gaps: Gaps,
    pub(crate) conduct: Conduct,
    pub(crate) budget: Budget,
    pub(crate) store: Store,
    pub(crate) pending: BTreeMap<u64, Pending>,
    pub(crate) holds: BTreeMap<HoldId, u64>,
    pub(crate) asked: HashMap<Endpoint, u32>,
    pub(crate) forgotten_channels: BTreeSet<String>,
    pub(crate) known_channels: BTreeSet<String>,
    pub(crate) down_until: Duration,
    pub(crate) hosts_down: HashMap<String, Duration>,
    /// Page bodies that the library holds.
    pub(crate) live_bodies: Arc<AtomicUsize>,
    pub(crate) sleepers: BTreeMap<u64, Option<Waker>>,
    token: u64,
    token_questions: u32,
    pub(crate) revoked: BTreeSet<String>,
    steps: u32,
    pub(crate) healed: bool,
    pub(crate) crashed: Option<u64>,
    pub(crate) stop_wanted: bool,
    pub(crate) stopping: bool,
    /// How many batches it was to acknowledge.
    pub(crate) acks: u32,
    pub(crate) stage: Stage,
    pub(crate) handle: Option<StreamHandle>,
    pub(crate) requests: u64,
    pub(crate) permanent: Option<Permanent>,
    pub(crate) coverage: Coverage,
    pub(crate) fired: BTreeSet<usize>,
    pub(crate) trace: Vec<(Duration, Step)>,
    pub(crate) violation: Option<String>,
}

impl World {
    pub(crate) fn new(scenario: &Arc<Scenario>) -> Self {
        let climate = scenario.climate.clone();
        let base = Moment::read_clocks().monotonic;
        let config = Config {
            settings: settings(&climate),
            seed: scenario.seed,
            journal_capacity: 0,
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
            hands: Hands::default(),
            gaps: Gaps::default(),
            budget: Budget::default(),
            store: Store::default(),
            pending: BTreeMap::new(),
            holds: BTreeMap::new(),
            asked: HashMap::new(),
            forgotten_channels: BTreeSet::new(),
            known_channels: BTreeSet::new(),
            down_until: Duration::ZERO,
            hosts_down: HashMap::new(),
            live_bodies: Arc::default(),
            sleepers: BTreeMap::new(),
            token: 0,
            token_questions: 0,
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
                When::At(ms) => inner.schedule(Duration::from_millis(ms), Due::Incident(index)),
                occasion => {
                    inner.by_occasion.entry(occasion).or_insert(index);
                }
            }
        }
        let heals = Duration::from_millis(inner.climate.heals_after_ms);
        inner.schedule(heals, Due::Heal);
        inner.schedule(Duration::ZERO, Due::Restart);
        inner.begin_weather();
        Self(Arc::new(Mutex::new(inner)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Shows the world the stream that is to be followed.
    pub(crate) fn watch(&self, handle: StreamHandle) {
        self.lock().handle = Some(handle);
    }

    /// The program goes on by a step, unless it dies here: then it never comes back.
    pub(crate) async fn step(&self, step: Step) {
        if !self.lock().step(step) {
            std::future::pending::<()>().await;
        }
    }

    /// The consumer gets events. `position` is what the stream says is handled. Gives the number that they are
    /// [handled](Self::handled) by.
    pub(crate) fn delivered(&self, events: &[Arc<str>], position: Option<&StreamPosition>) -> u64 {
        let mut inner = self.lock();
        if let Some(position) = position {
            let covered = inner.ledger.check_covered(position.as_str());
            inner.check(covered.map_err(|why| format!("the stream's position: {why}")));
        }
        let delivered = inner.ledger.delivered(events);
        let ranks = inner.check(delivered).unwrap_or_default();
        inner.measure_delivery(&ranks);
        let with_ids = events.iter().any(|event| has_id(event));
        if inner.conduct.has_caught_up() {
            let (now, reach) = (inner.moment().wall, inner.ledger.reach());
            inner.gaps.will_have_caught_up(now, reach);
        }
        if inner.conduct.brought_new(with_ids) {
            inner.budget.fruitful();
        }
        inner.hands.take(ranks)
    }

    /// That is handled.
    pub(crate) fn handled(&self, number: u64) {
        let mut inner = self.lock();
        let ranks = inner.hands.acknowledge(number);
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

    /// The wall clock goes another way than the monotonic one.
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

    pub(crate) fn schedule(&mut self, at: Duration, due: Due) {
        let number = self.number();
        self.queue.insert((at.max(self.now), number), due);
    }

    /// Goes to the next time at which something is due.
    pub(crate) fn advance(&mut self) -> Option<Due> {
        let ((at, _), due) = self.queue.pop_first()?;
        self.measure_listening(at);
        self.now = at;
        Some(due)
    }

    /// Keeps the first thing that is not as it should be.
    pub(crate) fn check<T>(&mut self, outcome: Result<T, String>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(why) => {
                self.violation.get_or_insert(why);
                None
            }
        }
    }

    /// Whether the program lives on after this step.
    pub(crate) fn step(&mut self, step: Step) -> bool {
        // After a violation there is nothing more to learn, and it may go round in circles.
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

    /// What is to go wrong on this occasion. It happens once.
    pub(crate) fn take(&mut self, occasion: When) -> Option<What> {
        if self.healed {
            return None;
        }
        let index = self.by_occasion.remove(&occasion)?;
        self.fired.insert(index);
        Some(self.scenario.incidents[index].what.clone())
    }

    pub(crate) fn meets(&mut self, what: &What, state: impl std::fmt::Debug) {
        self.trace.push((self.now, Step::Meets(what.name())));
        self.coverage.count(&what.name(), state);
    }

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

    /// The next token. The one before is as good as before.
    pub(crate) fn new_token(&mut self) -> String {
        self.token += 1;
        self.current_token()
    }

    pub(crate) fn token_mishap(&mut self) -> Option<What> {
        let mishap = self.take(When::Token(self.token_questions));
        self.token_questions += 1;
        mishap
    }

    pub(crate) fn program_ended(&mut self) {
        self.settle_page();
        self.handle = None;
        self.crashed = None;
        self.stop_wanted = false;
        self.stopping = false;
        let window = self.store.window();
        self.ledger.forget(window.clone());
        self.hands = Hands::remembering(window);
        self.gaps = Gaps::of_new_life(self.store.checkpoint());
        self.store.reopen();
        self.sleepers.clear();
    }

    pub(crate) fn counts_place(&mut self, endpoint: Endpoint, what: &What, place: Place) {
        let name = format!("{endpoint:?} {}", what.name());
        self.trace.push((self.now, Step::Meets(name.clone())));
        self.coverage.count(&name, place);
    }
}
