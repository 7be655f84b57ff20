//! Runs a scenario from its beginning to the rest after it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use box_longpoll_testkit::PollPosition;

use crate::budget::Budget;

use crate::climate::Consumer;
use crate::conduct::Conduct;
use crate::coverage::Coverage;
use crate::program::{self, Program};
use crate::scenario::Scenario;
use crate::world::{Due, Inner, Step, World};

/// After the last fault and the poll that it may have silenced, the longest that a stream may be busy: an API call ends
/// after 60 s, the pauses are 60 s at most, and a long log has to be read.
const RECOVERY: Duration = Duration::from_secs(400);

/// How much longer than the signal takes a new event may take to a stream that listens.
const PROMPT: Duration = Duration::from_secs(20);

/// More than any scenario needs.
const MOST_EVENTS: u32 = 200_000;

/// What came of a run.
pub(crate) struct Outcome {
    pub(crate) failure: Option<String>,
    pub(crate) trace: Vec<(Duration, Step)>,
    /// The incidents that happened.
    pub(crate) fired: Vec<usize>,
    pub(crate) coverage: Coverage,
    pub(crate) requests: u64,
    pub(crate) deliveries: u64,
}

/// How far the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Troubled,
    /// Nothing goes wrong any more; by then everything is to be delivered, and a poll to be held.
    Healed {
        at: Duration,
    },
    /// One more event was appended; by then it is to be durable.
    Probed {
        by: Duration,
    },
    /// The stream was told to stop.
    Stopping,
    Over,
}

pub(crate) fn run(scenario: &Scenario) -> Outcome {
    let scenario = Arc::new(scenario.clone());
    let world = World::new(&scenario);
    let mut run = Run {
        seed: scenario.seed,
        wakeup: Arc::default(),
        program: None,
        programs: 0,
        stage: Stage::Troubled,
        world: world.clone(),
    };
    let panicked = catch_unwind(AssertUnwindSafe(|| run.go_on_to_the_end())).is_err();
    if panicked {
        // Its destructors may panic as well, and there is nothing more to learn from it.
        std::mem::forget(run.program.take());
    }
    drop(run);
    let mut inner = world.lock();
    let failure = match inner.violation.take() {
        None if panicked => Some("it panicked".into()),
        violation => violation,
    };
    Outcome {
        failure,
        trace: std::mem::take(&mut inner.trace),
        fired: inner.fired.iter().copied().collect(),
        coverage: std::mem::take(&mut inner.coverage),
        requests: inner.requests,
        deliveries: inner.ledger.deliveries,
    }
}

struct Run {
    world: World,
    seed: u64,
    program: Option<Program>,
    programs: u64,
    wakeup: Arc<Wakeup>,
    stage: Stage,
}

/// Whether the program wants to be polled.
#[derive(Default)]
struct Wakeup(AtomicBool);

impl Wake for Wakeup {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Run {
    fn go_on_to_the_end(&mut self) {
        for _ in 0..MOST_EVENTS {
            if self.stage == Stage::Over || self.world.lock().violation.is_some() {
                return;
            }
            if self.wakeup.0.swap(false, Ordering::Relaxed) {
                self.poll();
                self.check_progress();
                continue;
            }
            if self.world.lock().crashed.is_some() {
                self.bury();
                continue;
            }
            if std::mem::take(&mut self.world.lock().stop_wanted) {
                self.stop();
                continue;
            }
            let due = self.world.lock().advance();
            match due {
                None => {
                    let why = "nothing will ever happen again";
                    self.world.lock().violation = Some(why.into());
                }
                Some(Due::Restart) => self.start(),
                Some(due) => self.world.lock().comes_due(due),
            }
            self.check_progress();
        }
        let mut inner = self.world.lock();
        inner.check::<()>(Err("it does not come to rest".into()));
    }

    fn start(&mut self) {
        let (climate, stored) = {
            let mut inner = self.world.lock();
            let stored = inner.store.read().map(str::to_owned);
            let climate = inner.climate.clone();
            inner.conduct = Conduct::of_new_stream(stored.as_deref(), &climate);
            inner.budget = Budget::default();
            inner.new_token();
            inner.step(Step::Starts(stored.clone()));
            (climate, stored)
        };
        self.programs += 1;
        // The library takes its seeds from this thread's generator.
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
        let rightly = match kind {
            Some(kind) => inner.conduct.stopped(kind),
            None if stopping => Ok(()),
            None => Err("the stream ended without a word".into()),
        };
        inner.check(rightly);
        drop(inner);
        self.ended(Duration::from_secs(1));
    }

