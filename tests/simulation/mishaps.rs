//! What can go wrong with a request.

use std::collections::BTreeMap;

use box_longpoll_testkit::{Endpoint, Fault};
use fastrand::Rng;

use crate::scenario::What;

/// What can go wrong with a request, with ordinary figures.
pub(crate) fn all_with_a_request(endpoint: Endpoint) -> Vec<What> {
    let faults = Fault::all()
        .into_iter()
        .filter(|fault| fault.applies_to(endpoint));
    let mut all: Vec<What> = faults.map(|fault| What::Answer(small(fault))).collect();
    all.push(What::Answer(busy(7)));
    all.extend([
        What::Refused,
        What::NoTls,
        What::Failed,
        What::RequestLost,
        What::AnswerLost,
        What::Late { ms: 3_000 },
        What::Late { ms: 90_000 },
        What::Twice,
        What::Cut,
        What::Garbled { percent: 0 },
        What::Garbled { percent: 50 },
        What::TooLarge,
    ]);
    if endpoint == Endpoint::Events {
        all.push(What::Earlier { back: 3 });
    }
    all
}

/// One of these, with figures by chance.
pub(crate) fn with_a_request(rng: &mut Rng, endpoint: Endpoint) -> What {
    let all = all_with_a_request(endpoint);
    match all[rng.usize(..all.len())].clone() {
        What::Answer(Fault::RateLimited { .. }) => What::Answer(Fault::RateLimited {
            seconds: seconds(rng),
        }),
        What::Answer(Fault::RateLimitedDate { .. }) => What::Answer(Fault::RateLimitedDate {
            seconds: seconds(rng),
        }),
        What::Late { .. } => What::Late {
            ms: rng.u64(..120_000),
        },
        What::Garbled { .. } => What::Garbled {
            percent: rng.u8(..100),
        },
        What::Earlier { .. } => What::Earlier {
            back: rng.usize(1..30),
        },
        other => other,
    }
}

fn seconds(rng: &mut Rng) -> u64 {
    [0, 1, 7, 90, 4_000][rng.usize(..5)]
}

/// 503 with the time after which to come back.
fn busy(seconds: u64) -> Fault {
    Fault::Status {
        status: 503,
        headers: BTreeMap::from([("Retry-After".into(), seconds.to_string())]),
        body: String::new(),
    }
}

/// Larger than a signal may be, and no strain on the test.
fn small(fault: Fault) -> Fault {
    match fault {
        Fault::HugeBody { .. } => Fault::HugeBody { bytes: 70_000 },
        Fault::CompressedBody { .. } => Fault::CompressedBody { bytes: 70_000 },
        other => other,
    }
}
