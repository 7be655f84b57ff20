//! Runs the client's public API in a simulated world: the network, the server, the store and the
//! clock are all made up.
//!
//! The testkit's emulator responds without a socket, and time passes only when nothing is left to
//! do. A program follows an account with
//! [`LongPollClient::batches`](box_longpoll::LongPollClient::batches) or `events` and stores its
//! position. Or it uses a subscription and acknowledges the batches in any order. The world kills
//! the program and starts it again. Requests and responses are lost, late, repeated, cut and
//! garbled. Servers die, forget their channels and send arbitrary responses. Writes fail, are lost,
//! or succeed and report a failure. Sometimes nothing runs for weeks.
//!
//! The world checks these rules at every step:
//!
//! - The client delivers events in the order of the log. It leaves nothing out and repeats nothing
//!   inside the window (`ledger`).
//! - Every event before a position is acknowledged, if that position is shown or durable. Every
//!   event before a requested position was on a page that this program has received (`ledger`).
//! - A subscription remembers across a restart the ids that its checkpoint names. It respects the
//!   limit of unacknowledged batches, shows the position that the store has confirmed, and reports
//!   why no batch comes (`open_batches`, `subscribed`).
//! - A subscription reports a gap once if there may be one, and otherwise never (`gaps`).
//! - A request goes to a permitted host and carries the required parts. It goes out neither too
//!   early nor to a URL that is used up. A stream stops only if it must (`conduct`).
//! - At most 5 requests in any second and 120 in any minute bring nothing new. For an enterprise,
//!   the client respects the configured rate for all calls (`budget`).
//! - Two lanes work side by side: at most one fetch, and at most one list or poll, are in flight.
//!   At most one page is fetched ahead of the program, or none if the program wants none. A poll
//!   has a position that Box gave to this stream (`lanes`, `network`, `conduct`).
//! - A fetch follows each signal promptly, unless a page has brought the events meanwhile. While
//!   Box responds, no fetch is later than `max_staleness` permits (`lanes`).
//! - A stream without a request in flight waits for a timer or for its program (`lanes`).
//! - After an error that stops the stream, no response is taken. The pages that came before it are
//!   delivered first (`network`, `program`).
//! - Few pages are in memory, and a dropped stream leaves nothing behind (`network`, `program`).
//! - After the faults end, the client delivers everything within a bounded time. Then the stream
//!   listens again, and a new event arrives promptly (`run`, `progress`).
//!
//! A program that begins in the past of an enterprise runs in a world of its own, with its own
//! rules, in `history`.
//!
//! Some faults never end. `permanent` has climates that last for the complete run, and bounds that
//! hold meanwhile.
//!
//! Each stream, acknowledgement and time limit is a task with its own waker, and is polled only
//! when that waker was called (`task`). A lost wake-up therefore shows as a stream that never
//! continues.
//!
//! In some seeds the account is an enterprise, which has no realtime servers.
//!
//! # Replaying
//!
//! A scenario fully determines its run, and a seed fully determines its scenario.
//!
//! ```sh
//! cargo test --test simulation                          # 10,000 seeds, and every pair of faults
//! SIMULATION_SEEDS=100000 cargo test --release --test simulation
//! SIMULATION_SEED=4861 cargo test --test simulation every_seed -- --nocapture
//! SIMULATION_SEED=4861 cargo test --test simulation every_permanent -- --nocapture
//! SIMULATION_SCENARIO='{"seed":1,…}' cargo test --test simulation replayed -- --nocapture
//! ```
//!
//! The test shrinks a failing scenario to the incidents that it needs, and prints its trace and the
//! scenario as one line. Put the line into [`REGRESSIONS`], where it stays. `mutants.sh` puts known
//! failures of other clients into the source, and shows which of them the tests find.

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
mod history;
mod hunt;
mod lanes;
mod ledger;
mod mishaps;
mod network;
mod open_batches;
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
    Acks, Timing, acknowledged, all_singles, pairs_of, short, singles_to_combine,
    singles_to_combine_with_acks,
};
use crate::hunt::{assert_holds, hunt};
use crate::run::run;
use crate::scenario::Scenario;

