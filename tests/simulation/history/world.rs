//! The world of a run: Box with both logs of an enterprise, a clock, and the parts of the other
//! modules.
//!
//! Time passes only when the program waits. Requests are in `network`. Start at [`World::new`].

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use box_longpoll::transport::Moment;
use box_longpoll::{StartAt, StreamHandle};
use box_longpoll_testkit::{Config, Emulator};
use fastrand::Rng;
use jiff::Timestamp;

use super::case::{Case, Consumer, DAY, HOUR};
use super::database::Database;
use super::network::Pending;
use super::truth::{Number, Place, Truth};

/// The admin, whose account has the events of the enterprise.
pub(super) const ADMIN: &str = "admin";

/// 2026-01-01T00:00:00Z, the beginning of the world.
const BEGAN: Duration = Duration::from_secs(1_767_225_600);

/// Everything outside of the program. Clones share it.
#[derive(Clone)]
pub(super) struct World(Arc<Mutex<Inner>>);

/// An event that is scheduled for a time.
#[derive(Clone, Copy)]
pub(super) enum Due {
    Start,
    /// The program sleeps until now.
    Wake(u64),
    Arrival(u64),
    Response(u64),
    /// An event of the enterprise appears, or one that was there appears again.
    Event {
        created: u64,
        again: Option<Number>,
    },
    /// The enterprise makes another event.
    Live,
    /// All faults end.
    Heal,
}

pub(super) struct Inner {
    pub(super) base: Instant,
    pub(super) now: Duration,
    queue: BTreeMap<(Duration, u64), Due>,
    numbers: u64,
    pub(super) case: Case,
    pub(super) emulator: Emulator,
    pub(super) truth: Truth,
    pub(super) database: Database,
    /// The randomness of the enterprise, of the network, and of the database.
    pub(super) rngs: [Rng; 3],
    pub(super) pending: BTreeMap<u64, Pending>,
    sleepers: BTreeMap<u64, Option<Waker>>,
    pub(super) token: u64,
    /// The time at which Box issued or revoked a token last.
    pub(super) renewed: Duration,
    steps: u32,
    /// The number of batches that all programs have got.
    batches: u32,
    /// The time for which a program that has just died stays dead.
    pub(super) died: Option<Duration>,
    pub(super) healed: bool,
    /// The time at which the faults end. It moves on while the program is dead or rests.
    heals: Duration,
    pub(super) handle: Option<StreamHandle>,
    /// The last place that was checked from which a plain stream would resume.
    resume_at: Option<StartAt>,
    /// The times of the running program's calls.
    pub(super) calls: VecDeque<Duration>,
    /// The times of its calls since it has reached the present.
    pub(super) live_calls: VecDeque<Duration>,
    /// `true` from a live page without events until the program reads the past again.
    pub(super) is_present: bool,
    /// The time before which Box wants no request.
    pub(super) not_before: Duration,
    /// `true` once Box has refused a request of the running program with a 403.
    pub(super) is_forbidden: bool,
    pub(super) restarts: u32,
    pub(super) requests: u64,
    pub(super) gaps: u32,
    pub(super) trace: Option<Vec<(Duration, String)>>,
    pub(super) violation: Option<String>,
}

