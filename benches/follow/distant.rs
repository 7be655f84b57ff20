//! The plan of a run from a distance: the cost of round trips.
//!
//! Catching up comes first, and subjects take turns. The other rows mostly wait, so they all run
//! side by side, each with an emulator and a client of its own. Start from
//! [`DistantPlan::carry_out`].

use std::ops::RangeInclusive;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use clap::ValueEnum as _;
use fastrand::Rng;
use serde_json::json;

use crate::arguments::Arguments;
use crate::emulator::{Conditions, Planned};
use crate::measure::{as_f64, seconds};
use crate::plan::prepare;
use crate::relay::Relay;
use crate::report::{Report, Unit};
use crate::scenario::hold::Connections;
use crate::scenario::notify::{Notified, Row};
use crate::scenario::paced;
use crate::subject::Name;

/// The events of a page.
const PAGE: usize = 500;

/// The time between the first and the second event of a pair, in milliseconds. With a fixed time,
/// the second event always meets the same phase of the client's requests. The last row covers all
/// phases.
const SECOND_AFTER_MS: [(&str, RangeInclusive<u64>); 5] = [
    ("50", 50..=50),
    ("150", 150..=150),
    ("250", 250..=250),
    ("500", 500..=500),
    ("any", 10..=600),
];

/// The parts and the subjects of a run, and its sizes.
pub(crate) struct DistantPlan {
    rtt_ms: u32,
    tls: bool,
    mbit: u32,
    long: bool,
    rounds: Option<usize>,
    subjects: Vec<Name>,
    sizes: &'static Sizes,
}

/// The sizes of all rows.
struct Sizes {
    catch_up_rounds: usize,
    /// The pages of a round. One more page precedes them, and doesn't count.
    pages: usize,
    /// The time for which the consumer works on each page.
    work_ms: u64,
    /// The accounts with events now and then, and the events of each.
    notified: (usize, u64),
    /// The accounts with an event after quiet.
    quiet: usize,
    short_quiet_s: u64,
    long_quiet_s: u64,
    /// The accounts with pairs of events, and the pairs of each.
    pairs: (usize, u64),
    /// The accounts whose polls are cut.
    cut: usize,
    cut_after_s: u64,
    /// The time for which events occur on those accounts.
    cut_watched_s: u64,
}

const FULL: Sizes = Sizes {
    catch_up_rounds: 5,
    pages: 20,
    work_ms: 50,
    notified: (10, 4),
    quiet: 20,
    short_quiet_s: 100,
    long_quiet_s: 600,
    pairs: (8, 10),
    cut: 800,
    cut_after_s: 60,
    cut_watched_s: 240,
};

const QUICK: Sizes = Sizes {
    catch_up_rounds: 2,
    pages: 4,
    work_ms: 50,
    notified: (4, 2),
    quiet: 4,
    short_quiet_s: 3,
    long_quiet_s: 6,
    pairs: (2, 2),
    cut: 20,
    cut_after_s: 6,
    cut_watched_s: 12,
};

/// A row, and the way to report it.
struct Named {
    figure: String,
    shown: Shown,
    row: Row,
}

/// The figures of a row.
#[derive(Clone, Copy)]
enum Shown {
    /// The median of the latencies.
    Median,
    /// Their median and their maximum.
    MedianAndMax,
    /// Their maximum, 99th percentile and median, and the polls that were cut.
    Cut,
}

impl DistantPlan {
    /// Returns the plan, if the arguments have a distance.
    pub(crate) fn of(arguments: &Arguments) -> Option<Self> {
        let distance = &arguments.distance;
        let mut subjects = arguments.backends.clone();
        if subjects.is_empty() {
            subjects = Name::value_variants().to_vec();
            subjects.retain(|name| !name.is_alone());
        }
        Some(Self {
            rtt_ms: distance.rtt?,
            tls: distance.tls,
            mbit: distance.mbit,
            long: distance.long,
            rounds: arguments.rounds,
            subjects,
            sizes: if arguments.quick { &QUICK } else { &FULL },
        })
    }

    pub(crate) fn carry_out(&self, report: &mut Report) {
        self.catch_up_bytes(report);
        self.catch_up(&self.figure("catchup"), &self.far_away(), report);
        let bytes_per_second = u64::from(self.mbit) * 1_000_000 / 8;
        let narrow = self.far_away().with("bytes_per_second", bytes_per_second);
        let figure = self.figure(&format!("catchup_{}_mbit", self.mbit));
        self.catch_up(&figure, &narrow, report);
        self.notify(report);
    }

