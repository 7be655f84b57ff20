//! The faults of a request.
//!
//! The list combines the testkit's faults with those of the simulated network. It doesn't apply
//! them: `network` does. Start at [`all_with_a_request`].

use std::collections::BTreeMap;

use box_longpoll_testkit::{Endpoint, Fault};
use fastrand::Rng;

use crate::scenario::What;

/// Returns all faults of a request to an endpoint, with fixed figures.
pub(crate) fn all_with_a_request(endpoint: Endpoint) -> Vec<What> {
    let faults = Fault::all()
        .into_iter()
        .filter(|fault| fault.applies_to(endpoint));
    let mut all: Vec<What> = faults.map(|fault| What::Response(small(fault))).collect();
    all.push(What::Response(busy(7)));
    all.extend([
        What::Refused,
        What::NoTls,
        What::Failed,
        What::RequestLost,
        What::ResponseLost,
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

/// Returns a random fault of a request, with random figures.
pub(crate) fn with_a_request(rng: &mut Rng, endpoint: Endpoint) -> What {
    let all = all_with_a_request(endpoint);
    match all[rng.usize(..all.len())].clone() {
        What::Response(Fault::RateLimited { .. }) => What::Response(Fault::RateLimited {
            seconds: seconds(rng),
        }),
        What::Response(Fault::RateLimitedDate { .. }) => What::Response(Fault::RateLimitedDate {
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

/// Returns a 503 with a `Retry-After`.
fn busy(seconds: u64) -> Fault {
    Fault::Status {
        status: 503,
        headers: BTreeMap::from([("Retry-After".into(), seconds.to_string())]),
        body: String::new(),
    }
}

/// Reduces a huge body to a size that is still too large for a signal, but cheap for the test.
fn small(fault: Fault) -> Fault {
    match fault {
        Fault::HugeBody { .. } => Fault::HugeBody { bytes: 70_000 },
        Fault::CompressedBody { .. } => Fault::CompressedBody { bytes: 70_000 },
        other => other,
    }
}