impl World {
    pub(super) fn new(case: &Case, traces: bool) -> Self {
        let base = Moment::read_clocks().monotonic;
        let config = Config {
            settings: case.settings(),
            seed: case.seed,
            request_log_capacity: 0,
            ..Config::default()
        };
        let rng = |n| Rng::with_seed(case.seed.wrapping_mul(8).wrapping_add(n));
        let heals = case.starts() + Duration::from_secs(case.runs_s);
        let mut inner = Inner {
            base,
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            numbers: 0,
            truth: Truth::new(case),
            database: Database::default(),
            case: case.clone(),
            emulator: Emulator::new(config, base),
            rngs: [rng(0), rng(1), rng(2)],
            pending: BTreeMap::new(),
            sleepers: BTreeMap::new(),
            token: 0,
            renewed: Duration::ZERO,
            steps: 0,
            batches: 0,
            died: None,
            healed: false,
            heals,
            handle: None,
            resume_at: None,
            calls: VecDeque::new(),
            live_calls: VecDeque::new(),
            is_present: false,
            not_before: Duration::ZERO,
            is_forbidden: false,
            restarts: 0,
            requests: 0,
            gaps: 0,
            trace: traces.then(Vec::new),
            violation: None,
        };
        inner.make_past();
        inner.schedule(case.starts(), Due::Start);
        inner.schedule(case.starts(), Due::Live);
        inner.schedule(heals, Due::Heal);
        Self(Arc::new(Mutex::new(inner)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a step of the program. If the program dies at this step, the future never completes.
    pub(super) async fn step(&self, what: impl FnOnce() -> String) {
        let lives = self.lock().step(what);
        if !lives {
            pending::<()>().await;
        }
    }

    /// Waits for time to pass.
    pub(super) async fn rest(&self, duration: Duration) {
        let resting = Resting {
            world: self,
            duration: Some(duration),
            id: 0,
        };
        resting.await;
    }
}

impl Inner {
    /// Makes the events that are there before the program starts.
    fn make_past(&mut self) {
        let (length, count) = (self.case.past_s, self.case.past_events);
        let mut left = count;
        while left > 0 {
            // Some events happen in the same second, and some at the edge of a slice.
            let burst = if self.rngs[0].u8(..20) == 0 {
                self.rngs[0].u32(2..40)
            } else {
                1
            };
            let mut created = self.rngs[0].u64(..length);
            if self.case.is_dense && self.rngs[0].u8(..20) > 0 {
                created = length - self.rngs[0].u64(13 * DAY + HOUR..14 * DAY - HOUR);
            }
            if self.rngs[0].u8(..5) == 0 {
                let since = length.saturating_sub(self.case.since_ms / 1_000);
                let edge = since + HOUR * self.rngs[0].u64(..3);
                created = (edge + self.rngs[0].u64(..3))
                    .saturating_sub(1)
                    .min(length - 1);
            }
            for _ in 0..burst.min(left) {
                self.happens(created);
            }
            left -= burst.min(left);
        }
    }

    /// Schedules the appearance of an event, and perhaps another one of the same event.
    fn happens(&mut self, created: u64) {
        let case = &self.case;
        let is_late = self.rngs[0].u8(..100) < case.late_percent;
        let most = if is_late {
            case.late_s
        } else {
            case.event_delay_s
        };
        let delay = match self.rngs[0].u8(..4) {
            _ if is_late => self.rngs[0].u64(..most.max(1)),
            0 => self.rngs[0].u64(..most),
            _ => self.rngs[0].u64(..3),
        };
        let at = Duration::from_millis((created + delay) * 1_000 + self.rngs[0].u64(..999));
        self.schedule(
            at,
            Due::Event {
                created,
                again: None,
            },
        );
    }

    /// Adds an event to Box's logs.
    fn appears(&mut self, created: u64, again: Option<Number>) {
        let number = again.unwrap_or_else(|| self.logs(created));
        let id = if self.truth.has_id(number) {
            format!(r#""e{number}""#)
        } else {
            "null".into()
        };
        let second = i64::try_from(BEGAN.as_secs() + created).expect("in this century");
        let created = Timestamp::from_second(second).expect("in this century");
        let json = format!(
            r#"{{"event_id":{id},"event_type":"LOGIN","created_at":"{created}","n":"{number}"}}"#
        );
        let now = self.base + self.now;
        self.emulator.append_json(ADMIN, [json], now);
    }

    /// Adds an event to the truth, and perhaps schedules its repeat. Returns its number.
    fn logs(&mut self, created: u64) -> Number {
        let has_id = self.rngs[0].u8(..100) >= self.case.no_id_percent;
        let (number, claimed) = self.truth.logged(created, self.now, has_id);
        self.check(claimed);
        if self.rngs[0].u8(..100) < self.case.repeat_percent {
            let at = self.now + Duration::from_secs(self.rngs[0].u64(..DAY));
            let again = Some(number);
            self.schedule(at, Due::Event { created, again });
        }
        number
    }

    fn makes_live_events(&mut self) {
        if self.healed {
            return;
        }
        let created = self.now.as_secs();
        let count = if self.rngs[0].u8(..8) == 0 { 4 } else { 1 };
        for _ in 0..count {
            self.happens(created);
        }
        let next = self.rngs[0].u64(1..2 * self.case.live_every_s);
        let at = self.now + Duration::from_secs(next);
        self.schedule(at, Due::Live);
    }

    /// Makes an event that appears at once.
    pub(super) fn last_event(&mut self) {
        let created = self.now.as_secs();
        self.appears(created, None);
    }

    pub(super) fn moment(&self) -> Moment {
        Moment {
            monotonic: self.base + self.now,
            wall: SystemTime::UNIX_EPOCH + BEGAN + self.now,
        }
    }

    /// Returns a time of a wall clock as the time since the beginning of the world.
    pub(super) fn since_beginning(time: SystemTime) -> Duration {
        let since_1970 = time
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        since_1970.saturating_sub(BEGAN)
    }

    /// Returns the time from which the program wants events.
    pub(super) fn since(&self) -> StartAt {
        let begins = BEGAN + self.case.starts();
        let begins = begins.saturating_sub(Duration::from_millis(self.case.since_ms));
        let begins = i64::try_from(begins.as_millis()).expect("in this century");
        StartAt::Since(Timestamp::from_millisecond(begins).expect("in this century"))
    }

    pub(super) fn place(start: &StartAt) -> Place {
        match start {
            StartAt::Since(time) => {
                let since_1970 = u64::try_from(time.as_second()).expect("after 1970");
                Place::Since(since_1970.saturating_sub(BEGAN.as_secs()))
            }
            _ => Place::Live,
        }
    }

    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn schedule(&mut self, at: Duration, due: Due) {
        let number = self.number();
        self.queue.insert((at.max(self.now), number), due);
    }

    /// Records the error as the run's violation if it is the first.
    pub(super) fn check(&mut self, outcome: Result<(), String>) {
        if let Err(why) = outcome {
            self.violation.get_or_insert(why);
        }
    }

    /// Takes a step of the program, and returns `true` if it is still alive.
    pub(super) fn step(&mut self, what: impl FnOnce() -> String) -> bool {
        if self.died.is_some() || self.violation.is_some() {
            return false;
        }
        self.note(what);
        let step = self.steps;
        self.steps += 1;
        let kill = self.case.kills.iter().find(|kill| kill.step == step);
        if let Some(kill) = kill.filter(|_| !self.healed) {
            let down = Duration::from_secs(kill.down_s);
            self.died = Some(down);
            self.heals += down;
            self.note(|| format!("dies for {down:?}"));
        }
        self.died.is_none()
    }

    pub(super) fn steps(&self) -> u32 {
        self.steps
    }

    pub(super) fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push((self.now, what()));
        }
    }

    /// Returns `true` if this call of the database fails.
    pub(super) fn database_fails(&mut self) -> bool {
        !self.healed && self.rngs[2].u8(..100) < self.case.store_fault_percent
    }

    pub(super) fn database_rng(&mut self) -> &mut Rng {
        &mut self.rngs[2]
    }

    /// Moves the clock to the next scheduled event, and performs it. Returns `true` if the program
    /// is to start.
    pub(super) fn advance(&mut self) -> bool {
        let Some(((at, _), due)) = self.queue.pop_first() else {
            self.check(Err("nothing is scheduled any more".into()));
            return false;
        };
        self.now = at;
        match due {
            Due::Start => return true,
            Due::Wake(id) => {
                if let Some(Some(waker)) = self.sleepers.remove(&id) {
                    waker.wake();
                }
            }
            Due::Arrival(id) => self.arrives(id),
            Due::Response(id) => {
                if let Some(pending) = self.pending.get_mut(&id) {
                    pending.has_come = true;
                    pending.waker.take().into_iter().for_each(Waker::wake);
                }
            }
            Due::Event { created, again } => self.appears(created, again),
            Due::Live => self.makes_live_events(),
            Due::Heal if self.heals > self.now => self.schedule(self.heals, Due::Heal),
            Due::Heal => {
                self.healed = true;
                self.note(|| "the faults end".into());
            }
        }
        false
    }

    /// Forgets the program and everything that it had.
    pub(super) fn program_ended(&mut self) {
        self.restarts += 1;
        self.is_forbidden = false;
        self.handle = None;
        self.died = None;
        self.sleepers.clear();
        self.calls.clear();
        self.live_calls.clear();
        self.is_present = false;
        self.not_before = Duration::ZERO;
        self.truth.program_ended();
        self.database.is_writing = false;
    }

    /// Checks what the stream says about itself.
    pub(super) fn check_claims(&mut self) {
        let Some(handle) = &self.handle else {
            return;
        };
        let until = handle.complete_until();
        let resume_at = handle.resume_at();
        // A stream may begin before the world.
        if let Some(until) = until.filter(|until| *until > SystemTime::UNIX_EPOCH + BEGAN) {
            let claimed = self.truth.claims(Self::since_beginning(until).as_secs());
            self.check(claimed);
        }
        let is_plain = matches!(self.case.consumer, Consumer::Batches | Consumer::Events);
        if is_plain && self.resume_at.as_ref() != Some(&resume_at) {
            let covered = self.truth.resumes_at(&Self::place(&resume_at));
            self.check(covered);
            self.resume_at = Some(resume_at);
        }
    }

    /// Checks a delivery, and returns its number.
    pub(super) fn takes(&mut self, events: &[Number], place: &Place) -> usize {
        let (batch, rightly) = self.truth.delivered(events, place);
        self.check(rightly);
        self.batches += 1;
        batch
    }

    /// Returns the time that the program takes for the batch that it has just got.
    pub(super) fn rest_after_batch(&mut self) -> Duration {
        if self.case.rests_at == Some(self.batches) && !self.healed {
            let rest = Duration::from_secs(self.case.rest_s);
            self.heals += rest;
            return rest;
        }
        Duration::from_millis(self.case.handling_ms)
    }

    /// Lets the program start again after a time.
    pub(super) fn starts_again(&mut self, down: Duration) {
        self.schedule(self.now + down, Due::Start);
    }

    /// Returns `true` if a dropped program has left nothing behind.
    pub(super) fn nothing_is_left(&self) -> bool {
        self.pending.is_empty() && self.sleepers.is_empty()
    }
}

/// A sleep in progress.
struct Resting<'a> {
    world: &'a World,
    duration: Option<Duration>,
    id: u64,
}

impl Future for Resting<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.world.lock();
        if let Some(duration) = self.duration.take() {
            self.id = inner.number();
            let at = inner.now + duration;
            inner.schedule(at, Due::Wake(self.id));
            inner.sleepers.insert(self.id, None);
        }
        let Some(waker) = inner.sleepers.get_mut(&self.id) else {
            return Poll::Ready(());
        };
        *waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Resting<'_> {
    fn drop(&mut self) {
        self.world.lock().sleepers.remove(&self.id);
    }
}
