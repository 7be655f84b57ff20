//! A simulated world: the client's public API over a network, a server, a store and a clock that are all made up.
//!
//! The testkit's emulator answers without a socket, time passes when nothing is left to do, and a program follows an
//! account with [`LongPollClient::batches`](box_longpoll::LongPollClient::batches) or `events` and stores its position, or
//! with a subscription, whose batches it acknowledges in whatever order; it is killed and started again. Requests and answers are lost, late, repeated, cut and garbled; servers die, forget their
//! channels and answer whatever they like; writes fail, are lost, or succeed and say that they failed; and for weeks nobody asks.
//!
//! At every step is checked that
//!
//! - events are delivered in the order of the log, nothing left out, and no repeat inside the window (`ledger`);
//! - no position, asked for, shown or durable, lies behind an event that is not acknowledged (`ledger`); a subscription
//!   asks further than that, for no more than it has delivered;
//! - a subscription remembers across a restart what its checkpoint names, keeps to the number of batches that may be out,
//!   shows the position that the store has confirmed, and says why nothing comes (`hands`, `subscribed`);
//! - it tells of a gap once where one may be, and never else (`gaps`);
//! - a request goes to a permitted host with what it must carry, not too early and not to a URL that is used up, and a
//!   stream stops only where it must (`conduct`);
//! - at most 5 requests in any second and 120 in any minute bring nothing new, and an enterprise is asked no more often than
//!   is set, whether or not that brings something (`budget`);
//! - there is one request at a time, one page in memory, and nothing left of a stream that was dropped (`network`,
//!   `program`);
//! - after the faults end, everything is delivered within a bounded time, the stream listens again, and a new event
//!   arrives promptly (`run`).
//!
//! That asks what comes after the faults end. Some never end: `permanent` has climates that last for the complete run, with
//! bounds while they last.
//!
//! Each stream, acknowledgement and time limit is a task with a waker of its own, and is polled only when that was woken
//! (`task`): a wake-up that is lost shows as a stream that never goes on.
//!
//! In some seeds the account is an enterprise, which has no realtime servers.
//!
//! # Replaying
//!
//! A run is decided by its scenario alone, and a scenario by its seed.
//!
//! ```sh
//! cargo test --test simulation                                        # 10,000 seeds, and every pair of faults
//! SIMULATION_SEEDS=100000 cargo test --release --test simulation
//! SIMULATION_SEED=4861 cargo test --test simulation every_seed -- --nocapture
//! SIMULATION_SEED=4861 cargo test --test simulation every_permanent -- --nocapture
//! SIMULATION_SCENARIO='{"seed":1,…}' cargo test --test simulation replayed -- --nocapture
//! ```
//!
//! What fails is shrunk to the incidents that it takes, and printed with its trace and as one line. Put the line into
//! [`REGRESSIONS`], where it stays. `mutants.sh` puts known failures of other clients into the source, and shows which of
//! them are found.

#[cfg(feature = "blocking")]
mod blocking;
#[cfg(not(feature = "blocking"))]
#[path = "no_blocking.rs"]
mod blocking;
mod budget;
mod climate;
mod conduct;
mod coverage;
mod exchange;
mod exhaustive;
mod gaps;
mod generate;
mod hands;
mod hunt;
mod ledger;
mod mishaps;
mod network;
mod permanent;
mod program;
mod progress;
mod run;
mod scenario;
mod shrink;
mod store;
mod subscribed;
mod subscriber;
mod task;
mod transport;
mod weather;
mod window;
mod world;

use crate::climate::{Consumer, Start};
use crate::exhaustive::{
    Acks, acknowledged, all_singles, pairs_of, short, singles_to_combine,
    singles_to_combine_with_acks,
};
use crate::hunt::{assert_holds, hunt};
use crate::run::run;
use crate::scenario::Scenario;

/// As many as a debug build runs in about a minute, on two cores of its own.
const SEEDS: u64 = 10_000;

