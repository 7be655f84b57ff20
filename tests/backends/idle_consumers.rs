//! Consumers that hang or are slow: the faults X05 and X06.

use std::time::Duration;

use box_longpoll::{Batch, StartAt};
use box_longpoll_testkit::{Counters, EmulatorServer};
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
fn x05_one_more_page_is_fetched_while_a_consumer_hangs(
    #[case] backend: Backend,
    #[values(Facade::Async, Facade::Blocking)] facade: Facade,
    #[values(0, 1)] read_ahead: u64,
) {
    let server = fake_box(|_| ());
    server.append(TOKEN, 20 * PAGE);
    let settings = builder(&server).page_limit(100).pace(quick());
    let settings = settings.read_ahead(usize::try_from(read_ahead).unwrap());
    let follow = client(backend, facade, settings);
    let mut stream = follow(StartAt::Oldest);
    let mut received = next_ids(&mut *stream);
    // The consumer hangs while it handles a batch. More pages follow a full one, so no poll opens.
    assert_sends_no_more(&server, (1 + read_ahead, 0), A_WHILE);
    assert_eq!(stream.resume_at(), StartAt::Oldest);

    while received.len() < 20 * PAGE {
        received.extend(next_ids(&mut *stream));
    }
    while server.counters().open_polls == 0 {
        assert!(stream.next_within(Duration::from_millis(5)).is_none());
    }
    let handled = stream.resume_at();
    let (pages, listens) = requested(&server);
    // The consumer hangs while a poll is held.
    server.append(TOKEN, 20 * PAGE);
    let more = match facade {
        Facade::Async => 0,
        Facade::Blocking => {
            // The blocking client's thread finishes what it has started.
            assert!(server.wait_until(PATIENCE, |emulator| {
                emulator.counters().events.requests > pages
            }));
            1 + read_ahead
        }
    };
    assert_sends_no_more(&server, (pages + more, listens), A_WHILE);
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
fn x06_a_page_and_a_poll_are_requested_while_a_batch_is_handled(
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
        let (pages, listens) = requested(&server);
        assert_sends_no_more(&server, (pages + 1, listens + 1), SLOW);
        received.extend(ids(&batch));
        handled = batch.resume_at();
        let served = server.counters().events_served;
        assert!(served <= (received.len() + PAGE) as u64, "{served}");
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

/// Returns the number of pages that were requested, and the number of lists and polls.
fn requested(server: &EmulatorServer) -> (u64, u64) {
    requested_of(&server.counters())
}

fn requested_of(counters: &Counters) -> (u64, u64) {
    let listens = counters.options.requests + counters.realtime.requests;
    (counters.events.requests, listens)
}

/// Asserts that the server gets no more pages, and no more lists and polls, than these within
/// `time`.
#[track_caller]
fn assert_sends_no_more(server: &EmulatorServer, most: (u64, u64), time: Duration) {
    let exceeds = server.wait_until(time, |emulator| {
        let (pages, listens) = requested_of(&emulator.counters());
        pages > most.0 || listens > most.1
    });
    assert!(!exceeds, "{:?}", server.requests().last());
}
