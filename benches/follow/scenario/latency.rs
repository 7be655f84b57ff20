//! Latency: from the moment at which the emulator appends an event until it is in the consumer's hands.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::Scenario;
use crate::client::{Begin, Client};
use crate::control;
use crate::emulator::{Emulator, Gaps, Order, account};
use crate::measure::{now_ns, seconds};
use crate::report::{Report, Unit};
use crate::runtime::Runtime as _;
use crate::subject::{Name, Pace, Start, Subject, give_up};

/// Beginning uses up a stream's pace, which is whole again after this.
const SETTLED: Duration = Duration::from_secs(2);

/// So often each subject has its turn.
const TURNS: usize = 5;

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Task {
    accounts: usize,
    events: usize,
    pace: Pace,
}

/// How events come.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Traffic {
    /// On a hundred streams, 3 s apart on each, so that the default pace is in force.
    Many,
    /// On one stream, 30 to 60 ms apart, with the pace raised.
    One,
}

impl Traffic {
    pub(crate) const ALL: [Self; 2] = [Self::Many, Self::One];

    fn task(self, events: usize) -> Task {
        let (accounts, pace) = match self {
            Self::Many => (100, Pace::Default),
            Self::One => (1, Pace::Raised),
        };
        Task {
            accounts,
            events,
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
    pub(super) fn run<S: Subject>(&self, origin: &str, begin: Begin) {
        let (runtime, subject) = (S::Runtime::new(), S::new(origin, self.pace));
        begin.wait();
        let taken: Arc<Mutex<Vec<u64>>> = Arc::default();
        let (all_taken, wait) = oneshot::channel();
        let all_taken = Arc::new(Mutex::new(Some(all_taken)));
        for number in 0..self.accounts {
            let (taken, all_taken, events) = (taken.clone(), all_taken.clone(), self.events);
            runtime.spawn(subject.follow(account(number), Start::Now, move |event| {
                S::glance(event);
                let now = now_ns();
                let Some(sent) = S::sent_ns(event) else {
                    give_up("an event doesn't say when it was sent");
                };
                let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
                taken.push(now.saturating_sub(sent));
                if taken.len() == events {
                    let mut all_taken = all_taken.lock().unwrap_or_else(PoisonError::into_inner);
                    // Whoever waits for it waits as long as the process lives.
                    let _ = all_taken.take().map(|all_taken| all_taken.send(()));
                }
                ControlFlow::Continue(())
            }));
        }
        if runtime.block_on(wait).is_err() {
            give_up("the streams ended");
        }
        let taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        control::reply(&*taken);
    }
}

/// Lets the subjects follow the traffic, in turns: what else the machine does meets all of them. Reports the latencies below
/// which a part of all events lies.
pub(crate) fn measure(subjects: &[Name], traffic: Traffic, events: usize, report: &mut Report) {
    let mut taken = vec![Ok(Vec::new()); subjects.len()];
    for turn in 1..=TURNS {
        for (name, taken) in subjects.iter().zip(&mut taken) {
            let Ok(before) = taken else {
                continue;
            };
            eprintln!("latency, {traffic:?}, {}, turn {turn}", name.text());
            match once(*name, traffic, events / TURNS) {
                Ok(more) => before.extend(more),
                Err(error) => *taken = Err(error),
            }
        }
    }
    for (name, taken) in subjects.iter().zip(taken) {
        let sorted = taken.map(|mut taken| {
            taken.sort_unstable();
            taken
        });
        for (what, per_mille) in [("p50", 500), ("p99", 990), ("p999", 999)] {
            let below = |sorted: &Vec<u64>| sorted[(sorted.len() - 1) * per_mille / 1000];
            let value = sorted.as_ref().map(below).map_err(String::clone);
            let figure = traffic.figure(what);
            report.record(*name, &figure, Unit::Seconds, value.map(seconds));
        }
    }
}

/// The latencies in nanoseconds.
fn once(name: Name, traffic: Traffic, events: usize) -> Result<Vec<u64>, String> {
    let task = traffic.task(events);
    let accounts = task.accounts;
    let mut emulator = Emulator::start()?;
    let mut client = Client::start(name, &emulator.origin, &Scenario::Latency(task))?;
    client.go()?;
    emulator.await_polls(accounts)?;
    client.leave_alone(SETTLED)?;
    let order = Order::Emit {
        accounts,
        events,
        gaps: traffic.gaps(),
    };
    emulator.carry_out(&order)?;
    client.result(Duration::from_secs(20))
}