/// Scenarios that failed once. These expected too much of the client, before it was said what it may do: wait for a poll as
/// long as the server says, be busy meanwhile, leave a host alone that asks for it, lose a signal that crosses the end of
/// its poll, give up a request after the clock has jumped and ask again at once, date a checkpoint by its own life alone,
/// and stop with either of two errors that come together. The last one was the client's fault: it took itself to have caught up
/// after a page of events that gave no position.
const REGRESSIONS: &[&str] = &[
    r#"{"seed":4,"climate":{"hold_ms":2000,"retry_timeout":5000},"incidents":[{"what":"request_lost","when":{"request":["realtime",2]}}]}"#,
    r#"{"seed":4861,"climate":{"consumer":"events","latency_ms":300,"patience_ms":16734,"retry_timeout":5,"start":"now"},"incidents":[{"what":{"answer":{"fault":"forbidden"}},"when":{"request":["events",0]}},{"what":"write_fails","when":{"write":0}},{"what":{"answer":{"fault":"endless_body"}},"when":{"request":["events",1]}}]}"#,
    r#"{"seed":2690,"climate":{"heals_after_ms":6895,"latency_ms":300,"start":"now"},"incidents":[{"what":{"answer":{"fault":"close_before_headers"}},"when":{"request":["events",1]}},{"what":{"answer":{"fault":"forbidden"}},"when":{"request":["options",0]}},{"what":"no_token","when":{"token":3}},{"what":{"answer":{"fault":"rate_limited","seconds":4000}},"when":{"request":["realtime",0]}}]}"#,
    r#"{"seed":24349,"climate":{"heals_after_ms":1271898,"poll_position":"ignored","retry_timeout":30,"visible_after_ms":3287},"incidents":[{"what":{"append":{"events":6,"odd":false}},"when":{"at":1025001}}]}"#,
    r#"{"climate":{"consumer":"subscription","start":"now"},"incidents":[{"what":{"late":{"ms":24137}},"when":{"request":["events",1]}},{"what":"too_large","when":{"request":["events",0]}},{"what":{"away":{"days":21}},"when":{"at":5020}}],"seed":6377}"#,
    r#"{"climate":{"consumer":"subscription"},"incidents":[{"what":{"append":{"events":7,"odd":false}},"when":{"at":9528}},{"what":"no_token","when":{"token":4}},{"what":"no_token_now","when":{"token":1}},{"what":"write_fails","when":{"write":0}},{"what":{"crash":{"down_ms":8851}},"when":{"step":5}}],"seed":11450}"#,
    r#"{"climate":{"consumer":"subscription","keeps":5},"incidents":[{"what":{"append":{"events":7,"odd":false}},"when":{"at":2660}},{"what":{"answer":{"fault":"forbidden"}},"when":{"request":["events",3]}},{"what":"no_ack","when":{"ack":0}}],"seed":21879}"#,
    r#"{"climate":{"page_limit":2},"incidents":[{"what":{"append":{"events":9,"odd":false}},"when":{"at":1446}},{"what":{"sleeps":{"seconds":20754}},"when":{"at":92}}],"seed":25133}"#,
    r#"{"climate":{"empty_page_rate":0.28,"foreign_server":true,"servers":2,"visible_after_ms":1795},"incidents":[{"what":{"append":{"events":3,"odd":false}},"when":{"at":3068}},{"what":{"answer":{"fault":"rate_limited_date","seconds":4000}},"when":{"request":["events",6]}},{"what":{"answer":{"fault":"float_position"}},"when":{"request":["events",2]}}],"seed":1313}"#,
    r#"{"climate":{"consumer":"subscription","keeps":2,"page_limit":3,"servers":3,"short_page_rate":0.3},"incidents":[{"what":{"append":{"events":5,"odd":true}},"when":{"at":1971}},{"what":{"append":{"events":7,"odd":true}},"when":{"at":5346}},{"what":{"answer":{"bytes":70000,"fault":"huge_body"}},"when":{"request":["events",1]}},{"what":"answer_lost","when":{"request":["events",0]}},{"what":{"answer":{"fault":"zero_position"}},"when":{"request":["events",8]}},{"what":"no_ack","when":{"ack":1}},{"what":{"away":{"days":23}},"when":{"at":4557}}],"seed":49812}"#,
];

const CONSUMERS: [Consumer; 3] = [
    Consumer::Batches,
    Consumer::Events,
    Consumer::BlockingBatches,
];

#[test]
fn every_seed_holds() {
    if let Some(seed) = variable("SIMULATION_SEED") {
        return assert_holds(&Scenario::of_seed(seed));
    }
    let seeds = variable("SIMULATION_SEEDS").unwrap_or(SEEDS);
    let found = hunt("seeds", 0..seeds, Scenario::of_seed);
    println!("{}", found.coverage);
    if seeds >= SEEDS {
        found.coverage.assert_complete();
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
    let pairs = pairs_of(&singles);
    let scenario = |number| {
        let n = usize::try_from(number).expect("few");
        let (one, other) = &pairs[n];
        let consumer = CONSUMERS[n % 3];
        short(consumer, Start::Oldest, vec![one.clone(), other.clone()])
    };
    hunt("pairs of faults", 0..pairs.len() as u64, scenario);
}

#[test]
fn every_single_fault_holds_for_a_subscription() {
    let singles = all_singles();
    for manner in Acks::ALL {
        for start in [Start::Oldest, Start::Now] {
            let scenario = |number| {
                let n = usize::try_from(number).expect("few");
                acknowledged(start, manner, vec![singles[n].clone()])
            };
            hunt("single faults", 0..singles.len() as u64, scenario);
        }
    }
}

#[test]
fn every_pair_of_faults_holds_for_a_subscription() {
    let singles = singles_to_combine_with_acks();
    let pairs = pairs_of(&singles);
    for manner in Acks::ALL {
        let scenario = |number| {
            let (one, other) = &pairs[usize::try_from(number).expect("few")];
            acknowledged(Start::Oldest, manner, vec![one.clone(), other.clone()])
        };
        hunt("pairs of faults", 0..pairs.len() as u64, scenario);
    }
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

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}
