//! Consumers that hang or are slow: the faults X05 and X06.

use std::time::Duration;

use box_longpoll::{Batch, StartAt};
use box_longpoll_testkit::EmulatorServer;
use rstest::rstest;

use crate::backend::Backend;
use crate::fake_box::{PATIENCE, TOKEN, builder, fake_box};
use crate::follower::{Facade, Follower, client};
use crate::pace::quick;
use crate::session::ids;

/// The number of events in a page, and so in a batch.
const PAGE: usize = 100;

/// Longer than a client needs to send its next request.
const A_WHILE: Duration = Duration::from_millis(300);

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn x05_at_most_a_page_is_fetched_while_a_consumer_hangs(
    #[case] backend: Backend,
    #[values(Facade::Async, Facade::Blocking)] facade: Facade,
) {
    let server = fake_box(|_| ());
    server.append(TOKEN, 20 * PAGE);
    let settings = builder(&server).page_limit(100).pace(quick());
    let follow = client(backend, facade, settings);
    let mut stream = follow(StartAt::Oldest);
    let mut received = next_ids(&mut *stream);
    // The consumer hangs while it handles a batch.
    assert_sends_nothing(&server, A_WHILE);
    assert_eq!(received.len() as u64, server.counters().events_served);
    assert_eq!(stream.resume_at().position(), None);

    while received.len() < 20 * PAGE {
        received.extend(next_ids(&mut *stream));
    }
    while server.counters().open_polls == 0 {
        assert!(stream.next_within(Duration::from_millis(5)).is_none());
    }
    let handled = stream.resume_at();
    let served = server.counters().events_served;
    // The consumer hangs while a poll is held.
    server.append(TOKEN, 20 * PAGE);
    if let Facade::Blocking = facade {
        // The blocking client's thread finishes what it has started.
        assert!(server.wait_until(PATIENCE, |emulator| {
            emulator.counters().events_served > served
        }));
    }
    assert_sends_nothing(&server, A_WHILE);
    assert!(server.counters().events_served <= served + PAGE as u64);
    assert_eq!(stream.resume_at(), handled);

    while received.len() < 40 * PAGE {
        received.extend(next_ids(&mut *stream));
    }
    assert_eq!(received, server.event_ids(TOKEN));
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn x06_nothing_is_requested_while_a_batch_is_handled(
    #[case] backend: Backend,
    #[values(Facade::Async, Facade::Blocking)] facade: Facade,
) {
    const SLOW: Duration = Duration::from_millis(20);
    let server = fake_box(|settings| settings.rate = 1_000.0);
    server.append(TOKEN, PAGE);
    let settings = builder(&server).page_limit(100).pace(quick());
    let follow = client(backend, facade, settings);
    let mut stream = follow(StartAt::Oldest);
    let mut received = Vec::new();
    let mut handled = StartAt::Oldest;
    for _ in 0..30 {
        let batch = next_batch(&mut *stream);
        assert_eq!(
            stream.resume_at(),
            handled,
            "the position is the end of the batch before"
        );
        assert_sends_nothing(&server, SLOW);
        received.extend(ids(&batch));
        handled = batch.resume_at();
        assert_eq!(server.counters().events_served, received.len() as u64);
    }
    // Each batch takes a poll, its page and an empty page, and a few take a list of servers.
    let requested = server.counters().total;
    assert!(requested.requests < 4 * 30, "{requested:?}");
    assert_eq!(received, server.event_ids(TOKEN)[..received.len()]);
}

#[track_caller]
fn next_batch(stream: &mut dyn Follower) -> Batch {
    let next = stream
        .next_within(PATIENCE)
        .expect("a batch arrives in time");
    next.unwrap()
}

#[track_caller]
fn next_ids(stream: &mut dyn Follower) -> Vec<String> {
    ids(&next_batch(stream))
}

/// Asserts that the server gets no request within `time`.
#[track_caller]
fn assert_sends_nothing(server: &EmulatorServer, time: Duration) {
    let requested = server.counters().total.requests;
    let sends = server.wait_until(time, |emulator| {
        emulator.counters().total.requests > requested
    });
    assert!(!sends, "{:?}", server.requests().last());
}