    fn figure(&self, what: &str) -> String {
        let tls = if self.tls { "_tls" } else { "" };
        format!("rtt{tls}_{what}")
    }

    /// Returns the conditions of a server at the distance.
    fn far_away(&self) -> Conditions {
        Conditions {
            tls: self.tls,
            settings: json!({"latency_ms": self.rtt_ms / 2, "gzip": true}),
        }
    }

    /// Measures the bytes of a page on the wire. This needs no distance.
    fn catch_up_bytes(&self, report: &mut Report) {
        let conditions = Conditions {
            tls: self.tls,
            settings: json!({"gzip": true}),
        };
        let pages = self.sizes.pages + 1;
        let emulator = match prepare(&conditions, pages * PAGE) {
            Ok(emulator) => emulator,
            Err(error) => return eprintln!("the emulator could not prepare a log: {error}"),
        };
        for &name in &self.subjects {
            let task = paced::Task { pages, work_ms: 0 };
            let bytes = Relay::start(&emulator.address).map_err(|error| error.to_string());
            let bytes = bytes.and_then(|relay| {
                paced::measure(name, &relay.address, task)?;
                Ok(as_f64(relay.received()) / as_f64(pages as u64))
            });
            report.record(name, &self.figure("catchup_bytes"), Unit::Bytes, bytes);
        }
    }

    /// Measures the time for each page.
    fn catch_up(&self, figure: &str, conditions: &Conditions, report: &mut Report) {
        let pages = self.sizes.pages + 1;
        let emulator = match prepare(conditions, pages * PAGE) {
            Ok(emulator) => emulator,
            Err(error) => return eprintln!("the emulator could not prepare a log: {error}"),
        };
        let task = paced::Task {
            pages,
            work_ms: self.sizes.work_ms,
        };
        for round in 1..=self.rounds.unwrap_or(self.sizes.catch_up_rounds) {
            eprintln!("{figure}, round {round}");
            for &name in &self.subjects {
                let page = paced::measure(name, &emulator.address, task);
                report.record(name, figure, Unit::Seconds, page);
            }
        }
    }

    /// Measures all other rows, side by side. Reports each as soon as it is complete.
    fn notify(&self, report: &mut Report) {
        let rows = self.rows();
        eprintln!("{} rows side by side", rows.len());
        let (sender, notified) = channel();
        thread::scope(|scope| {
            for named in &rows {
                for &name in &self.subjects {
                    let sender = sender.clone();
                    scope.spawn(move || {
                        // The receiver waits for all senders.
                        let _ = sender.send((named, name, named.row.measure(name)));
                    });
                }
            }
            drop(sender);
            for (named, name, notified) in notified {
                named.report(name, &notified, self.rtt_ms, report);
            }
        });
    }

    fn rows(&self) -> Vec<Named> {
        let mut rows = vec![self.now_and_then()];
        rows.extend(SECOND_AFTER_MS.map(|(name, after_ms)| self.pairs(name, &after_ms)));
        rows.push(self.after_quiet(self.sizes.short_quiet_s));
        if self.long {
            rows.push(self.after_quiet(self.sizes.long_quiet_s));
        }
        rows.push(self.cut());
        rows
    }

    /// Returns a row of accounts that each have a client with connections of its own.
    fn row(&self, accounts: usize, planned: Vec<Planned>) -> Row {
        Row {
            conditions: self.far_away(),
            accounts,
            starts_within: Duration::from_secs(1),
            connections: Connections::Own,
            warm_up: Duration::ZERO,
            planned: in_order(planned),
        }
    }

    /// Returns the row of events on connections in use. The first event of each account isn't
    /// measured.
    fn now_and_then(&self) -> Named {
        let (accounts, events) = self.sizes.notified;
        let planned = (0..accounts).flat_map(|account| {
            (0..=events).map(move |number| Planned {
                at_ms: 3_000 * number + 300 * account as u64,
                account,
                is_measured: number > 0,
            })
        });
        Named {
            figure: self.figure("notify"),
            shown: Shown::Median,
            row: self.row(accounts, planned.collect()),
        }
    }

