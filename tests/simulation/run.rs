//! Runs a scenario from its beginning until the stream is stopped after its last fault.
//!
//! The loop polls the program while it is awake. If the program is idle, time moves to the next
//! scheduled event. After each step the world checks the subscription and the progress. A panic of
//! the library counts as a failure. Start at [`run`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use box_longpoll::ErrorKind;

use crate::budget::Budget;
use crate::conduct::Conduct;
use crate::coverage::Coverage;
use crate::permanent::Measures;
use crate::program::{self, Program};
use crate::progress::Stage;
use crate::scenario::Scenario;
use crate::world::{Inner, Scheduled, Step, World};

/// The largest number of turns of a run without weather. Every scenario needs fewer.
const MOST_EVENTS: u64 = 200_000;

/// The outcome of a run.
pub(crate) struct Outcome {
    /// The rule that was broken.
    pub(crate) failure: Option<String>,
    pub(crate) trace: Vec<(Duration, Step)>,
    /// The incidents that happened.
    pub(crate) fired: Vec<usize>,
    pub(crate) coverage: Coverage,
    pub(crate) requests: u64,
    pub(crate) deliveries: u64,
    /// The figures that the bounds of a permanent climate limit.
    pub(crate) measures: Option<Measures>,
}

/// Runs a scenario.
pub(crate) fn run(scenario: &Scenario) -> Outcome {
    let scenario = Arc::new(scenario.clone());
    let world = World::new(&scenario);
    let mut run = Run {
        seed: scenario.seed,
        wakeup: Arc::default(),
        program: None,
        programs: 0,
        world: world.clone(),
    };
    let panicked = catch_unwind(AssertUnwindSafe(|| run.go_on_to_the_end())).is_err();
    if panicked {
        // The program's destructors may panic as well, and would show nothing more.
        std::mem::forget(run.program.take());
    }
    drop(run);
    let mut inner = world.lock();
    let measures = inner.take_measures();
    let failure = match inner.violation.take() {
        None if panicked => Some("it panicked".into()),
        None => measures.as_ref().and_then(Measures::judge),
        violation => violation,
    };
    Outcome {
        measures,
        failure,
        trace: std::mem::take(&mut inner.trace),
        fired: inner.fired.iter().copied().collect(),
        coverage: std::mem::take(&mut inner.coverage),
        requests: inner.requests,
        deliveries: inner.ledger.deliveries,
    }
}

/// A run in progress.
struct Run {
    world: World,
    seed: u64,
    /// The running program.
    program: Option<Program>,
    /// The number of programs that were started.
    programs: u64,
    wakeup: Arc<Wakeup>,
}

/// A waker that remembers that it was called.
#[derive(Default)]
struct Wakeup(AtomicBool);

impl Wake for Wakeup {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Run {
    fn go_on_to_the_end(&mut self) {
        let permanent = self.world.lock().most_events_of_weather();
        for _ in 0..MOST_EVENTS + permanent {
            let (over, failed) = {
                let inner = self.world.lock();
                (inner.stage == Stage::Over, inner.violation.is_some())
            };
            if over || failed {
                return;
            }
            if self.world.lock().crashed.is_some() {
                self.bury();
                continue;
            }
            if self.wakeup.0.swap(false, Ordering::Relaxed) {
                self.poll();
                self.check();
                continue;
            }
            if std::mem::take(&mut self.world.lock().stop_wanted) {
                self.stop();
                continue;
            }
            let due = self.world.lock().advance();
            match due {
                None => {
                    let why = "nothing is scheduled any more";
                    self.world.lock().violation = Some(why.into());
                }
                Some(Scheduled::Restart) => self.start(),
                Some(due) => self.world.lock().comes_due(due),
            }
            self.check();
        }
        let mut inner = self.world.lock();
        inner.check::<()>(Err("the run does not end".into()));
    }

    fn check(&self) {
        let idle = !self.wakeup.0.load(Ordering::Relaxed);
        let mut inner = self.world.lock();
        inner.check_subscription(idle);
        inner.check_lanes(idle);
        inner.check_progress(idle);
    }

