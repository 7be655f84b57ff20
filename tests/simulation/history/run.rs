//! Runs a case to its end: until all is delivered, and a last event after that.
//!
//! The loop polls the program while it is awake. If it is idle, time moves on to the next scheduled
//! event. Start at [`run`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use box_longpoll::{ErrorKind, Status};

use super::case::Case;
use super::program::{self, Ended, Program};
use super::world::{Inner, World};

/// The most turns of a run.
const MOST_TURNS: u32 = 2_000_000;

/// The time within which a stream is up to date after the faults have ended: 12 h.
const CATCHES_UP: Duration = Duration::from_secs(12 * 3_600);

/// The time within which a new event arrives, beside the interval between fetches: a minute.
const ARRIVES: Duration = Duration::from_secs(60);

/// The outcome of a run.
pub(super) struct Outcome {
    /// The rule that was broken.
    pub(super) failure: Option<String>,
    pub(super) trace: Vec<(Duration, String)>,
    pub(super) steps: u32,
    pub(super) requests: u64,
    pub(super) deliveries: u64,
    pub(super) restarts: u32,
    pub(super) gaps: u32,
}

/// Runs a case.
pub(super) fn run(case: &Case, traces: bool) -> Outcome {
    let world = World::new(case, traces);
    let mut run = Run {
        world: world.clone(),
        seed: case.seed,
        program: None,
        programs: 0,
        wakeup: Arc::default(),
        stage: Stage::Troubled,
    };
    let panicked = catch_unwind(AssertUnwindSafe(|| run.go_on_to_the_end())).is_err();
    if panicked {
        // The program's destructors may panic as well, and would show nothing more.
        std::mem::forget(run.program.take());
    }
    drop(run);
    let mut inner = world.lock();
    let violation = inner.violation.take();
    Outcome {
        failure: violation.or_else(|| panicked.then(|| "it panicked".into())),
        trace: inner.trace.take().unwrap_or_default(),
        steps: inner.steps(),
        requests: inner.requests,
        deliveries: inner.truth.deliveries,
        restarts: inner.restarts,
        gaps: inner.gaps,
    }
}

/// The stage of a run.
#[derive(Clone, Copy)]
enum Stage {
    /// Faults happen.
    Troubled,
    /// The faults have ended, and the stream is to be up to date by this time.
    CatchingUp {
        until: Duration,
    },
    /// A last event is to be handled by this time.
    Follows {
        until: Duration,
    },
    /// The stream is stopped.
    Stopping,
    Over,
}

/// A run in progress.
struct Run {
    world: World,
    seed: u64,
    program: Option<Program>,
    /// The number of programs that were started.
    programs: u64,
    wakeup: Arc<Wakeup>,
    stage: Stage,
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
        for _ in 0..MOST_TURNS {
            if matches!(self.stage, Stage::Over) || self.world.lock().violation.is_some() {
                return;
            }
            let died = self.world.lock().died;
            if let Some(down) = died {
                self.ended(down);
            } else if self.wakeup.0.swap(false, Ordering::Relaxed) {
                self.poll();
                self.world.lock().check_claims();
            } else if self.world.lock().advance() {
                self.start();
            }
            self.check_progress();
        }
        self.world.lock().check(Err("the run does not end".into()));
    }

    fn start(&mut self) {
        self.world.lock().note(|| "starts".into());
        self.programs += 1;
        // The library draws its seeds from this thread's generator.
        fastrand::seed(self.seed.wrapping_mul(1_000).wrapping_add(self.programs));
        self.program = Some(program::start(&self.world));
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
        let rightly = match ended {
            Ended::Database => Ok(()),
            Ended::Stream(None) if matches!(self.stage, Stage::Stopping) => {
                self.stage = Stage::Over;
                return;
            }
            // The subscription can't begin without its store.
            Ended::Stream(Some(error))
                if error.kind() == ErrorKind::Checkpoint && self.world.lock().handle.is_none() =>
            {
                Ok(())
            }
            Ended::Stream(Some(error))
                if error.kind() == ErrorKind::Forbidden && self.world.lock().is_forbidden =>
            {
                Ok(())
            }
            Ended::Stream(error) => Err(format!("the stream ended: {error:?}")),
        };
        self.world.lock().check(rightly);
        self.ended(Duration::from_secs(1));
    }

    fn ended(&mut self, down: Duration) {
        drop(self.program.take());
        self.wakeup.0.store(false, Ordering::Relaxed);
        let mut inner = self.world.lock();
        if !inner.nothing_is_left() {
            inner.check(Err("a dropped program left something behind".into()));
        }
        inner.program_ended();
        inner.starts_again(down);
    }

    /// Moves the run on to its next stage.
    fn check_progress(&mut self) {
        let mut inner = self.world.lock();
        let now = inner.now;
        self.stage = match self.stage {
            Stage::Troubled if inner.healed => Stage::CatchingUp {
                until: now + CATCHES_UP,
            },
            Stage::CatchingUp { .. } if is_up_to_date(&inner) => {
                inner.last_event();
                let interval = Duration::from_secs(inner.case.longest_interval_s);
                Stage::Follows {
                    until: now + interval + ARRIVES,
                }
            }
            Stage::Follows { .. } if is_up_to_date(&inner) => {
                let handle = inner.handle.clone();
                drop(inner);
                // The stream wakes the program.
                handle.iter().for_each(box_longpoll::StreamHandle::stop);
                self.stage = Stage::Stopping;
                return;
            }
            Stage::CatchingUp { until } | Stage::Follows { until } if now > until => {
                let missing = inner.truth.missing();
                inner.check(missing);
                let status = inner
                    .handle
                    .as_ref()
                    .map(box_longpoll::StreamHandle::status);
                inner.check(Err(format!("the stream is not up to date: {status:?}")));
                return;
            }
            stage => stage,
        };
    }
}

/// Returns `true` if the stream waits, and everything is delivered.
fn is_up_to_date(inner: &Inner) -> bool {
    let Some(handle) = &inner.handle else {
        return false;
    };
    let case = &inner.case;
    let most = case.event_delay_s + case.longest_interval_s;
    let least = inner
        .now
        .saturating_sub(Duration::from_secs(most) + ARRIVES);
    let until = handle.complete_until().map(Inner::since_beginning);
    matches!(handle.status(), Status::Waiting { .. })
        && until.is_some_and(|until| until >= least)
        && inner.truth.missing().is_ok()
}
