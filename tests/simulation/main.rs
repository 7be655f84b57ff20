//! A simulated world: the client's public API over a network, a server, a store and a clock that are all made up.
//!
//! The testkit's emulator answers without a socket, time passes when nothing is left to do, and a program follows an
//! account with [`LongPollClient::batches`](box_longpoll::LongPollClient::batches) or `events`, stores its position, and
//! is killed and started again. Requests and answers are lost, late, repeated, cut and garbled; servers die, forget their
//! channels and answer whatever they like; writes fail, are lost, or succeed and say that they failed.
//!
//! At every step is checked that
//!
//! - events are delivered in the order of the log, nothing left out, and no repeat inside the window (`ledger`);
//! - no position, asked for, shown or durable, lies behind an event that is not acknowledged (`ledger`);
//! - a request goes to a permitted host with what it must carry, not too early and not to a URL that is used up, and a
//!   stream stops only where it must (`conduct`);
//! - at most 5 requests in any second and 120 in any minute bring nothing new (`budget`);
//! - there is one request at a time, one page in memory, and nothing left of a stream that was dropped (`network`,
//!   `program`);
//! - after the faults end, everything is delivered within a bounded time, the stream listens again, and a new event
//!   arrives promptly (`run`).
//!
//! # Replaying
//!
//! A run is decided by its scenario alone, and a scenario by its seed.
//!
//! ```sh
//! cargo test --test simulation                                        # 10,000 seeds, and every pair of faults
//! SIMULATION_SEEDS=100000 cargo test --release --test simulation
//! SIMULATION_SEED=4861 cargo test --test simulation every_seed -- --nocapture
//! SIMULATION_SCENARIO='{"seed":1,…}' cargo test --test simulation replayed -- --nocapture
//! ```
//!
//! What fails is shrunk to the incidents that it takes, and printed with its trace and as one line. Put the line into
//! [`REGRESSIONS`], where it stays. `mutants.sh` puts known failures of other clients into the source, and shows which of
//! them are found.

mod budget;
mod climate;
mod conduct;
mod coverage;
mod exchange;
mod exhaustive;
mod generate;
mod hunt;
mod ledger;
mod network;
mod program;
mod run;
mod scenario;
mod shrink;
mod store;
mod transport;
mod weather;
mod world;

use box_longpoll_testkit::Endpoint;

use crate::climate::{Consumer, Start};
use crate::coverage::Coverage;
use crate::exchange::Place;
use crate::exhaustive::{all_singles, short, singles_to_combine};
use crate::hunt::{assert_holds, hunt};
use crate::run::run;
use crate::scenario::Scenario;

/// As many as a debug build runs in well under a minute.
const SEEDS: u64 = 10_000;

/// Scenarios that failed once. These expected too much of the client, before it was said what it may do: wait for a poll as
/// long as the server says, be busy meanwhile, leave a host alone that asks for it, and lose a signal that crosses the end
/// of its poll.
const REGRESSIONS: &[&str] = &[
    r#"{"seed":4,"climate":{"hold_ms":2000,"retry_timeout":5000},"incidents":[{"what":"request_lost","when":{"request":["realtime",2]}}]}"#,
    r#"{"seed":4861,"climate":{"consumer":"events","latency_ms":300,"patience_ms":16734,"retry_timeout":5,"start":"now"},"incidents":[{"what":{"answer":{"fault":"forbidden"}},"when":{"request":["events",0]}},{"what":"write_fails","when":{"write":0}},{"what":{"answer":{"fault":"endless_body"}},"when":{"request":["events",1]}}]}"#,
    r#"{"seed":2690,"climate":{"heals_after_ms":6895,"latency_ms":300,"start":"now"},"incidents":[{"what":{"answer":{"fault":"close_before_headers"}},"when":{"request":["events",1]}},{"what":{"answer":{"fault":"forbidden"}},"when":{"request":["options",0]}},{"what":"no_token","when":{"token":3}},{"what":{"answer":{"fault":"rate_limited","seconds":4000}},"when":{"request":["realtime",0]}}]}"#,
    r#"{"seed":24349,"climate":{"heals_after_ms":1271898,"poll_position":"ignored","retry_timeout":30,"visible_after_ms":3287},"incidents":[{"what":{"append":{"events":6,"odd":false}},"when":{"at":1025001}}]}"#,
];