/// The number of seeds that a debug build runs in about a minute on two dedicated cores.
const SEEDS: u64 = 10_000;

/// The scenarios that failed once.
///
/// All but the last three expected too much of the client, because the checks did not yet permit
/// the following. The client may wait for a poll as long as the server says, and may be busy
/// meanwhile. It may respect the `Retry-After` of a host, and may lose a signal that crosses the
/// end of its poll. After a jump of the clock it may give up a request and send another one at
/// once. It may date a checkpoint by what it has seen in its own run alone. If two errors come
/// together, it may stop with either.
///
/// The last three were the client's fault. After a page of events without a position, it considered
/// itself caught up. A stream that was stopped between two events of a page kept its requests. And
/// it sent a list although a response that rejected its token had already arrived.
const REGRESSIONS: &[&str] = &[
    r#"{"seed":4,"climate":{"hold_ms":2000,"retry_timeout":5000},"incidents":[{"what":"request_lost","when":{"request":["realtime",2]}}]}"#,
    r#"{"seed":4861,"climate":{"consumer":"events","latency_ms":300,"patience_ms":16734,"retry_timeout":5,"start":"now"},"incidents":[{"what":{"response":{"fault":"forbidden"}},"when":{"request":["events",0]}},{"what":"write_fails","when":{"write":0}},{"what":{"response":{"fault":"endless_body"}},"when":{"request":["events",1]}}]}"#,
    r#"{"seed":2690,"climate":{"heals_after_ms":6895,"latency_ms":300,"start":"now"},"incidents":[{"what":{"response":{"fault":"close_before_headers"}},"when":{"request":["events",1]}},{"what":{"response":{"fault":"forbidden"}},"when":{"request":["options",0]}},{"what":"no_token","when":{"token":3}},{"what":{"response":{"fault":"rate_limited","seconds":4000}},"when":{"request":["realtime",0]}}]}"#,
    r#"{"seed":24349,"climate":{"heals_after_ms":1271898,"poll_position":"ignored","retry_timeout":30,"visible_after_ms":3287},"incidents":[{"what":{"append":{"events":6,"odd":false}},"when":{"at":1025001}}]}"#,
    r#"{"climate":{"consumer":"subscription","start":"now"},"incidents":[{"what":{"late":{"ms":24137}},"when":{"request":["events",1]}},{"what":"too_large","when":{"request":["events",0]}},{"what":{"away":{"days":21}},"when":{"at":5020}}],"seed":6377}"#,
    r#"{"climate":{"consumer":"subscription"},"incidents":[{"what":{"append":{"events":7,"odd":false}},"when":{"at":9528}},{"what":"no_token","when":{"token":4}},{"what":"no_token_now","when":{"token":1}},{"what":"write_fails","when":{"write":0}},{"what":{"crash":{"down_ms":8851}},"when":{"step":5}}],"seed":11450}"#,
    r#"{"climate":{"consumer":"subscription","keeps":5},"incidents":[{"what":{"append":{"events":7,"odd":false}},"when":{"at":2660}},{"what":{"response":{"fault":"forbidden"}},"when":{"request":["events",3]}},{"what":"no_ack","when":{"ack":0}}],"seed":21879}"#,
    r#"{"climate":{"page_limit":2},"incidents":[{"what":{"append":{"events":9,"odd":false}},"when":{"at":1446}},{"what":{"sleeps":{"seconds":20754}},"when":{"at":92}}],"seed":25133}"#,
    r#"{"climate":{"empty_page_rate":0.28,"foreign_server":true,"servers":2,"visible_after_ms":1795},"incidents":[{"what":{"append":{"events":3,"odd":false}},"when":{"at":3068}},{"what":{"response":{"fault":"rate_limited_date","seconds":4000}},"when":{"request":["events",6]}},{"what":{"response":{"fault":"float_position"}},"when":{"request":["events",2]}}],"seed":1313}"#,
    r#"{"climate":{"consumer":"subscription","keeps":2,"page_limit":3,"servers":3,"short_page_rate":0.3},"incidents":[{"what":{"append":{"events":5,"odd":true}},"when":{"at":1971}},{"what":{"append":{"events":7,"odd":true}},"when":{"at":5346}},{"what":{"response":{"bytes":70000,"fault":"huge_body"}},"when":{"request":["events",1]}},{"what":"response_lost","when":{"request":["events",0]}},{"what":{"response":{"fault":"zero_position"}},"when":{"request":["events",8]}},{"what":"no_ack","when":{"ack":1}},{"what":{"away":{"days":23}},"when":{"at":4557}}],"seed":49812}"#,
    r#"{"seed":118,"climate":{"consumer":"events","write_ms":1423},"incidents":[{"what":{"append":{"events":5,"odd":false}},"when":{"at":3593}},{"what":"stop","when":{"at":4439}}]}"#,
    r#"{"seed":9418,"climate":{"consumer":"blocking_batches","max_retries":0,"realtime_latency_ms":5,"visible_after_ms":2937},"incidents":[{"what":{"append":{"events":10,"odd":true}},"when":{"at":552}},{"what":{"append":{"events":9,"odd":false}},"when":{"at":4407}},{"what":{"response":{"fault":"stale_page"}},"when":{"request":["events",7]}},{"what":{"store_down":{"ms":187750}},"when":{"at":6881}},{"what":{"response":{"fault":"unauthorized_empty"}},"when":{"request":["events",14]}},{"what":"too_large","when":{"request":["realtime",4]}},{"what":{"crash":{"down_ms":0}},"when":{"step":10}}]}"#,
];

