//! Permanent climates: some faults never end in practice, so the client must keep within bounds
//! while they last.
//!
//! A climate of [`climates::CLIMATES`] is a [`Weather`] that lasts for the complete run, hours of
//! simulated time. The account's events come at random times. Each run measures three things:
//!
//! - the delay of each event, from the time at which it could be fetched to its delivery;
//! - the share of the time during which a held poll would signal the next event, or during which
//!   the client fetches at least once a minute because it can use no realtime server;
//! - the number of calls per minute.
//!
//! The simulation also checks its usual rules at every step of these runs. Start at
//! `every_permanent_climate_holds`.
//!
//! ```sh
//! cargo test --test simulation permanent                      # 2,500 seeds, spread over the climates
//! SIMULATION_SEEDS=100000 cargo test --release --test simulation permanent
//! SIMULATION_SEED=4861 cargo test --test simulation permanent -- --nocapture
//! # Each run lasts for 14 days of simulated time.
//! SIMULATION_HOURS=336 SIMULATION_SEEDS=20 cargo test --release --test simulation permanent
//! # Prints a table, and doesn't fail.
//! SIMULATION_MEASURE=1 cargo test --test simulation permanent -- --nocapture
//! ```

mod climates;
mod measures;
mod weather;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use box_longpoll::transport::Moment;
use fastrand::Rng;

use self::climates::{CLIMATES, Row};
pub(crate) use self::measures::Measures;
pub(crate) use self::weather::{Permanent, Weather};
use crate::run::{Outcome, run};
use crate::scenario::Scenario;
use crate::variable;

/// The number of seeds that a debug build runs in about half a minute on two dedicated cores. Most
/// runs last for hours of simulated time. All runs together deliver enough events for the bounds on
/// the latest 1 %.
const SEEDS: u64 = 2_500;

/// The smallest number of events for which the latest 1 % are significant. They are three events
/// here.
const ENOUGH_EVENTS: usize = 300;

/// Returns the climate of a seed. The seeds take the climates in turn.
fn row_of(seed: u64) -> &'static Row {
    let turn = usize::try_from(seed % CLIMATES.len() as u64).expect("few");
    &CLIMATES[turn]
}

/// Returns the scenario of a seed. `SIMULATION_HOURS` overrides its duration.
fn scenario_of(seed: u64) -> Scenario {
    #[expect(clippy::cast_precision_loss, reason = "a few hundred hours")]
    let hours = variable("SIMULATION_HOURS").map(|hours| hours as f64);
    Scenario {
        seed,
        climate: row_of(seed).climate(&mut Rng::with_seed(seed), hours),
        incidents: Vec::new(),
    }
}

/// The measurements of all runs of a climate.
#[derive(Default)]
struct Together {
    runs: u64,
    /// The delays of all events.
    late: Vec<Duration>,
    /// The delays of the events after the client has had time to learn the climate.
    usual: Vec<Duration>,
    /// The sum of the times with a held poll.
    listened: Duration,
    /// The sum of the runs' durations.
    lasted: Duration,
    /// The longest time until a backlog was delivered.
    caught_up: Duration,
    calls: u64,
    most_calls: usize,
    most_small_pages: usize,
    stops: u32,
    failed: u64,
    first_failure: Option<(u64, String)>,
}

impl Together {
    fn add(&mut self, seed: u64, row: &Row, outcome: Outcome) {
        self.runs += 1;
        if let Some(why) = outcome.failure {
            self.failed += 1;
            if self
                .first_failure
                .as_ref()
                .is_none_or(|(first, _)| seed < *first)
            {
                self.first_failure = Some((seed, why));
            }
        }
        let Some(measures) = outcome.measures else {
            return;
        };
        let (listened, lasted) = measures.listened();
        self.late.extend(measures.lateness(Duration::ZERO));
        self.usual
            .extend(measures.lateness(row.bounds.learned_after));
        self.listened += listened;
        self.lasted += lasted;
        self.caught_up = self.caught_up.max(measures.caught_up.unwrap_or(lasted));
        self.calls += measures.calls().total;
        self.most_calls = self.most_calls.max(measures.calls().most);
        self.most_small_pages = self.most_small_pages.max(measures.small_pages().most);
        self.stops += measures.stops;
    }

    fn share_listened(&self) -> f64 {
        100.0 * self.listened.as_secs_f64() / self.lasted.as_secs_f64().max(1.0)
    }

    fn calls_a_minute(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "far less than 2^52")]
        let calls = self.calls as f64;
        calls * 60.0 / self.lasted.as_secs_f64().max(1.0)
    }

    /// Returns a sentence about the first bound that all runs together exceed.
    fn judge(&mut self, row: &Row) -> Option<String> {
        let usual = percentile(&mut self.usual, 99.0);
        let share = self.share_listened();
        if usual > row.bounds.usual && self.usual.len() >= ENOUGH_EVENTS {
            let bound = row.bounds.usual;
            Some(format!(
                "{}: 1 % of the events are more than {usual:?} late, and the bound is {bound:?}",
                row.name
            ))
        } else if share < row.bounds.listened {
            let bound = row.bounds.listened;
            Some(format!(
                "{}: it listens during {share:.1} % of the time, and the bound is {bound} %",
                row.name
            ))
        } else {
            None
        }
    }
}

