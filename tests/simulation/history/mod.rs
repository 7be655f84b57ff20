//! The hand-over from the past of an enterprise to its live events.
//!
//! An enterprise has weeks of past events. A program starts at a time in the past. It reads
//! `admin_logs` in slices, and then follows `admin_logs_streaming`. Both logs are as at Box: the
//! one is in the order of time, and shows events late; the other is in the order of arrival, and
//! keeps events for 14 days. Events appear late in both, and repeatedly. Requests fail, the
//! database fails, and the program dies at any step, for up to three weeks.
//!
//! These rules hold in each run:
//!
//! - Each event from the start on is handled. If Box showed it later than the program expects, it
//!   may be missing, but only after the report of a possible gap.
//! - A program that stores checkpoints and ids in its own transactions stores each event with an id
//!   exactly once. With a store that keeps the ids, no event is delivered again once its
//!   acknowledgement is stored. Within one life of a program, no event with an id comes twice.
//! - Slices come in order, and then live events in the order of their arrival.
//! - A stream claims to be complete up to a time only if all events up to then are handled. A plain
//!   stream resumes since a time only if all events before it are handled.
//! - All calls stay within the number per minute that is set for the past, or for live events if that
//!   is more. Once the stream has reached the present, they stay within the number for live events.
//!   Slices stay within the number to read side by side. No request is sent before the time that a 429
//!   names.
//! - After the faults end, the stream is soon up to date, waits, and delivers a new event.
//!
//! ```sh
//! cargo test --test simulation history
//! SIMULATION_SEEDS=100000 cargo test --release --test simulation every_history
//! SIMULATION_SEED=4861 cargo test --test simulation every_history -- --nocapture
//! SIMULATION_HISTORY='{"seed":1,…}' cargo test --test simulation replayed_history -- --nocapture
//! ```

mod case;
mod database;
mod network;
mod program;
mod run;
mod truth;
mod world;

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use box_longpoll::transport::Moment;

use self::case::{Case, Consumer, DAY, Kill};
use self::run::run;
use crate::variable;

/// The number of seeds that a debug build runs in about 10 s on one core.
const SEEDS: u64 = 100;

/// The times for which a program is dead in the test of each step: not at all, for a time in
/// between, and long enough to lose live events before the past is read again.
const ABSENCES: [u64; 3] = [0, 13 * DAY + DAY / 2, 20 * DAY];

/// The steps from one death to the next in the test with many events: these runs take long.
const EVERY_STEP: u64 = 8;

/// The sums over all runs.
#[derive(Default)]
struct Sums {
    requests: u64,
    deliveries: u64,
    restarts: u64,
    gaps: u64,
}

/// Runs the cases with these numbers on all cores. Panics with the first one that fails.
#[track_caller]
fn run_all(what: &str, numbers: Range<u64>, case: impl Fn(u64) -> Case + Sync) {
    let began = Moment::read_clocks().monotonic;
    let next = AtomicU64::new(numbers.start);
    let failing = AtomicU64::new(u64::MAX);
    let sums = Mutex::new(Sums::default());
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= numbers.end || number > failing.load(Ordering::Relaxed) {
                break;
            }
            let outcome = run(&case(number), false);
            if outcome.failure.is_some() {
                failing.fetch_min(number, Ordering::Relaxed);
            }
            let mut sums = sums.lock().expect("no run panics");
            sums.requests += outcome.requests;
            sums.deliveries += outcome.deliveries;
            sums.restarts += u64::from(outcome.restarts);
            sums.gaps += u64::from(outcome.gaps);
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let sums = sums.into_inner().expect("no run panics");
    println!(
        "{what}: {} runs in {:.1?}, {} requests, {} events, {} restarts, {} gaps",
        numbers.end - numbers.start,
        began.elapsed(),
        sums.requests,
        sums.deliveries,
        sums.restarts,
        sums.gaps
    );
    match failing.into_inner() {
        u64::MAX => {}
        number => assert_holds(&case(number)),
    }
}

/// Runs one case, and panics if it fails. It leaves out the deaths that the failure does not need.
#[track_caller]
fn assert_holds(case: &Case) {
    if run(case, false).failure.is_none() {
        return;
    }
    let mut least = case.clone();
    let mut index = 0;
    while index < least.kills.len() {
        let mut fewer = least.clone();
        fewer.kills.remove(index);
        if run(&fewer, false).failure.is_some() {
            least = fewer;
        } else {
            index += 1;
        }
    }
    let outcome = run(&least, true);
    for (at, step) in &outcome.trace {
        println!("{at:>14.3?} {step}");
    }
    let failure = outcome.failure.unwrap_or_default();
    panic!("{failure}\nseed {}:\n{}", case.seed, least.line());
}

/// Proves that no seed breaks a rule.
#[test]
fn every_history_holds() {
    if let Some(seed) = variable("SIMULATION_SEED") {
        return assert_holds(&Case::of_seed(seed));
    }
    let seeds = variable("SIMULATION_SEEDS").unwrap_or(SEEDS);
    run_all("histories", 0..seeds, Case::of_seed);
}

/// Proves that no death at any step breaks a rule, for each manner of keeping a place.
#[test]
fn every_death_in_a_history_holds() {
    for consumer in Consumer::ALL {
        let small = Case::small(consumer);
        let whole = run(&small, false);
        assert_eq!(whole.failure, None, "{}", small.line());
        let absences = if consumer.is_subscription() {
            &ABSENCES[..]
        } else {
            &ABSENCES[..1]
        };
        let steps = u64::from(whole.steps);
        for down_s in absences {
            let case = |step| Case {
                kills: vec![Kill {
                    step: u32::try_from(step).expect("few"),
                    down_s: *down_s,
                }],
                ..small.clone()
            };
            run_all(&format!("{consumer:?}"), 0..steps, case);
        }
    }
}

/// Proves that the ids of the past suppress repeats that the window of live events has forgotten.
#[test]
fn deaths_at_a_dense_hand_over_hold() {
    let dense = Case::dense();
    let whole = run(&dense, false);
    assert_eq!(whole.failure, None, "{}", dense.line());
    let case = |number: u64| Case {
        kills: vec![Kill {
            step: u32::try_from(number * EVERY_STEP).expect("few"),
            down_s: 0,
        }],
        ..dense.clone()
    };
    let steps = u64::from(whole.steps);
    run_all("dense", 0..steps / EVERY_STEP, case);
}

/// Proves that a stream may reach the present at the pace of the past, which is faster here.
#[test]
fn many_live_events_at_the_hand_over_hold() {
    let case = Case::many_live_events();
    assert_eq!(run(&case, false).failure, None, "{}", case.line());
}

/// Proves that the printed line of a history gives the same one, or runs the line in
/// `SIMULATION_HISTORY`.
#[test]
fn replayed_history_is_the_same() {
    if let Ok(line) = std::env::var("SIMULATION_HISTORY") {
        return assert_holds(&Case::replay(&line));
    }
    for seed in 0..100 {
        let case = Case::of_seed(seed);
        assert_eq!(Case::replay(&case.line()), case);
    }
}
