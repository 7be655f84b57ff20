//! The blocking facade over each backend.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use box_longpoll::blocking::{LongPollClient, Timed};
use box_longpoll::protocol::Signal;
use box_longpoll::{AccessToken, HttpTransport, StartAt, Status};
use box_longpoll_testkit::EmulatorServer;
use rstest::rstest;

use crate::backend::Backend;
use crate::executors::{Task, current_thread_tokio, in_smol, multi_thread_tokio};
use crate::fake_box::{PATIENCE, TOKEN, builder, fake_box};

type Client = LongPollClient<Arc<dyn HttpTransport>>;

fn client(server: &EmulatorServer, backend: Backend) -> Client {
    over(server, backend.transport())
}

fn over(server: &EmulatorServer, transport: Arc<dyn HttpTransport>) -> Client {
    let token = AccessToken::new(TOKEN).unwrap();
    builder(server).build_blocking(transport, token).unwrap()
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn the_three_calls_follow_an_account_by_hand(#[case] backend: Backend) {
    let server = fake_box(|_| ());
    let client = client(&server, backend);

    let now = client.fetch(StartAt::Now).unwrap().next_position.unwrap();
    let servers = client.realtime_servers().unwrap();
    server.append(TOKEN, 3);
    assert_eq!(client.listen(&servers[0], &now).unwrap(), Signal::NewChange);
    assert_eq!(client.fetch(now).unwrap().events.len(), 3);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn a_change_arrives_while_the_poll_is_held(#[case] backend: Backend) {
    let server = fake_box(|_| ());
    let mut events = client(&server, backend).events(StartAt::Now);
    let source = server.clone();
    let change = thread::spawn(move || {
        assert!(source.wait_until(PATIENCE, |emulator| emulator.counters().open_polls == 1));
        source.append(TOKEN, 1);
    });
    let event = events.next().unwrap().unwrap();
    assert_eq!(event.id(), Some(server.event_ids(TOKEN)[0].as_str()));
    change.join().unwrap();
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn an_elapsed_wait_loses_nothing(#[case] backend: Backend) {
    let server = fake_box(|_| ());
    let mut events = client(&server, backend).events(StartAt::Oldest);
    let mut received = Vec::new();
    let mut elapsed = 0;
    while received.len() < 200 {
        if received.len() == server.event_ids(TOKEN).len() {
            server.append(TOKEN, 50);
        }
        match events.next_timeout(Duration::from_micros(200)) {
            Timed::Item(event) => received.push(event.unwrap().id().unwrap().to_owned()),
            Timed::Elapsed => elapsed += 1,
            Timed::Ended => panic!("the stream ended"),
        }
    }
    assert!(elapsed > 0);
    assert_eq!(received, server.event_ids(TOKEN));
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn a_handle_stops_a_waiting_iterator_from_another_thread(#[case] backend: Backend) {
    let server = fake_box(|settings| settings.hold_ms = 3_600_000);
    let mut events = client(&server, backend).events(StartAt::Now);
    let mut handle = events.handle();
    let stopper = thread::spawn(move || {
        while !matches!(
            handle
                .changed_blocking()
                .expect("the stream has not stopped"),
            Status::Listening { .. }
        ) {}
        handle.stop();
    });
    let next = events.next_timeout(PATIENCE);
    assert!(matches!(next, Timed::Ended), "{next:?}");
    stopper.join().unwrap();
    assert!(events.next().is_none(), "the stream stays ended");
    assert!(matches!(
        events.status(),
        Status::Stopped { because: None, .. }
    ));
    assert!(events.resume_at().position().is_some());
}

/// Proves that a batch that was fetched before the stop is not delivered after it.
#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn stop_withholds_a_batch_that_nobody_waited_for(#[case] backend: Backend) {
    let server = fake_box(|_| ());
    server.append(TOKEN, 2);
    let mut batches = client(&server, backend).batches(StartAt::Oldest);
    let mut handle = batches.handle();
    assert!(matches!(
        batches.next_timeout(Duration::ZERO),
        Timed::Elapsed
    ));
    while handle
        .changed_blocking()
        .expect("the stream has not stopped")
        != Status::Delivering
    {}
    handle.stop();
    assert!(batches.next().is_none());
    assert!(batches.next().is_none(), "the stream stays ended");
    assert_eq!(
        handle.resume_at().position(),
        None,
        "no event was delivered"
    );
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn stopped_iterator_gives_nothing_more_of_its_page(#[case] backend: Backend) {
    let server = fake_box(|_| ());
    server.append(TOKEN, 2);
    let mut events = client(&server, backend).events(StartAt::Oldest);
    assert!(events.next().is_some());
    events.handle().stop();
    assert!(events.next().is_none());
    assert_eq!(
        events.resume_at().position(),
        None,
        "one event of the page was not handled"
    );
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn a_transport_serves_one_client_after_another(#[case] backend: Backend) {
    let server = fake_box(|_| ());
    let transport = backend.transport();
    server.append(TOKEN, 1);
    for _ in 0..3 {
        let client = over(&server, transport.clone());
        let event = client.events(StartAt::Oldest).next().unwrap().unwrap();
        assert!(event.id().is_some());
    }
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn many_iterators_share_the_thread(#[case] backend: Backend) {
    const ITERATORS: usize = 20;
    let server = fake_box(|_| ());
    let client = client(&server, backend);
    server.append(TOKEN, 1_500);
    let logs: Vec<Vec<String>> = thread::scope(|scope| {
        let followers: Vec<_> = (0..ITERATORS)
            .map(|_| {
                let events = client.events(StartAt::Oldest);
                scope.spawn(|| {
                    let ids = events.map(|event| event.unwrap().id().unwrap().to_owned());
                    ids.take(1_500).collect()
                })
            })
            .collect();
        let logs = followers.into_iter().map(|thread| thread.join().unwrap());
        logs.collect()
    });
    let log = server.event_ids(TOKEN);
    assert!(logs.iter().all(|received| *received == log));
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn blocking_client_works_inside_an_async_runtime(
    #[case] backend: Backend,
    #[values(current_thread_tokio, multi_thread_tokio, in_smol)] executor: fn(Task),
) {
    executor(Box::pin(async move {
        let server = fake_box(|_| ());
        server.append(TOKEN, 10);
        let client = client(&server, backend);
        assert_eq!(client.fetch(StartAt::Oldest).unwrap().events.len(), 10);
        assert_eq!(client.events(StartAt::Oldest).take(10).count(), 10);
    }));
}