    /// Returns the row of events after quiet. One event of each account precedes it.
    fn after_quiet(&self, quiet_s: u64) -> Named {
        let accounts = self.sizes.quiet;
        let planned = (0..accounts).flat_map(|account| {
            [0, quiet_s].map(|at_s| Planned {
                at_ms: 1_000 * at_s + 100 * account as u64,
                account,
                is_measured: at_s > 0,
            })
        });
        Named {
            figure: self.figure(&format!("notify_after_{quiet_s}s")),
            shown: Shown::Median,
            row: self.row(accounts, planned.collect()),
        }
    }

    /// Returns the row of pairs of events. The second event of each is measured, except for the
    /// first pair of each account.
    fn pairs(&self, name: &str, after_ms: &RangeInclusive<u64>) -> Named {
        let (accounts, pairs) = self.sizes.pairs;
        let mut rng = Rng::with_seed(1);
        let mut planned = Vec::new();
        for account in 0..accounts {
            for number in 0..=pairs {
                let first_ms = 8_000 * number + 1_000 * account as u64;
                planned.extend([0, rng.u64(after_ms.clone())].map(|later_ms| Planned {
                    at_ms: first_ms + later_ms,
                    account,
                    is_measured: number > 0 && later_ms > 0,
                }));
            }
        }
        Named {
            figure: self.figure(&format!("second_{name}")),
            shown: Shown::MedianAndMax,
            row: self.row(accounts, planned),
        }
    }

    /// Returns the row of polls that a proxy cuts. Events occur after four cuts, most of them when
    /// a poll is about to end.
    fn cut(&self) -> Named {
        let cut_after_ms = 1_000 * self.sizes.cut_after_s;
        let mut rng = Rng::with_seed(1);
        let mut planned = Vec::new();
        for account in 0..self.sizes.cut {
            let mut at_ms = rng.u64(..cut_after_ms);
            while at_ms < 1_000 * self.sizes.cut_watched_s {
                planned.push(Planned {
                    at_ms,
                    account,
                    is_measured: true,
                });
                at_ms += rng.u64(cut_after_ms * 2 / 3..cut_after_ms * 7 / 6);
            }
        }
        let row = Row {
            conditions: self.far_away().with("cut_polls_after_ms", cut_after_ms),
            // The cuts are spread over most of the time between two of them.
            starts_within: Duration::from_millis(cut_after_ms * 5 / 6),
            connections: Connections::Shared,
            warm_up: Duration::from_millis(cut_after_ms * 4),
            ..self.row(self.sizes.cut, planned)
        };
        Named {
            figure: self.figure("cut"),
            shown: Shown::Cut,
            row,
        }
    }
}

impl Named {
    fn report(
        &self,
        name: Name,
        notified: &Result<Notified, String>,
        rtt_ms: u32,
        report: &mut Report,
    ) {
        let mut record = |what: &str, unit, values: &dyn Fn(&Notified) -> Vec<f64>| {
            let values = notified.as_ref().map(values).map_err(String::clone);
            report.record_all(name, &format!("{}{what}", self.figure), unit, values);
        };
        let round_trip = f64::from(rtt_ms) / 1e3;
        let all = |notified: &Notified| -> Vec<f64> {
            let in_round_trips = |&latency| seconds(latency) / round_trip;
            notified.latencies.iter().map(in_round_trips).collect()
        };
        let max = |notified: &Notified| vec![all(notified).into_iter().fold(0.0, f64::max)];
        match self.shown {
            Shown::Median => record("", Unit::RoundTrips, &all),
            Shown::MedianAndMax => {
                record("", Unit::RoundTrips, &all);
                record("_max", Unit::RoundTrips, &max);
            }
            Shown::Cut => {
                record("", Unit::RoundTrips, &max);
                let p99 = |notified: &Notified| {
                    let mut all = all(notified);
                    all.sort_by(f64::total_cmp);
                    vec![all[(all.len() - 1) * 99 / 100]]
                };
                record("_p99", Unit::RoundTrips, &p99);
                record("_p50", Unit::RoundTrips, &all);
                let cut_polls = |notified: &Notified| vec![as_f64(notified.cut_polls)];
                record("_polls", Unit::Count, &cut_polls);
            }
        }
        record("_requests", Unit::Requests, &|notified| {
            vec![notified.requests]
        });
    }
}

fn in_order(mut planned: Vec<Planned>) -> Vec<Planned> {
    planned.sort_by_key(|planned| planned.at_ms);
    planned
}
