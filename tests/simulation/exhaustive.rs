//! All schedules of one fault and of two faults over a short log.
//!
//! Random scenarios may miss a rare moment, so these tests try each moment. Pairs would be too many
//! with all faults, and therefore use a selection. Start at [`all_singles`] and [`pairs_of`].

use box_longpoll_testkit::{Endpoint, Fault};

use crate::climate::{Climate, Consumer, Start};
use crate::mishaps::all_with_a_request;
use crate::scenario::{Incident, Scenario, What, When};
use crate::world::SECONDS_A_DAY;

/// The number of steps to try: more than the program takes for the short log without faults.
const STEPS: u32 = 75;

/// Returns a scenario with six events, which come in three portions, and pages of two events.
pub(crate) fn short(
    consumer: Consumer,
    start: Start,
    timing: Timing,
    incidents: Vec<Incident>,
) -> Scenario {
    let (latency_ms, realtime_latency_ms, handling_ms) = match timing {
        Timing::PagesFirst => (20, 60, 0),
        Timing::PollsFirst => (60, 5, 0),
        Timing::BusyProgram => (20, 20, 150),
    };
    short_in(
        Climate {
            consumer,
            start,
            handling_ms,
            latency_ms,
            realtime_latency_ms,
            ..Climate::default()
        },
        incidents,
    )
}

/// The order in which the lanes of a stream and its program come to their ends.
#[derive(Clone, Copy)]
pub(crate) enum Timing {
    /// A fetch takes less time than a poll that is sent beside it.
    PagesFirst,
    /// A poll takes less time.
    PollsFirst,
    /// Both end while the program works on a batch, so that a page waits for it.
    BusyProgram,
}

impl Timing {
    pub(crate) const ALL: [Self; 3] = [Self::PagesFirst, Self::PollsFirst, Self::BusyProgram];
}

/// Returns the scenario of [`short`] for a subscription, which may have two unacknowledged batches.
pub(crate) fn acknowledged(start: Start, manner: Acks, incidents: Vec<Incident>) -> Scenario {
    let (keeps, acks_shuffled, acks_beside, write_ms, handling_ms) = match manner {
        Acks::AtOnce => (0, false, false, 0, 150),
        Acks::Kept => (2, false, false, 0, 0),
        Acks::Shuffled => (2, true, false, 300, 0),
        Acks::Beside => (1, false, true, 300, 0),
    };
    short_in(
        Climate {
            consumer: Consumer::Subscription,
            start,
            keeps,
            acks_shuffled,
            acks_beside,
            write_ms,
            handling_ms,
            realtime_latency_ms: 5,
            max_unacknowledged: 2,
            ..Climate::default()
        },
        incidents,
    )
}

/// The program's way to acknowledge a subscription's batches.
#[derive(Clone, Copy)]
pub(crate) enum Acks {
    /// Each batch after some work, during which a page is read ahead.
    AtOnce,
    /// In order, when two more batches have come.
    Kept,
    /// In any order, with a slow store.
    Shuffled,
    /// Concurrently with the subscription, with a slow store.
    Beside,
}

impl Acks {
    pub(crate) const ALL: [Self; 4] = [Self::AtOnce, Self::Kept, Self::Shuffled, Self::Beside];
}

fn short_in(climate: Climate, incidents: Vec<Incident>) -> Scenario {
    let append = |ms, events| Incident {
        when: When::At(ms),
        what: What::Append { events, odd: false },
    };
    let mut all = vec![append(0, 3), append(3_000, 2), append(6_000, 1)];
    all.extend(incidents);
    Scenario {
        seed: 1,
        climate: Climate {
            page_limit: 2,
            servers: 2,
            heals_after_ms: 20_000,
            ..climate
        },
        incidents: all,
    }
}