/// The consumers that store a position themselves.
const CONSUMERS: [Consumer; 3] = [
    Consumer::Batches,
    Consumer::Events,
    Consumer::BlockingBatches,
];

/// Proves that no generated scenario breaks a rule, and that all seeds together reach every
/// combination of fault and state.
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

/// Proves that no fault breaks a rule at any moment of a short log, in each order of the two lanes
/// and the program.
#[test]
fn every_single_fault_holds() {
    let singles = all_singles();
    for (consumer, timing) in CONSUMERS
        .map(|consumer| Timing::ALL.map(|timing| (consumer, timing)))
        .into_iter()
        .flatten()
    {
        for start in [Start::Oldest, Start::Now] {
            let scenario = |number| {
                let n = usize::try_from(number).expect("few");
                short(consumer, start, timing, vec![singles[n].clone()])
            };
            hunt("single faults", 0..singles.len() as u64, scenario);
        }
    }
}

/// Proves that no pair of faults breaks a rule at any two moments of a short log, in each order of
/// the two lanes and the program.
#[test]
fn every_pair_of_faults_holds() {
    let singles = singles_to_combine();
    let pairs = pairs_of(&singles);
    for timing in Timing::ALL {
        let scenario = |number| {
            let n = usize::try_from(number).expect("few");
            let (one, other) = &pairs[n];
            let (consumer, both) = (CONSUMERS[n % 3], vec![one.clone(), other.clone()]);
            short(consumer, Start::Oldest, timing, both)
        };
        hunt("pairs of faults", 0..pairs.len() as u64, scenario);
    }
}

/// Proves the same for a subscription, with each way of acknowledgement.
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

/// Proves the same for a subscription, with each way of acknowledgement.
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

/// Proves that no scenario of [`REGRESSIONS`] fails again.
#[test]
fn regressions_hold() {
    for line in REGRESSIONS {
        assert_holds(&Scenario::replay(line));
    }
}

/// Proves that the printed line of a scenario gives the same scenario, or runs the line in
/// `SIMULATION_SCENARIO`.
#[test]
fn scenario_is_replayed_from_its_line() {
    if let Ok(line) = std::env::var("SIMULATION_SCENARIO") {
        return assert_holds(&Scenario::replay(&line));
    }
    for seed in 0..100 {
        let scenario = Scenario::of_seed(seed);
        assert_eq!(Scenario::replay(&scenario.line()), scenario);
    }
}

/// Proves that a run depends on its seed alone, and not on the thread that it runs on.
#[test]
fn same_seed_gives_the_same_trace() {
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

/// Returns the number in an environment variable, or `None` if it is not set.
fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}
