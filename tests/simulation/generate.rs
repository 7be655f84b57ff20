//! Random scenarios.
//!
//! A seed decides a climate, the events of the account, and the faults. Common situations are more
//! likely than rare ones. Faults at each single moment are in `exhaustive`. Start at
//! [`Scenario::of_seed`].

use box_longpoll_testkit::{Endpoint, Fault, PollPosition};
use fastrand::Rng;

use crate::climate::{Climate, Consumer, Start};
use crate::mishaps::{all_with_a_request, with_a_request};
use crate::scenario::{Incident, Scenario, What, When};
use crate::world::SECONDS_A_DAY;

impl Scenario {
    /// Generates the scenario of a seed.
    pub(crate) fn of_seed(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let long = rng.u32(..50) == 0;
        let mut climate = climate(&mut rng);
        if long {
            // A long log tests the window, which is as long as five full pages.
            climate.page_limit = 500;
            climate.handling_ms = 0;
            climate.repeat_rate = 0.1;
            if climate.consumer == Consumer::Events {
                climate.consumer = Consumer::Batches;
            }
            climate.heals_after_ms = climate.heals_after_ms.min(60_000);
        }
        let mut incidents = Vec::new();
        if rng.u32(..5) == 0 {
            // A silent poll takes as long as `retry_timeout` says. Only a short one leaves time for
            // anything else.
            climate.retry_timeout = 5;
            climate.heals_after_ms = climate.heals_after_ms.max(90_000);
            for _ in 0..3 {
                incidents.push(Incident {
                    when: When::Request(Endpoint::Realtime, nth(&mut rng, 5)),
                    what: What::RequestLost,
                });
            }
        }
        for _ in 0..rng.u32(1..=6) {
            incidents.push(Incident {
                when: When::At(time(&mut rng, &climate)),
                what: What::Append {
                    events: if long {
                        rng.u32(300..=1_500)
                    } else {
                        rng.u32(1..=12)
                    },
                    odd: !long && rng.u32(..4) == 0,
                },
            });
        }
        for _ in 0..rng.u32(1..=14) {
            let incident = incident(&mut rng, &climate);
            // A program that dies often makes little progress in a long log, unless it remembers
            // its events.
            let dies = matches!(
                incident.what,
                What::Crash { .. } | What::Away { .. } | What::Stop
            );
            if !(long && dies && climate.consumer != Consumer::Subscription) {
                incidents.push(incident);
            }
        }
        if rng.u32(..5) == 0 {
            // Without a server the client fetches at an interval, and those fetches may fail as
            // well.
            for list in 0..2 {
                incidents.push(Incident {
                    when: When::Request(Endpoint::Options, list),
                    what: What::Response(Fault::EmptyList),
                });
            }
            incidents.push(Incident {
                when: When::Request(Endpoint::Events, rng.u32(1..6)),
                what: with_a_request(&mut rng, Endpoint::Events),
            });
        }
        let can_follow = matches!(climate.consumer, Consumer::Batches | Consumer::Events);
        climate.enterprise = can_follow && rng.u32(..5) == 0;
        Self {
            seed,
            climate,
            incidents,
        }
    }
}

fn climate(rng: &mut Rng) -> Climate {
    let fair = Climate::default();
    let rarely = |rng: &mut Rng| rng.u32(..4) == 0;
    let rate = |rng: &mut Rng| {
        if rng.bool() {
            0.0
        } else {
            f64::from(rng.u32(..40)) / 100.0
        }
    };
    let poll_position = match rng.u32(..10) {
        0 => PollPosition::Ignored,
        1 => PollPosition::AlwaysNewChange,
        _ => PollPosition::Honored,
    };
    let hold_ms = [2_000, 20_000, 600_000][rng.usize(..3)];
    // About the time of a hundred requests.
    let longest = match hold_ms {
        _ if poll_position == PollPosition::AlwaysNewChange => 20_000,
        2_000 => 30_000,
        20_000 => 200_000,
        _ => 2_000_000,
    };
    let max_unacknowledged = [1, 2, 4, 16][rng.usize(..4)];
    Climate {
        consumer: [
            Consumer::Batches,
            Consumer::Batches,
            Consumer::BlockingBatches,
            Consumer::Events,
            Consumer::Events,
            Consumer::Subscription,
            Consumer::Subscription,
            Consumer::Subscription,
        ][rng.usize(..8)],
        enterprise: fair.enterprise,
        start: if rng.bool() {
            Start::Oldest
        } else {
            Start::Now
        },
        page_limit: if rng.bool() {
            fair.page_limit
        } else {
            rng.u32(1..=10)
        },
        read_ahead: usize::from(rng.u32(..5) > 0),
        max_staleness_s: if rng.u32(..5) == 0 {
            rng.u64(1..=10)
        } else {
            0
        },
        handling_ms: if rarely(rng) { rng.u64(..2_000) } else { 0 },
        patience_ms: if rarely(rng) {
            rng.u64(1_000..30_000)
        } else {
            0
        },
        keeps: if rng.bool() {
            0
        } else {
            rng.usize(..=max_unacknowledged)
        },
        acks_shuffled: rng.bool(),
        acks_beside: rng.bool(),
        max_unacknowledged,
        write_ms: if rarely(rng) { rng.u64(..1_500) } else { 0 },
        latency_ms: [0, 5, 20, 300][rng.usize(..4)],
        realtime_latency_ms: [0, 5, 20, 300][rng.usize(..4)],
        heals_after_ms: if rarely(rng) {
            rng.u64(1_000..longest)
        } else {
            rng.u64(1_000..longest.min(60_000))
        },
        repeat_rate: rate(rng),
        short_page_rate: rate(rng),
        empty_page_rate: rate(rng),
        visible_after_ms: if rarely(rng) { rng.u64(..6_000) } else { 0 },
        positions_are_numbers: rng.bool(),
        holes: (0..if rarely(rng) { 3 } else { 0 })
            .map(|_| rng.usize(..20))
            .collect(),
        servers: rng.usize(1..=3),
        plain_http: rng.bool(),
        foreign_server: rarely(rng),
        numbers_are_strings: rng.bool(),
        max_retries: [0, 1, 2, 10, 1_000][rng.usize(..5)],
        ttl_minutes: [0, 1, 10][rng.usize(..3)],
        retry_timeout: [5, 30, 610, 610, 5_000][rng.usize(..5)],
        polls_per_url: rarely(rng).then(|| rng.u64(1..4)),
        max_retries_status: [200, 200, 404, 500][rng.usize(..4)],
        poll_position,
        drop_signals: rng.u32(..10) == 0,
        hold_ms,
        permanent: None,
    }
}