fn percentile(all: &mut [Duration], percent: f64) -> Duration {
    all.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "an index below the length"
    )]
    let index = (all.len() as f64 * percent / 100.0) as usize;
    all.get(index.min(all.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

/// The measurements of all climates, by their index. They are shown as a table.
struct Table(BTreeMap<usize, Together>);

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:42} {:>5} {:>9} {:>9} {:>9} {:>9} {:>8} {:>7} {:>5} {:>5} {:>5} {:>6}",
            "climate",
            "runs",
            "late p50",
            "p99",
            "max",
            "backlog",
            "listens",
            "calls/m",
            "max",
            "small",
            "stops",
            "failed"
        )?;
        for (index, together) in &self.0 {
            let mut late = together.late.clone();
            let seconds = |percent, late: &mut [Duration]| percentile(late, percent).as_secs_f64();
            writeln!(
                f,
                "{:42} {:>5} {:>8.2}s {:>8.2}s {:>8.2}s {:>8.1}s {:>6.2} % {:>7.2} {:>5} {:>5} {:>5} {:>6}",
                CLIMATES[*index].name,
                together.runs,
                seconds(50.0, &mut late),
                seconds(99.0, &mut late),
                seconds(100.0, &mut late),
                together.caught_up.as_secs_f64(),
                together.share_listened(),
                together.calls_a_minute(),
                together.most_calls,
                together.most_small_pages,
                together.stops,
                together.failed,
            )?;
        }
        Ok(())
    }
}

/// Runs the first `seeds` seeds. Unless `measures` is set, it starts no further run after a
/// failure.
fn run_all(seeds: u64, measures: bool) -> Table {
    let next = AtomicU64::new(0);
    let all: Mutex<BTreeMap<usize, Together>> = Mutex::default();
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                break;
            }
            let outcome = run(&scenario_of(seed));
            if outcome.failure.is_some() && !measures {
                next.store(seeds, Ordering::Relaxed);
            }
            let index = usize::try_from(seed).expect("few") % CLIMATES.len();
            let mut all = all.lock().expect("no run panics");
            all.entry(index)
                .or_default()
                .add(seed, &CLIMATES[index], outcome);
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    Table(all.into_inner().expect("no run panics"))
}

/// Proves that the printed line of a permanent climate gives the same scenario.
#[test]
fn permanent_climate_is_replayed_from_its_line() {
    for seed in 0..CLIMATES.len() as u64 {
        let scenario = scenario_of(seed);
        assert_eq!(Scenario::replay(&scenario.line()), scenario);
    }
}

/// Proves that failures of 5 % of the calls delay a backlog of 2,000 pages by at most 20 %.
#[test]
fn backlog_takes_little_longer_when_5_percent_of_calls_fail() {
    let took = |percent| -> Duration {
        let took = (0..5).map(|seed| {
            let outcome = run(&climates::backlog(seed, percent));
            let caught_up = outcome.measures.and_then(|measures| measures.caught_up);
            caught_up.expect("the backlog is delivered before the run ends")
        });
        took.sum()
    };
    let (fair, failing) = (took(0), took(5));
    println!("2,000 pages five times: {fair:.1?} if no call fails, {failing:.1?} if 5 % do");
    assert!(failing * 10 <= fair * 12, "{failing:.1?}, not {fair:.1?}");
}

/// Proves that the client keeps within the bounds of each climate while it lasts.
#[test]
fn every_permanent_climate_holds() {
    if let Some(seed) = variable("SIMULATION_SEED") {
        return crate::hunt::assert_holds(&scenario_of(seed));
    }
    let began = Moment::read_clocks().monotonic;
    let seeds = variable("SIMULATION_SEEDS").unwrap_or(SEEDS);
    let measures = variable("SIMULATION_MEASURE").is_some();
    let mut table = run_all(seeds, measures);
    println!(
        "permanent climates, {seeds} seeds in {:.1?}\n{table}",
        began.elapsed()
    );
    let mut failures = Vec::new();
    for (index, together) in &mut table.0 {
        let row = &CLIMATES[*index];
        if let Some((seed, why)) = &together.first_failure {
            let line = scenario_of(*seed).line();
            failures.push(format!("{why} ({})\nseed {seed}: {line}", row.bounds.why));
        }
        failures.extend(together.judge(row));
    }
    let report = failures.join("\n");
    if measures {
        println!("{report}");
    } else {
        assert!(failures.is_empty(), "{report}");
    }
}
