//! Every schedule of one and of two faults over a short log.

use box_longpoll_testkit::{Endpoint, Fault};

use crate::climate::{Climate, Consumer, Start};
use crate::generate::all_with_a_request;
use crate::scenario::{Incident, Scenario, What, When};

/// More steps than the program takes for the short log without faults.
const STEPS: u32 = 75;

/// Six events, in three goes, on pages of two.
pub(crate) fn short(consumer: Consumer, start: Start, incidents: Vec<Incident>) -> Scenario {
    let append = |ms, events| Incident {
        when: When::At(ms),
        what: What::Append { events, odd: false },
    };
    let mut all = vec![append(0, 3), append(3_000, 2), append(6_000, 1)];
    all.extend(incidents);
    Scenario {
        seed: 1,
        climate: Climate {
            consumer,
            start,
            page_limit: 2,
            servers: 2,
            heals_after_ms: 20_000,
            ..Climate::default()
        },
        incidents: all,
    }
}

/// Everything that can go wrong, at each place where it can.
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
    for what in [What::WriteFails, What::WriteLost, What::WriteUnsaid] {
        add(&mut all, 5, When::Write, &what);
    }
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
    ] {
        add(&mut all, 12, |n| When::At(u64::from(n) * 555), &what);
    }
    all
}

/// One of each kind, at each place, to be combined.
pub(crate) fn singles_to_combine() -> Vec<Incident> {
    let mut all = Vec::new();
    let missing = What::Answer(Fault::MissingPosition);
    let unauthorized = What::Answer(Fault::Unauthorized);
    let limited = What::Answer(Fault::RateLimited { seconds: 2 });
    for what in [
        &What::RequestLost,
        &What::AnswerLost,
        &What::Cut,
        &What::Earlier { back: 2 },
        &missing,
        &unauthorized,
        &limited,
    ] {
        add(&mut all, 6, |n| When::Request(Endpoint::Events, n), what);
    }
    for what in [What::AnswerLost, What::Answer(Fault::EmptyList)] {
        add(&mut all, 2, |n| When::Request(Endpoint::Options, n), &what);
    }
    let reconnect = Fault::Signal {
        message: "reconnect".into(),
    };
    for what in [
        What::Cut,
        What::Answer(Fault::NotFound),
        What::Answer(reconnect),
        What::Answer(Fault::UnknownSignal),
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

fn add(all: &mut Vec<Incident>, times: u32, when: impl Fn(u32) -> When, what: &What) {
    all.extend((0..times).map(|n| Incident {
        when: when(n),
        what: what.clone(),
    }));
}