    /// Whatever the program was about, it is gone.
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
        if self.stage == Stage::Stopping {
            self.stage = Stage::Over;
            return;
        }
        let at = inner.now + down;
        inner.schedule(at, Due::Restart);
    }

    /// Stops the stream by its handle, whatever the program is about.
    fn stop(&mut self) {
        let mut inner = self.world.lock();
        let Some(handle) = inner.handle() else {
            return;
        };
        inner.stopping = true;
        drop(inner);
        handle.stop();
    }

    fn check_progress(&mut self) {
        let mut inner = self.world.lock();
        inner.check_waits();
        let now = inner.now;
        match self.stage {
            Stage::Troubled if inner.healed => {
                self.stage = Stage::Healed { at: now };
            }
            Stage::Healed { at } => {
                // An answer that was on its way may have asked to be left alone.
                let from = at.max(inner.conduct.silenced_until());
                let by = from + inner.climate.longest_poll() + RECOVERY;
                let idle = !self.wakeup.0.load(Ordering::Relaxed);
                if idle && inner.ledger.all_acknowledged() && inner.is_listened_to() {
                    inner.append(1, false);
                    inner.resume_those_that_are_ready();
                    self.stage = Stage::Probed {
                        by: now + inner.longest_news(),
                    };
                } else if now > by {
                    let missing = inner.ledger.missing();
                    let why = format!(
                        "too long after the last fault {missing} events are missing, and it is {:?}",
                        inner.status()
                    );
                    inner.check::<()>(Err(why));
                }
            }
            Stage::Probed { by } => {
                let durable = inner.store.read().map(str::to_owned);
                if durable.is_some_and(|durable| inner.ledger.covers_all(&durable)) {
                    inner.stop_wanted = true;
                    self.stage = Stage::Stopping;
                } else if now > by {
                    let why = format!(
                        "a new event is not durable in time; {} are missing, and it is {:?}",
                        inner.ledger.missing(),
                        inner.status()
                    );
                    inner.check::<()>(Err(why));
                }
            }
            Stage::Troubled | Stage::Stopping | Stage::Over => {}
        }
    }
}

impl Inner {
    fn comes_due(&mut self, due: Due) {
        match due {
            Due::Incident(index) if !self.healed => self.happens(index),
            Due::Incident(_) | Due::Restart => {}
            Due::Heal => self.heal(),
            Due::Arrival(id) => self.arrives(id),
            Due::HoldEnds(hold) => self.resume(hold),
            Due::Answer(id) => {
                if let Some(pending) = self.reachable(id) {
                    pending.has_come = true;
                    if let Some(waker) = pending.waker.take() {
                        waker.wake();
                    }
                }
            }
            Due::Wake(id) => {
                if let Some(Some(waker)) = self.sleepers.remove(&id) {
                    waker.wake();
                }
            }
        }
        self.resume_those_that_are_ready();
    }

    fn heal(&mut self) {
        self.healed = true;
        self.down_until = Duration::ZERO;
        self.hosts_down.clear();
    }

    /// Whether a poll is held that will tell of the next event.
    fn is_listened_to(&self) -> bool {
        let listens = |pending: &crate::network::Pending| {
            let is_poll = pending.asked.channel.is_some() && pending.met.is_none();
            pending.listens || (self.climate.never_holds() && is_poll)
        };
        self.pending.values().any(listens)
    }

    /// How long the stream may take to hear of an event that is appended now, and to make it durable.
    fn longest_news(&self) -> Duration {
        let climate = &self.climate;
        // A signal that crosses the end of its poll is lost. A server that ignores positions does not repeat it, and the
        // fetch that follows may come before the event shows.
        let may_lose_it =
            climate.poll_position == PollPosition::Ignored && climate.visible_after_ms > 0;
        let hears_after = if climate.drop_signals || may_lose_it {
            Duration::from_millis(climate.hold_ms).min(climate.longest_poll())
        } else {
            Duration::ZERO
        };
        let handled = Duration::from_millis(climate.handling_ms + climate.visible_after_ms);
        let committed = match climate.consumer {
            Consumer::Events => Duration::from_millis(climate.patience_ms.max(20_000)),
            Consumer::Batches => Duration::ZERO,
        };
        hears_after + handled + committed + PROMPT
    }

    fn trace_end(&mut self, kind: Option<box_longpoll::ErrorKind>) {
        let now = self.now;
        self.trace.push((now, Step::Ends(kind)));
    }
}
