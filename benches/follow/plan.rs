//! The plan of a run: which parts are measured, in which order, how often, and in which sizes.
//!
//! Subjects take turns within a round, so that other load on the machine affects all of them. Start
//! from [`Plan::carry_out`].

use std::time::Duration;

use clap::ValueEnum as _;

use crate::arguments::{Arguments, Part};
use crate::emulator::{Conditions, Emulator, Order};
use crate::report::{Report, Unit};
use crate::scenario::catch_up::{self, ACCOUNT, Reading};
use crate::scenario::hold::{self, Connections, Wanted};
use crate::scenario::latency::{self, Traffic, Turns};
use crate::scenario::serve;
use crate::subject::Name;

/// The least speed of the floor, in events per second. Below it, something slowed the floor down,
/// and ratios to it are meaningless.
const SLOWEST_FLOOR: f64 = 60_000.0;

/// The parts and the subjects of a run, and its sizes.
pub(crate) struct Plan {
    parts: Vec<Part>,
    subjects: Vec<Name>,
    rounds: Option<usize>,
    quick: bool,
    gzip: bool,
    sizes: &'static Sizes,
}

/// The sizes of all parts.
struct Sizes {
    catch_up_rounds: usize,
    catch_up_events: usize,
    latency: Turns,
    streams: &'static [usize],
    own_streams: usize,
    /// More streams than any subject has, to show that the emulator is not the limit.
    most_streams: usize,
    warm_events: usize,
    watched: Duration,
}

const FULL: Sizes = Sizes {
    catch_up_rounds: 5,
    catch_up_events: 100_000,
    latency: Turns {
        programs: 5,
        warm_up: 2,
        counted: 4,
        events: 100,
    },
    streams: &[100, 1_000, 10_000],
    own_streams: 1_000,
    most_streams: 15_000,
    warm_events: 2_500,
    watched: Duration::from_secs(10),
};

const QUICK: Sizes = Sizes {
    catch_up_rounds: 3,
    catch_up_events: 10_000,
    latency: Turns {
        programs: 1,
        warm_up: 1,
        counted: 1,
        events: 20,
    },
    streams: &[100],
    own_streams: 10,
    most_streams: 150,
    warm_events: 500,
    watched: Duration::from_millis(200),
};

impl Plan {
    pub(crate) fn of(arguments: &Arguments) -> Self {
        let mut subjects = arguments.backends.clone();
        if subjects.is_empty() {
            subjects = Name::value_variants().to_vec();
        }
        Self {
            parts: arguments.only.clone(),
            subjects,
            rounds: arguments.rounds,
            quick: arguments.quick,
            gzip: arguments.gzip,
            sizes: if arguments.quick { &QUICK } else { &FULL },
        }
    }

    pub(crate) fn carry_out(&self, report: &mut Report) {
        if self.wants(Part::Catchup) {
            self.catch_up(report);
        }
        if self.wants(Part::Latency) {
            self.latency(report);
        }
        if self.wants(Part::Idle) || self.wants(Part::Startup) {
            self.hold(report);
        }
    }

    /// Returns an error if the floor was too slow for the figures to mean anything. The figures of
    /// a quick run never mean anything, so it returns none for them.
    pub(crate) fn verdict(&self, report: &Report) -> Result<(), String> {
        if self.quick {
            return Ok(());
        }
        let events = crate::measure::as_f64(self.sizes.catch_up_events as u64);
        let rates = Reading::ALL
            .iter()
            .filter_map(|reading| report.floor(&reading.figure("wall")));
        match rates.map(|wall| events / wall).reduce(f64::min) {
            Some(rate) if rate < SLOWEST_FLOOR => Err(format!(
                "the floor reads only {rate:.0} events a second: below {SLOWEST_FLOOR:.0} the ratios mean nothing"
            )),
            _ => Ok(()),
        }
    }

    fn wants(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    fn catch_up(&self, report: &mut Report) {
        let events = self.sizes.catch_up_events;
        let conditions = Conditions::nearby().with("gzip", self.gzip);
        let emulator = match prepare(&conditions, events) {
            Ok(emulator) => emulator,
            Err(error) => return eprintln!("the emulator could not prepare a log: {error}"),
        };
        let server = &emulator.address;
        for round in 1..=self.rounds.unwrap_or(self.sizes.catch_up_rounds) {
            eprintln!("catching up, round {round}");
            report.record_emulator(
                "serve",
                Unit::PerSecond,
                serve::measure(&server.origin, events),
            );
            for reading in Reading::ALL {
                for &name in &self.subjects {
                    catch_up::measure(name, server, reading, events, report);
                }
            }
        }
    }

    fn latency(&self, report: &mut Report) {
        for _ in 0..self.rounds.unwrap_or(1) {
            for traffic in Traffic::ALL {
                latency::measure(&self.subjects, traffic, self.sizes.latency, report);
            }
        }
    }

    fn hold(&self, report: &mut Report) {
        let largest = self.sizes.streams[self.sizes.streams.len() - 1];
        let task = |streams, events, connections| hold::Task {
            streams,
            events,
            connections,
            tls: false,
        };
        let mut tasks = Vec::new();
        if self.wants(Part::Idle) {
            for &streams in self.sizes.streams {
                tasks.push(task(streams, 0, Connections::Shared));
                tasks.push(task(streams, self.sizes.warm_events, Connections::Shared));
            }
            tasks.push(hold::Task {
                tls: true,
                ..task(largest, 0, Connections::Shared)
            });
            tasks.push(task(self.sizes.own_streams, 0, Connections::Own));
        } else {
            tasks.push(task(largest, 0, Connections::Shared));
        }
        for round in 1..=self.rounds.unwrap_or(1) {
            if self.wants(Part::Startup) {
                let polls = hold::polls(self.sizes.most_streams);
                report.record_emulator("polls", Unit::Count, polls);
            }
            for &task in &tasks {
                let startup = task.streams == largest && task.events == 0 && !task.tls;
                let wanted = Wanted {
                    idle: self.wants(Part::Idle),
                    startup: self.wants(Part::Startup) && startup,
                };
                for &name in &self.subjects {
                    eprintln!("{task}, {}, round {round}", name.text());
                    hold::measure(name, task, largest, self.sizes.watched, wanted, report);
                }
            }
        }
    }
}

/// Starts an emulator with a long log.
pub(crate) fn prepare(conditions: &Conditions, events: usize) -> Result<Emulator, String> {
    let mut emulator = Emulator::start(conditions)?;
    let order = Order::Prepare {
        account: ACCOUNT.into(),
        events,
    };
    emulator.carry_out(&order)?;
    Ok(emulator)
}
