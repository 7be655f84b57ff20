//! A consumer that hangs, or is slow.

use std::time::Duration;

use box_longpoll::{Batch, StartAt};
use box_longpoll_testkit::EmulatorServer;
use rstest::rstest;

use crate::backend::Backend;
use crate::fake_box::{PATIENCE, TOKEN, builder, fake_box};
use crate::follower::{Facade, Follower, client};
use crate::pace::quick;
use crate::session::ids;

/// Events of a page, which is a batch.
const PAGE: usize = 100;

/// Longer than a client takes to send its next request, if it does.
const A_WHILE: Duration = Duration::from_millis(300);

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn x05_while_a_consumer_hangs_at_most_a_page_is_fetched_and_the_position_stays(
    #[case] backend: Backend,
    #[values(Facade::Async, Facade::Blocking)] facade: Facade,
) {
    let server = fake_box(|_| ());
    server.append(TOKEN, 20 * PAGE);
    let settings = builder(&server).page_limit(100).pace(quick());
    let follow = client(backend, facade, settings);
    let mut stream = follow(StartAt::Oldest);
    let mut came = next_ids(&mut *stream);
    // It hangs with a batch in its hands.
    assert_asks_nothing(&server, A_WHILE);
    assert_eq!(came.len() as u64, server.counters().events_served);
    assert_eq!(stream.resume_at().position(), None);

    while came.len() < 20 * PAGE {
        came.extend(next_ids(&mut *stream));
    }
    while server.counters().open_polls == 0 {
        assert!(stream.next_within(Duration::from_millis(5)).is_none());
    }
    let handled = stream.resume_at();
    let served = server.counters().events_served;
    // It hangs while it listens.
    server.append(TOKEN, 20 * PAGE);
    if let Facade::Blocking = facade {
        // A thread goes on with what was begun.
        assert!(server.wait_until(PATIENCE, |emulator| {
            emulator.counters().events_served > served
        }));
    }
    assert_asks_nothing(&server, A_WHILE);
    assert!(server.counters().events_served <= served + PAGE as u64);
    assert_eq!(stream.resume_at(), handled);

    while came.len() < 40 * PAGE {
        came.extend(next_ids(&mut *stream));
    }
    assert_eq!(came, server.event_ids(TOKEN));
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn x06_while_a_slow_consumer_handles_a_batch_nothing_is_asked_for(
    #[case] backend: Backend,
    #[values(Facade::Async, Facade::Blocking)] facade: Facade,
) {
    const SLOW: Duration = Duration::from_millis(20);
    let server = fake_box(|settings| settings.rate = 1_000.0);
    server.append(TOKEN, PAGE);
    let settings = builder(&server).page_limit(100).pace(quick());
    let follow = client(backend, facade, settings);
    let mut stream = follow(StartAt::Oldest);
    let mut came = Vec::new();
    let mut handled = StartAt::Oldest;
    for _ in 0..30 {
        let batch = next_batch(&mut *stream);
        assert_eq!(stream.resume_at(), handled, "the end of the one before");
        assert_asks_nothing(&server, SLOW);
        came.extend(ids(&batch));
        handled = batch.resume_at();
        assert_eq!(server.counters().events_served, came.len() as u64);
    }
    // A poll, the page that it told of, and an empty one; now and then a list of servers.
    let asked = server.counters().total;
    assert!(asked.requests < 4 * 30, "{asked:?}");
    assert_eq!(came, server.event_ids(TOKEN)[..came.len()]);
}

#[track_caller]
fn next_batch(stream: &mut dyn Follower) -> Batch {
    let next = stream.next_within(PATIENCE).expect("something comes");
    next.unwrap()
}

#[track_caller]
fn next_ids(stream: &mut dyn Follower) -> Vec<String> {
    ids(&next_batch(stream))
}

#[track_caller]
fn assert_asks_nothing(server: &EmulatorServer, time: Duration) {
    let asked = server.counters().total.requests;
    let asks = server.wait_until(time, |emulator| emulator.counters().total.requests > asked);
    assert!(!asks, "{:?}", server.requests().last());
}