const CONSUMERS: [Consumer; 2] = [Consumer::Batches, Consumer::Events];

#[test]
fn every_seed_holds() {
    if let Some(seed) = variable("SIMULATION_SEED") {
        return assert_holds(&Scenario::of_seed(seed));
    }
    let seeds = variable("SIMULATION_SEEDS").unwrap_or(SEEDS);
    let found = hunt("seeds", 0..seeds, Scenario::of_seed);
    println!("{}", found.coverage);
    if seeds >= SEEDS {
        assert_every_fault_met_every_state(&found.coverage);
    }
}

#[test]
fn every_single_fault_holds() {
    let singles = all_singles();
    for consumer in CONSUMERS {
        for start in [Start::Oldest, Start::Now] {
            let scenario = |number| {
                let n = usize::try_from(number).expect("few");
                short(consumer, start, vec![singles[n].clone()])
            };
            hunt("single faults", 0..singles.len() as u64, scenario);
        }
    }
}

#[test]
fn every_pair_of_faults_holds() {
    let singles = singles_to_combine();
    let pairs: Vec<(usize, usize)> = (0..singles.len())
        .flat_map(|one| (one + 1..singles.len()).map(move |other| (one, other)))
        .collect();
    let scenario = |number| {
        let (one, other) = pairs[usize::try_from(number).expect("few")];
        let consumer = CONSUMERS[(one + other) % 2];
        short(
            consumer,
            Start::Oldest,
            vec![singles[one].clone(), singles[other].clone()],
        )
    };
    hunt("pairs of faults", 0..pairs.len() as u64, scenario);
}

#[test]
fn what_failed_once_holds() {
    for line in REGRESSIONS {
        assert_holds(&Scenario::replay(line));
    }
}

#[test]
fn a_scenario_can_be_replayed() {
    if let Ok(line) = std::env::var("SIMULATION_SCENARIO") {
        return assert_holds(&Scenario::replay(&line));
    }
    for seed in 0..100 {
        let scenario = Scenario::of_seed(seed);
        assert_eq!(Scenario::replay(&scenario.line()), scenario);
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..200 {
        let scenario = Scenario::of_seed(seed);
        let here = run(&scenario).trace;
        let there = std::thread::spawn(move || run(&scenario).trace).join();
        assert_eq!(
            here,
            there.expect("a run catches its panics"),
            "seed {seed}"
        );
    }
}

#[track_caller]
fn assert_every_fault_met_every_state(coverage: &Coverage) {
    let mut never = Vec::new();
    let mut expect = |fault: &str, state: &str| {
        if coverage.times(fault, state) == 0 {
            never.push(format!("{fault} in {state}"));
        }
    };
    for endpoint in Endpoint::ALL {
        for what in generate::all_with_a_request(endpoint) {
            for place in Place::of(endpoint) {
                expect(
                    &format!("{endpoint:?} {}", what.name()),
                    &format!("{place:?}"),
                );
            }
        }
    }
    // Nothing takes time while a token is asked for: it is there at once, or not.
    for state in [
        "Fetching",
        "Listing",
        "Listening",
        "Delivering",
        "Waiting",
        "Retrying",
        "Degraded",
    ] {
        for fault in [
            "Crash", "Stop", "Rename", "Down", "HostDown", "Revoke", "ClockSet", "Sleeps",
        ] {
            expect(fault, state);
        }
    }
    for fault in ["Crash", "Stop"] {
        expect(fault, "Authorizing");
    }
    for fault in ["WriteFails", "WriteLost", "WriteUnsaid"] {
        expect(fault, "Delivering");
    }
    for fault in ["NoTokenNow", "NoToken"] {
        expect(fault, "Authorizing");
    }
    for fault in ["NoTokenNow", "NoToken", "SameToken"] {
        expect(fault, "Refresh");
    }
    assert!(never.is_empty(), "never met: {never:#?}");
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}