/// Returns every fault at every moment at which it can happen.
pub(crate) fn all_singles() -> Vec<Incident> {
    let mut all = Vec::new();
    for (endpoint, requests) in [
        (Endpoint::Events, 10),
        (Endpoint::Options, 2),
        (Endpoint::Realtime, 4),
    ] {
        for what in all_with_a_request(endpoint) {
            add(&mut all, requests, |n| When::Request(endpoint, n), &what);
        }
    }
    for down_ms in [0, 4_000] {
        add(&mut all, STEPS, When::Step, &What::Crash { down_ms });
    }
    add(&mut all, STEPS, When::Step, &What::Stop);
    add(&mut all, STEPS, When::Step, &What::Away { days: 15 });
    for what in [What::WriteFails, What::WriteLost, What::WriteUnsaid] {
        add(&mut all, 5, When::Write, &what);
    }
    add(&mut all, 5, When::Ack, &What::NoAck);
    for what in [What::NoTokenNow, What::NoToken, What::SameToken] {
        add(&mut all, 12, When::Token, &what);
    }
    for what in [
        What::Rename,
        What::Revoke,
        What::Down { ms: 2_000 },
        What::HostDown { host: 0, ms: 5_000 },
        What::Interrupt(Fault::ServerError),
        What::ClockSet { seconds: -90_000 },
        What::ClockSet { seconds: 90_000 },
        What::Sleeps { seconds: 3_600 },
        What::ClockSet {
            seconds: 22 * SECONDS_A_DAY,
        },
        What::StoreDown { ms: 5_000 },
    ] {
        add(&mut all, 12, |n| When::At(u64::from(n) * 555), &what);
    }
    all
}

/// Returns one fault of each kind at each moment, for pairs.
pub(crate) fn singles_to_combine() -> Vec<Incident> {
    let mut all = Vec::new();
    let missing = What::Response(Fault::MissingPosition);
    let unauthorized = What::Response(Fault::Unauthorized);
    let limited = What::Response(Fault::RateLimited { seconds: 2 });
    for what in [
        &What::RequestLost,
        &What::ResponseLost,
        &What::Cut,
        &What::Earlier { back: 2 },
        &missing,
        &unauthorized,
        &limited,
    ] {
        add(&mut all, 6, |n| When::Request(Endpoint::Events, n), what);
    }
    for what in [What::ResponseLost, What::Response(Fault::EmptyList)] {
        add(&mut all, 2, |n| When::Request(Endpoint::Options, n), &what);
    }
    let reconnect = Fault::Signal {
        message: "reconnect".into(),
    };
    for what in [
        What::Cut,
        What::Response(Fault::NotFound),
        What::Response(reconnect),
        What::Response(Fault::UnknownSignal),
    ] {
        add(&mut all, 3, |n| When::Request(Endpoint::Realtime, n), &what);
    }
    add(&mut all, STEPS, When::Step, &What::Crash { down_ms: 0 });
    for what in [What::WriteFails, What::WriteLost, What::WriteUnsaid] {
        add(&mut all, 4, When::Write, &what);
    }
    add(
        &mut all,
        6,
        |n| When::At(u64::from(n) * 1_111),
        &What::Rename,
    );
    add(
        &mut all,
        6,
        |n| When::At(u64::from(n) * 1_111),
        &What::Revoke,
    );
    all
}

/// Returns all pairs of two different incidents.
pub(crate) fn pairs_of(singles: &[Incident]) -> Vec<(Incident, Incident)> {
    let with = |one: usize| {
        let others = singles[one + 1..].iter();
        others.map(move |other| (singles[one].clone(), other.clone()))
    };
    (0..singles.len()).flat_map(with).collect()
}

/// Returns the faults that concern acknowledgements, for pairs.
pub(crate) fn singles_to_combine_with_acks() -> Vec<Incident> {
    let mut all = Vec::new();
    for what in [
        &What::ResponseLost,
        &What::Earlier { back: 2 },
        &What::Response(Fault::MissingPosition),
    ] {
        add(&mut all, 4, |n| When::Request(Endpoint::Events, n), what);
    }
    for what in [&What::Crash { down_ms: 0 }, &What::Away { days: 15 }] {
        add(&mut all, STEPS / 4, |n| When::Step(4 * n), what);
    }
    for what in [What::WriteFails, What::WriteLost, What::WriteUnsaid] {
        add(&mut all, 4, When::Write, &what);
    }
    add(&mut all, 4, When::Ack, &What::NoAck);
    for what in [What::StoreDown { ms: 4_000 }, What::Stop] {
        add(&mut all, 6, |n| When::At(u64::from(n) * 1_111), &what);
    }
    all
}

fn add(all: &mut Vec<Incident>, times: u32, when: impl Fn(u32) -> When, what: &What) {
    all.extend((0..times).map(|n| Incident {
        when: when(n),
        what: what.clone(),
    }));
}
