//! The promise that bounds the requests that bring nothing new.

use box_longpoll::config::Pace;

use crate::watched::{Call, Sent};

/// How much later a request may leave than the engine decided, on a busy machine. The simulation has no such delay, and
/// takes the pace to the letter.
const HELD_UP_MS: u64 = 250;

/// No pace to speak of, so that what is seen is not how often a stream may ask.
pub(crate) fn quick() -> Pace {
    Pace::default()
        .per_second(20_000)
        .per_minute(1_000_000)
        .small_pages_per_minute(1_000_000)
}

/// When requests left that brought nothing new, in milliseconds. A poll brings the events that the pages after it bring.
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

/// At most 5 requests in any second, and 120 in any minute, bring nothing new.
#[track_caller]
pub(crate) fn assert_paced(fruitless: impl IntoIterator<Item = u64>) {
    let left: Vec<u64> = fruitless.into_iter().collect();
    for (most, window) in [(5, 1_000), (120, 60_000)] {
        for (n, start) in left.iter().enumerate() {
            let within = left[n..]
                .iter()
                .take_while(|at| **at + HELD_UP_MS <= start + window)
                .count();
            let times = &left[n..n + within];
            assert!(within <= most, "more than {most} in {window} ms: {times:?}");
        }
    }
}