    fn start(&mut self) {
        let (climate, stored) = {
            let mut inner = self.world.lock();
            let stored = inner.store.read().map(str::to_owned);
            let climate = inner.climate.clone();
            inner.conduct = Conduct::of_new_stream(stored.as_deref(), &climate);
            inner.budget = Budget::of(&climate);
            inner.new_token();
            inner.step(Step::Starts(stored.clone()));
            (climate, stored)
        };
        self.programs += 1;
        // The library draws its seeds from this thread's generator.
        fastrand::seed(self.seed.wrapping_mul(1_000).wrapping_add(self.programs));
        self.program = Some(program::start(&self.world, &climate, stored.as_deref()));
        self.wakeup.0.store(true, Ordering::Relaxed);
    }

    fn poll(&mut self) {
        let Some(program) = &mut self.program else {
            return;
        };
        let waker = Waker::from(self.wakeup.clone());
        let Poll::Ready(ended) = program.as_mut().poll(&mut Context::from_waker(&waker)) else {
            return;
        };
        let mut inner = self.world.lock();
        let stopping = inner.stopping;
        let kind = ended.map(|error| error.kind());
        inner.trace_end(kind);
        inner.measure_stop();
        let rightly = match kind {
            // The subscription can't begin without its store.
            Some(ErrorKind::Checkpoint) if inner.store.refuses && inner.handle.is_none() => Ok(()),
            Some(kind) => inner.conduct.stopped(kind),
            None if stopping => Ok(()),
            None => Err("the stream ended without an error".into()),
        };
        inner.check(rightly);
        drop(inner);
        self.ended(Duration::from_secs(1));
    }

    /// Drops the program in the middle of its work.
    fn bury(&mut self) {
        let down = {
            let mut inner = self.world.lock();
            let now = inner.now;
            inner.trace.push((now, Step::Dies));
            Duration::from_millis(inner.crashed.unwrap_or_default())
        };
        self.ended(down);
    }

    fn ended(&mut self, down: Duration) {
        drop(self.program.take());
        self.world.check_nothing_is_left();
        let mut inner = self.world.lock();
        inner.program_ended();
        if inner.stage == Stage::Stopping {
            inner.stage = Stage::Over;
            return;
        }
        let at = inner.now + down;
        inner.schedule(at, Scheduled::Restart);
    }

    /// Stops the stream by its handle, in the middle of the program's work.
    fn stop(&mut self) {
        let mut inner = self.world.lock();
        let Some(handle) = inner.handle() else {
            return;
        };
        inner.stopping = true;
        drop(inner);
        handle.stop();
    }
}

impl Inner {
    /// Performs a scheduled event.
    fn comes_due(&mut self, due: Scheduled) {
        match due {
            Scheduled::Incident(index) if !self.healed => self.happens(index),
            Scheduled::Incident(_) | Scheduled::Restart => {}
            Scheduled::Heal => self.heal(),
            Scheduled::Arrival(id) => self.arrives(id),
            Scheduled::HoldEnds(hold) => self.resume(hold),
            Scheduled::Cut(id) => self.weather_cuts(id),
            Scheduled::Burst => self.burst(),
            Scheduled::Event => self.append_by_weather(),
            Scheduled::Response(id) => {
                if let Some(pending) = self.reachable(id) {
                    pending.has_come = true;
                    if let Some(waker) = pending.waker.take() {
                        waker.wake();
                    }
                }
            }
            Scheduled::Wake(id) => {
                if let Some(Some(waker)) = self.sleepers.remove(&id) {
                    waker.wake();
                }
            }
        }
        self.resume_those_that_are_ready();
    }

    /// Ends all faults.
    fn heal(&mut self) {
        self.healed = true;
        self.down_until = Duration::ZERO;
        self.hosts_down.clear();
        self.store.down_until = Duration::ZERO;
    }

    fn trace_end(&mut self, kind: Option<ErrorKind>) {
        let now = self.now;
        self.trace.push((now, Step::Ends(kind)));
    }
}
