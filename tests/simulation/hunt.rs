//! Runs many scenarios on all cores, and prints the first one that fails.
//!
//! It shrinks that scenario before it prints it, with its trace. The order of runs depends on the
//! threads, but the reported scenario is the one with the lowest number among those that ran. Start
//! at [`hunt`].

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use box_longpoll::transport::Moment;

use crate::coverage::Coverage;
use crate::run::run;
use crate::scenario::Scenario;
use crate::shrink::shrink;

/// The sums over all runs.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) coverage: Coverage,
    requests: u64,
    deliveries: u64,
}

/// Runs the scenarios with these numbers. Panics with a shrunk scenario if one of them fails.
#[track_caller]
pub(crate) fn hunt(
    what: &str,
    numbers: Range<u64>,
    scenario: impl Fn(u64) -> Scenario + Sync,
) -> Found {
    let began = Moment::read_clocks().monotonic;
    let next = AtomicU64::new(numbers.start);
    let failing = AtomicU64::new(u64::MAX);
    let found = Mutex::new(Found::default());
    let work = || {
        let mut mine = Found::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= numbers.end || number > failing.load(Ordering::Relaxed) {
                break;
            }
            let outcome = run(&scenario(number));
            if outcome.failure.is_some() {
                failing.fetch_min(number, Ordering::Relaxed);
            }
            mine.add(&outcome.coverage, outcome.requests, outcome.deliveries);
        }
        let mut all = found.lock().expect("no run panics");
        all.add(&mine.coverage, mine.requests, mine.deliveries);
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let found = found.into_inner().expect("no run panics");
    let (total, took) = (numbers.end - numbers.start, began.elapsed());
    println!(
        "{what}: {total} runs in {took:.1?}, {} requests, {} events delivered",
        found.requests, found.deliveries
    );
    match failing.into_inner() {
        u64::MAX => found,
        number => fail(&scenario(number)),
    }
}

impl Found {
    fn add(&mut self, coverage: &Coverage, requests: u64, deliveries: u64) {
        self.coverage.add(coverage);
        self.requests += requests;
        self.deliveries += deliveries;
    }
}

/// Runs one scenario, and panics if it fails.
#[track_caller]
pub(crate) fn assert_holds(scenario: &Scenario) {
    if run(scenario).failure.is_some() {
        fail(scenario);
    }
}

#[track_caller]
fn fail(scenario: &Scenario) -> ! {
    let least = shrink(scenario);
    let outcome = run(&least);
    for (at, step) in &outcome.trace {
        println!("{at:>14.3?} {step:?}");
    }
    panic!(
        "{}\nseed {}, shrunk to {} incidents:\n{}",
        outcome.failure.unwrap_or_default(),
        scenario.seed,
        least.incidents.len(),
        least.line()
    );
}
