//! Holding many streams on which nothing happens: how long until all are held, and what they cost then.

use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Scenario;
use crate::client::{Begin, Client};
use crate::emulator::{Emulator, Order, account};
use crate::measure::{Usage, as_f64, seconds};
use crate::report::{Report, Unit};
use crate::runtime::Runtime as _;
use crate::subject::{Name, Pace, Start, Subject};

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) streams: usize,
    /// How many events each stream reads first.
    pub(crate) events: usize,
    pub(crate) connections: Connections,
}

/// Who has connections of its own.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Connections {
    /// All streams share one transport.
    Shared,
    /// Each stream has a transport.
    Own,
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} streams", self.streams)?;
        if self.events > 0 {
            write!(f, " after {} events each", self.events)?;
        }
        if matches!(self.connections, Connections::Own) {
            write!(f, " with a transport each")?;
        }
        Ok(())
    }
}

/// What came of it.
struct Held {
    startup_s: f64,
    memory: f64,
    threads: f64,
    cpu_s: f64,
}

impl Task {
    pub(super) fn run<S: Subject>(&self, origin: &str, begin: Begin) {
        let runtime = S::Runtime::new();
        let shared = S::new(origin, Pace::Default);
        let start = if self.events == 0 {
            Start::Now
        } else {
            Start::Oldest
        };
        begin.wait();
        for number in 0..self.streams {
            let subject = match self.connections {
                Connections::Shared => shared.clone(),
                Connections::Own => S::new(origin, Pace::Default),
            };
            runtime.spawn(subject.follow(account(number), start, |event| {
                S::glance(event);
                ControlFlow::Continue(())
            }));
        }
        // The harness ends this process when it has seen enough.
        runtime.block_on(std::future::pending::<()>());
    }

    /// The figures' names have the number of streams at their end, unless it is the largest.
    fn figure(&self, what: &str, largest: usize) -> String {
        let kind = match (self.connections, self.events) {
            (Connections::Own, _) => "idle_own",
            (Connections::Shared, 0) => "idle",
            (Connections::Shared, _) => "idle_warm",
        };
        if self.streams == largest || matches!(self.connections, Connections::Own) {
            format!("{kind}_{what}")
        } else {
            format!("{kind}_{what}_{}", self.streams)
        }
    }
}

/// Which of the figures are wanted.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) idle: bool,
    pub(crate) startup: bool,
}

/// Lets one subject hold streams, and reports what that costs.
pub(crate) fn measure(
    name: Name,
    task: Task,
    largest: usize,
    watched: Duration,
    wanted: Wanted,
    report: &mut Report,
) {
    let watched = wanted.idle.then_some(watched);
    let held = once(name, task, watched);
    let mut tell = |figure: &str, unit, value: fn(&Held) -> f64| {
        let value = held.as_ref().map(value).map_err(String::clone);
        report.record(name, figure, unit, value);
    };
    if wanted.startup {
        tell("startup", Unit::Seconds, |held| held.startup_s);
    }
    if wanted.idle {
        let figure = |what| task.figure(what, largest);
        tell(&figure("memory"), Unit::Bytes, |held| held.memory);
        tell(&figure("threads"), Unit::Count, |held| held.threads);
        tell(&figure("cpu"), Unit::Seconds, |held| held.cpu_s);
    }
}

/// How many polls the emulator holds, of as many as the floor has streams.
pub(crate) fn polls(streams: usize) -> Result<f64, String> {
    let task = Task {
        streams,
        events: 0,
        connections: Connections::Shared,
    };
    once(Name::Floor, task, None).map(|_| as_f64(streams as u64))
}

fn once(name: Name, task: Task, watched: Option<Duration>) -> Result<Held, String> {
    let mut emulator = Emulator::start()?;
    if task.events > 0 {
        let order = Order::PrepareAll {
            accounts: task.streams,
            events: task.events,
        };
        emulator.carry_out(&order)?;
    }
    let mut client = Client::start(name, &emulator.origin, &Scenario::Hold(task))?;
    let ready = client.ready;
    let began = client.go()?;
    let held = emulator.await_polls(task.streams)?;
    let before = client.mark()?;
    if let Some(watched) = watched {
        client.leave_alone(watched)?;
    }
    let after: Usage = client.mark()?;
    let streams = as_f64(task.streams as u64);
    Ok(Held {
        startup_s: seconds(held.at_ns.saturating_sub(began.at_ns)),
        memory: as_f64(after.memory.saturating_sub(ready.memory)) / streams,
        threads: as_f64(after.threads),
        cpu_s: seconds(after.cpu_ns - before.cpu_ns),
    })
}
