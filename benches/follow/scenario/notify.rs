//! Notification: the time from the moment at which the emulator appends an event until the consumer
//! has it, for events at planned times.
//!
//! Start from [`Row`], the harness's part, or [`Task`], the client's part.

use std::ops::ControlFlow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::unbounded_channel;

use super::Scenario;
use super::hold::Connections;
use crate::client::{Begin, Client};
use crate::control;
use crate::emulator::{Address, Conditions, Emulator, Order, Planned, account};
use crate::measure::{as_f64, now_ns};
use crate::runtime::Runtime as _;
use crate::subject::{Name, Pace, Start, Subject};

/// The pause in which the last requests of the start, or of the last event, are made.
const SETTLED: Duration = Duration::from_secs(5);

/// The time limit for the last events to arrive.
const AT_MOST: Duration = Duration::from_secs(60);

/// The client's part.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Task {
    accounts: usize,
    /// The time in milliseconds from the start of one account to that of the next.
    stagger_ms: u64,
    connections: Connections,
    /// The number of events that the client measures.
    measured: usize,
}

impl Task {
    pub(super) fn run<S: Subject>(&self, server: &Address, begin: Begin) {
        let (runtime, shared) = (S::Runtime::new(), S::new(server, Pace::Default));
        let subjects: Vec<S> = (0..self.accounts)
            .map(|_| match self.connections {
                Connections::Shared => shared.clone(),
                Connections::Own => S::new(server, Pace::Default),
            })
            .collect();
        begin.wait();
        let (sender, mut taken) = unbounded_channel();
        let stagger = Duration::from_millis(self.stagger_ms);
        for (number, subject) in subjects.into_iter().enumerate() {
            let sender = sender.clone();
            let following = subject.follow(account(number), Start::Now, move |event| {
                S::glance(event);
                if let Some(sent) = S::sent_ns(event) {
                    // The receiver waits as long as the process lives.
                    let _ = sender.send(now_ns().saturating_sub(sent));
                }
                ControlFlow::Continue(())
            });
            let start = stagger * u32::try_from(number).expect("accounts are few");
            runtime.spawn(async move {
                S::Runtime::sleep(start).await;
                following.await;
            });
        }
        runtime.block_on(async {
            let mut all = Vec::new();
            while all.len() < self.measured {
                all.extend(taken.recv().await);
            }
            control::reply(&all);
            // The streams go on until the harness kills this process.
            std::future::pending::<()>().await;
        });
    }
}

/// One part of the measurement: accounts, and the events that occur on them.
pub(crate) struct Row {
    pub(crate) conditions: Conditions,
    pub(crate) accounts: usize,
    /// The time over which the accounts start.
    pub(crate) starts_within: Duration,
    pub(crate) connections: Connections,
    /// The time from the start until events occur.
    pub(crate) warm_up: Duration,
    /// The events, in the order of time.
    pub(crate) planned: Vec<Planned>,
}

/// The figures of one subject.
pub(crate) struct Notified {
    /// The latencies in nanoseconds, in the order in which the events arrived.
    pub(crate) latencies: Vec<u64>,
    /// The requests for each event, on average.
    pub(crate) requests: f64,
    /// The number of polls that the server cut after the warm-up.
    pub(crate) cut_polls: u64,
}

impl Row {
    /// Lets one subject follow the events.
    pub(crate) fn measure(&self, name: Name) -> Result<Notified, String> {
        let measured = self.planned.iter().filter(|planned| planned.is_measured);
        let stagger = self.starts_within.as_millis() / self.accounts as u128;
        let task = Task {
            accounts: self.accounts,
            stagger_ms: u64::try_from(stagger).map_err(|error| error.to_string())?,
            connections: self.connections,
            measured: measured.count(),
        };
        let mut emulator = Emulator::start(&self.conditions)?;
        let mut client = Client::start(name, &emulator.address, &Scenario::Notify(task))?;
        client.go()?;
        emulator.await_polls(self.accounts)?;
        client.expect_silence(SETTLED + self.warm_up)?;
        let before = emulator.carry_out(&Order::Count)?;
        let planned = self.planned.clone();
        emulator.carry_out(&Order::Append { planned })?;
        let latencies = client.result(AT_MOST)?;
        client.expect_silence(SETTLED)?;
        let after = emulator.carry_out(&Order::Count)?;
        let events = as_f64(self.planned.len() as u64);
        Ok(Notified {
            latencies,
            requests: as_f64(after.requests - before.requests) / events,
            cut_polls: after.cut_polls - before.cut_polls,
        })
    }
}
