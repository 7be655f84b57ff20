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

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Task {
    accounts: usize,
    events: usize,
    pace: Pace,
}

/// The latencies below which a part of the events lies, in nanoseconds.
#[derive(Serialize, Deserialize)]
struct Latencies {
    p50: u64,
    p99: u64,
    p999: u64,
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
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.sort_unstable();
        let below = |per_mille: usize| taken[(taken.len() - 1) * per_mille / 1000];
        control::reply(&Latencies {
            p50: below(500),
            p99: below(990),
            p999: below(999),
        });
    }
}

/// Lets one subject follow the traffic once, and reports its latencies.
pub(crate) fn measure(name: Name, traffic: Traffic, events: usize, report: &mut Report) {
    let latencies = once(name, traffic, events);
    let mut tell = |what, value: fn(&Latencies) -> u64| {
        let value = latencies.as_ref().map(value).map_err(String::clone);
        let value = value.map(seconds);
        report.record(name, &traffic.figure(what), Unit::Seconds, value);
    };
    tell("p50", |latencies| latencies.p50);
    tell("p99", |latencies| latencies.p99);
    tell("p999", |latencies| latencies.p999);
}

fn once(name: Name, traffic: Traffic, events: usize) -> Result<Latencies, String> {
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
