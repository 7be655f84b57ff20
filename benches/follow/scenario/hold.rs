//! Holding many streams on which nothing happens: the time until all polls are held, and the cost
//! of holding them.
//!
//! Start from [`measure`], the harness's part, or [`Task`], the client's part.

use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Scenario;
use crate::client::{Begin, Client};
use crate::emulator::{Address, Conditions, Emulator, Order, account};
use crate::measure::{Usage, as_f64, seconds};
use crate::report::{Report, Unit};
use crate::runtime::Runtime as _;
use crate::subject::{Name, Pace, Start, Subject};

/// The client's part.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) streams: usize,
    /// The number of events that each stream reads first.
    pub(crate) events: usize,
    pub(crate) connections: Connections,
    /// `true` if the connections have TLS.
    pub(crate) tls: bool,
}

/// The way in which streams share connections.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Connections {
    /// All streams share one transport.
    Shared,
    /// Each stream has a transport of its own.
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
        if self.tls {
            write!(f, " over TLS")?;
        }
        Ok(())
    }
}

/// The figures of one subject.
struct Held {
    /// The time until all polls were held, in seconds.
    startup_s: f64,
    /// Memory per stream, in bytes.
    memory: f64,
    /// The threads of the process.
    threads: f64,
    /// CPU time while all polls were held, in seconds.
    cpu_s: f64,
}

impl Task {
    pub(super) fn run<S: Subject>(&self, server: &Address, begin: Begin) {
        let runtime = S::Runtime::new();
        let shared = S::new(server, Pace::Default);
        let start = if self.events == 0 {
            Start::Now
        } else {
            Start::Oldest
        };
        begin.wait();
        for number in 0..self.streams {
            let subject = match self.connections {
                Connections::Shared => shared.clone(),
                Connections::Own => S::new(server, Pace::Default),
            };
            runtime.spawn(subject.follow(account(number), start, |event| {
                S::glance(event);
                ControlFlow::Continue(())
            }));
        }
        // The harness kills this process at the end.
        runtime.block_on(std::future::pending::<()>());
    }

    /// Returns the name of a figure. It ends with the number of streams, unless that is the
    /// largest, or with `tls`.
    fn figure(&self, what: &str, largest: usize) -> String {
        let kind = match (self.connections, self.events) {
            (Connections::Own, _) => "idle_own",
            (Connections::Shared, 0) => "idle",
            (Connections::Shared, _) => "idle_warm",
        };
        if self.tls {
            format!("{kind}_{what}_tls")
        } else if self.streams == largest || matches!(self.connections, Connections::Own) {
            format!("{kind}_{what}")
        } else {
            format!("{kind}_{what}_{}", self.streams)
        }
    }
}

/// The figures to report.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) idle: bool,
    pub(crate) startup: bool,
}

/// Lets one subject hold streams, and reports the cost.
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
    let mut record = |figure: &str, unit, value: fn(&Held) -> f64| {
        let value = held.as_ref().map(value).map_err(String::clone);
        report.record(name, figure, unit, value);
    };
    if wanted.startup {
        record("startup", Unit::Seconds, |held| held.startup_s);
    }
    if wanted.idle {
        let figure = |what| task.figure(what, largest);
        record(&figure("memory"), Unit::Bytes, |held| held.memory);
        record(&figure("threads"), Unit::Count, |held| held.threads);
        record(&figure("cpu"), Unit::Seconds, |held| held.cpu_s);
    }
}

/// Checks that the emulator holds the polls of that many streams of the floor. Returns their
/// number.
pub(crate) fn polls(streams: usize) -> Result<f64, String> {
    let task = Task {
        streams,
        events: 0,
        connections: Connections::Shared,
        tls: false,
    };
    once(Name::Floor, task, None).map(|_| as_f64(streams as u64))
}

fn once(name: Name, task: Task, watched: Option<Duration>) -> Result<Held, String> {
    let mut emulator = Emulator::start(&Conditions {
        tls: task.tls,
        ..Conditions::nearby()
    })?;
    if task.events > 0 {
        let order = Order::PrepareAll {
            accounts: task.streams,
            events: task.events,
        };
        emulator.carry_out(&order)?;
    }
    let mut client = Client::start(name, &emulator.address, &Scenario::Hold(task))?;
    let ready = client.ready;
    let began = client.go()?;
    let held = emulator.await_polls(task.streams)?;
    let before = client.mark()?;
    if let Some(watched) = watched {
        client.expect_silence(watched)?;
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
