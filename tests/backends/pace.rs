//! The promise that a stream asks in vain no more than so often.

use box_longpoll::Pace;
use box_longpoll_testkit::{Endpoint, RequestRecord};

/// How much longer one request may be on its way than another: a new connection and a busy machine hold it up. The
/// simulation, where nothing does, takes the pace to the letter.
const HELD_UP_MS: u64 = 250;

/// No pace to speak of, so that what is seen is not how often a stream may ask.
pub(crate) fn quick() -> Pace {
    Pace::default()
        .per_second(20_000)
        .per_minute(1_000_000)
        .small_pages_per_minute(1_000_000)
}

/// When a stream's requests came that brought nothing new, in milliseconds. A poll has brought what it told of.
pub(crate) fn in_vain(requests: &[RequestRecord]) -> impl Iterator<Item = u64> {
    requests
        .iter()
        .enumerate()
        .filter(|(n, request)| {
            let told_of = match request.endpoint {
                Endpoint::Realtime => requests[n + 1..]
                    .iter()
                    .take_while(|later| later.endpoint == Endpoint::Events)
                    .any(|page| page.new_events > 0),
                _ => false,
            };
            request.new_events == 0 && !told_of
        })
        .map(|(_, request)| request.at_ms)
}

/// At most 5 requests in any second, and 120 in any minute, bring nothing new.
#[track_caller]
pub(crate) fn assert_paced(in_vain: impl IntoIterator<Item = u64>) {
    let vain: Vec<u64> = in_vain.into_iter().collect();
    for (most, window) in [(5, 1_000), (120, 60_000)] {
        for (n, start) in vain.iter().enumerate() {
            let within = vain[n..]
                .iter()
                .take_while(|at| **at + HELD_UP_MS <= start + window)
                .count();
            let times = &vain[n..n + within];
            assert!(within <= most, "more than {most} in {window} ms: {times:?}");
        }
    }
}
