//! Latency: the time from the moment at which the emulator appends an event until the consumer has
//! it.
//!
//! Start from [`measure`], the harness's part, or [`Task`], the client's part.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::Scenario;
use crate::client::{Begin, Client};
use crate::control;
use crate::emulator::{Address, Conditions, Emulator, Gaps, Order, account};
use crate::measure::{now_ns, seconds};
use crate::report::{Report, Unit};
use crate::runtime::Runtime as _;
use crate::subject::{Name, Pace, Start, Subject, exit_with};

/// The pause after the start. The first requests use up a stream's pace, which has recovered after
/// this time.
const SETTLED: Duration = Duration::from_secs(2);

/// The turns of each subject. They are short, so that other load on the machine affects all
/// subjects.
#[derive(Clone, Copy)]
pub(crate) struct Turns {
    /// The number of programs, one after the other. A program's position in memory makes it faster
    /// or slower for as long as it runs.
    pub(crate) programs: u64,
    /// The number of a program's first turns that don't count, because the program does one-time
    /// work in them.
    pub(crate) warm_up: usize,
    /// The number of turns that count.
    pub(crate) counted: usize,
    /// The number of events in each turn.
    pub(crate) events: usize,
}

/// The client's part.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Task {
    accounts: usize,
    /// The number of first events that don't count.
    warm_up: usize,
    counted: usize,
    pace: Pace,
}

/// The pattern in which events occur.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Traffic {
    /// A hundred streams with events 3 s apart on each, at the default pace.
    Many,
    /// One stream with events 30 to 60 ms apart, at a raised pace.
    One,
}

impl Traffic {
    pub(crate) const ALL: [Self; 2] = [Self::Many, Self::One];

    fn task(self, turns: Turns) -> Task {
        let (accounts, pace) = match self {
            Self::Many => (100, Pace::Default),
            Self::One => (1, Pace::Raised),
        };
        Task {
            accounts,
            warm_up: turns.warm_up * turns.events,
            counted: turns.counted * turns.events,
            pace,
        }
    }

    fn gaps(self) -> Gaps {
        match self {
            Self::Many => Gaps::Exponential { mean_ms: 30.0 },
            Self::One => Gaps::Uniform {
                from_ms: 30.0,
                to_ms: 60.0,
            },
        }
    }

    fn figure(self, what: &str) -> String {
        match self {
            Self::Many => format!("latency_{what}"),
            Self::One => format!("latency_one_{what}"),
        }
    }
}

impl Task {
    pub(super) fn run<S: Subject>(&self, server: &Address, begin: Begin) {
        let (runtime, subject) = (S::Runtime::new(), S::new(server, self.pace));
        begin.wait();
        let taken: Arc<Mutex<Vec<u64>>> = Arc::default();
        let (all_taken, wait) = oneshot::channel();
        let all_taken = Arc::new(Mutex::new(Some(all_taken)));
        for number in 0..self.accounts {
            let (taken, all_taken) = (taken.clone(), all_taken.clone());
            let all = self.warm_up + self.counted;
            runtime.spawn(subject.follow(account(number), Start::Now, move |event| {
                S::glance(event);
                let now = now_ns();
                let Some(sent) = S::sent_ns(event) else {
                    exit_with("an event has no time at which it was sent");
                };
                let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
                taken.push(now.saturating_sub(sent));
                if taken.len() == all {
                    let mut all_taken = all_taken.lock().unwrap_or_else(PoisonError::into_inner);
                    // The receiver waits as long as the process lives.
                    let _ = all_taken.take().map(|all_taken| all_taken.send(()));
                }
                ControlFlow::Continue(())
            }));
        }
        if runtime.block_on(wait).is_err() {
            exit_with("the streams ended");
        }
        let taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = &taken[self.warm_up..];
        control::reply(&counted);
    }
}

/// A subject that follows an emulator of its own.
struct Follower {
    emulator: Emulator,
    client: Client,
    traffic: Traffic,
    accounts: usize,
}

impl Follower {
    fn start(name: Name, traffic: Traffic, turns: Turns) -> Result<Self, String> {
        let task = traffic.task(turns);
        let accounts = task.accounts;
        let mut emulator = Emulator::start(&Conditions::nearby())?;
        let mut client = Client::start(name, &emulator.address, &Scenario::Latency(task))?;
        client.go()?;
        emulator.await_polls(accounts)?;
        client.expect_silence(SETTLED)?;
        Ok(Self {
            emulator,
            client,
            traffic,
            accounts,
        })
    }

    /// Lets the subject follow some events. Every subject gets the same events and gaps.
    fn take_turn(mut self, events: usize, seed: u64) -> Result<Self, String> {
        let order = Order::Emit {
            accounts: self.accounts,
            events,
            gaps: self.traffic.gaps(),
            seed,
        };
        self.emulator.carry_out(&order)?;
        Ok(self)
    }

    /// Returns the latencies that count, in nanoseconds.
    fn latencies(mut self) -> Result<Vec<u64>, String> {
        self.client.result(Duration::from_secs(20))
    }
}

/// Lets the subjects follow the traffic, in turns, and reports percentiles of the latency.
pub(crate) fn measure(subjects: &[Name], traffic: Traffic, turns: Turns, report: &mut Report) {
    let mut taken = vec![Ok(Vec::new()); subjects.len()];
    for program in 1..=turns.programs {
        eprintln!("latency, {traffic:?}, program {program} of each subject");
        let more = run_turns(subjects, traffic, turns, program);
        for (taken, more) in taken.iter_mut().zip(more) {
            if let Ok(before) = taken {
                match more {
                    Ok(more) => before.extend(more),
                    Err(error) => *taken = Err(error),
                }
            }
        }
    }
    for (&name, taken) in subjects.iter().zip(taken) {
        let sorted = taken.map(|mut taken: Vec<u64>| {
            taken.sort_unstable();
            taken
        });
        for (what, per_mille) in [("p50", 500), ("p99", 990), ("p999", 999)] {
            let below = |sorted: &Vec<u64>| sorted[(sorted.len() - 1) * per_mille / 1000];
            let value = sorted.as_ref().map(below).map_err(String::clone);
            let figure = traffic.figure(what);
            report.record(name, &figure, Unit::Seconds, value.map(seconds));
        }
    }
}

/// Runs one program of each subject, in turns. Returns their latencies.
fn run_turns(
    subjects: &[Name],
    traffic: Traffic,
    turns: Turns,
    program: u64,
) -> Vec<Result<Vec<u64>, String>> {
    let started = subjects
        .iter()
        .map(|&name| Follower::start(name, traffic, turns));
    let mut followers: Vec<Result<_, _>> = started.collect();
    for turn in (0..).take(turns.warm_up + turns.counted) {
        let seed = (program << 32) + turn;
        let taken = followers
            .into_iter()
            .map(|follower| follower.and_then(|follower| follower.take_turn(turns.events, seed)));
        followers = taken.collect();
    }
    let latencies = followers
        .into_iter()
        .map(|follower| follower.and_then(Follower::latencies));
    latencies.collect()
}