/// Returns a time before the faults end, in milliseconds. Early times are more likely than late
/// ones.
fn time(rng: &mut Rng, climate: &Climate) -> u64 {
    let end = climate.heals_after_ms;
    if rng.bool() {
        rng.u64(..end)
    } else {
        rng.u64(..end.min(10_000))
    }
}

/// Returns a number below `most`. Small numbers are more likely than large ones.
fn nth(rng: &mut Rng, most: u32) -> u32 {
    let most = rng.u32(1..=most);
    rng.u32(..most)
}

fn incident(rng: &mut Rng, climate: &Climate) -> Incident {
    let (when, what) = match rng.u32(..100) {
        0..62 => {
            let endpoint = match rng.u32(..20) {
                0..10 => Endpoint::Events,
                10..14 => Endpoint::Options,
                _ => Endpoint::Realtime,
            };
            let most = if endpoint == Endpoint::Events { 30 } else { 12 };
            (
                When::Request(endpoint, nth(rng, most)),
                with_a_request(rng, endpoint),
            )
        }
        62..74 => {
            let down_ms = if rng.bool() { 0 } else { rng.u64(..60_000) };
            (When::Step(nth(rng, 200)), What::Crash { down_ms })
        }
        74..76 => (When::Step(nth(rng, 200)), away(rng)),
        76..77 => (When::Step(nth(rng, 100)), What::Stop),
        77..79 => (When::At(time(rng, climate)), What::Stop),
        79..81 => (When::Ack(nth(rng, 10)), What::NoAck),
        81..87 => {
            let what = [What::WriteFails, What::WriteLost, What::WriteUnsaid];
            (When::Write(nth(rng, 8)), what[rng.usize(..3)].clone())
        }
        87..92 => {
            let what = [
                What::NoTokenNow,
                What::NoTokenNow,
                What::NoToken,
                What::SameToken,
            ];
            (When::Token(nth(rng, 20)), what[rng.usize(..4)].clone())
        }
        _ => (When::At(time(rng, climate)), by_itself(rng, climate)),
    };
    Incident { when, what }
}

/// Returns an absence about as long as Box keeps events.
fn away(rng: &mut Rng) -> What {
    What::Away {
        days: rng.u32(13..17),
    }
}

/// Returns a fault of the server, the network, the clock or the store.
fn by_itself(rng: &mut Rng, climate: &Climate) -> What {
    let ms = rng.u64(..30_000);
    match rng.u32(..14) {
        0 | 1 => What::Rename,
        2 => What::Down { ms },
        3 => What::HostDown {
            host: rng.usize(..climate.servers),
            ms,
        },
        4 => {
            let all = all_with_a_request(Endpoint::Realtime);
            loop {
                if let What::Response(fault) = &all[rng.usize(..all.len())]
                    && *fault != Fault::Silence
                {
                    break What::Interrupt(fault.clone());
                }
            }
        }
        5 | 6 => What::Revoke,
        7 => away(rng),
        // A laptop that was closed for weeks.
        8 => What::ClockSet {
            seconds: rng.i64(20..40) * SECONDS_A_DAY,
        },
        9 | 10 => What::StoreDown { ms: ms * 10 },
        11 | 12 => What::Sleeps {
            seconds: rng.i64(20..100_000),
        },
        _ => What::ClockSet {
            seconds: rng.i64(-100_000..100_000),
        },
    }
}
