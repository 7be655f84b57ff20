//! The pace: the limit of requests without a new event.

use box_longpoll::config::Pace;

use crate::watched::{Call, Sent};

/// The delay between the engine's decision to send a request and the request, at most, on a busy
/// machine. The simulation has no such delay and checks the pace exactly.
const SENT_LATE_MS: u64 = 250;

/// Returns a pace that is too high to delay any request of a test.
pub(crate) fn quick() -> Pace {
    Pace::default()
        .per_second(20_000)
        .per_minute(1_000_000)
        .small_pages_per_minute(1_000_000)
}

/// Returns the times of the requests that brought no new event, in milliseconds.
///
/// A poll counts as a request with new events if the pages directly after it have new events.
pub(crate) fn fruitless(sent: &[Sent]) -> impl Iterator<Item = u64> {
    let brings_events = |n: usize| match sent[n].call {
        Call::List => false,
        Call::Fetch => sent[n].new_events > 0,
        Call::Listen => sent[n + 1..]
            .iter()
            .take_while(|later| later.call == Call::Fetch)
            .any(|page| page.new_events > 0),
    };
    let fruitless = (0..sent.len()).filter(move |n| !brings_events(*n));
    fruitless.map(|n| sent[n].at_ms)
}

/// Asserts the default pace: at most 5 requests without a new event in any second, and 120 in any
/// minute.
#[track_caller]
pub(crate) fn assert_paced(fruitless: impl IntoIterator<Item = u64>) {
    let left: Vec<u64> = fruitless.into_iter().collect();
    for (most, window) in [(5, 1_000), (120, 60_000)] {
        for (n, start) in left.iter().enumerate() {
            let within = left[n..]
                .iter()
                .take_while(|at| **at + SENT_LATE_MS <= start + window)
                .count();
            let times = &left[n..n + within];
            assert!(
                within <= most,
                "more than {most} requests in {window} ms: {times:?}"
            );
        }
    }
}
