//! Catching up: the time, the CPU time and the peak memory of reading a long log.
//!
//! Start from [`measure`], the harness's part, or [`Task`], the client's part.

use std::ops::ControlFlow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Scenario;
use crate::client::{Begin, Client};
use crate::control;
use crate::emulator::Address;
use crate::measure::{Usage, as_f64, seconds};
use crate::report::{Report, Unit};
use crate::runtime::Runtime as _;
use crate::subject::{Name, Pace, Start, Subject};

/// The account with the long log.
pub(crate) const ACCOUNT: &str = "log";

/// The client's part.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Task {
    events: usize,
    reading: Reading,
}

/// The fields that the client reads of each event.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Reading {
    /// Its id, type and time.
    Glance,
    /// Every field that Box documents.
    Full,
}

impl Reading {
    pub(crate) const ALL: [Self; 2] = [Self::Glance, Self::Full];

    pub(crate) fn figure(self, what: &str) -> String {
        match self {
            Self::Glance => format!("catchup_{what}"),
            Self::Full => format!("catchup_full_{what}"),
        }
    }
}

impl Task {
    pub(super) fn run<S: Subject>(&self, server: &Address, begin: Begin) {
        let (runtime, subject) = (S::Runtime::new(), S::new(server, Pace::Default));
        let take = match self.reading {
            Reading::Glance => S::glance,
            Reading::Full => S::read,
        };
        let mut left = self.events;
        begin.wait();
        runtime.block_on(subject.follow(ACCOUNT.into(), Start::Oldest, move |event| {
            take(event);
            left -= 1;
            if left == 0 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        }));
        control::reply(&Usage::now());
    }
}

/// Lets one subject catch up once, and reports the figures.
pub(crate) fn measure(
    name: Name,
    server: &Address,
    reading: Reading,
    events: usize,
    report: &mut Report,
) {
    let figures = once(name, server, reading, events);
    let mut record = |what, unit, value: fn(&(Usage, Usage)) -> f64| {
        let value = figures.as_ref().map(value).map_err(String::clone);
        report.record(name, &reading.figure(what), unit, value);
    };
    record("wall", Unit::Seconds, |(before, after)| {
        seconds(after.at_ns - before.at_ns)
    });
    record("cpu", Unit::Seconds, |(before, after)| {
        seconds(after.cpu_ns - before.cpu_ns)
    });
    record("peak", Unit::Bytes, |(_, after)| as_f64(after.peak));
}

fn once(
    name: Name,
    server: &Address,
    reading: Reading,
    events: usize,
) -> Result<(Usage, Usage), String> {
    let scenario = Scenario::CatchUp(Task { events, reading });
    let mut client = Client::start(name, server, &scenario)?;
    let before = client.go()?;
    let after = client.result(Duration::from_secs(60))?;
    Ok((before, after))
}
