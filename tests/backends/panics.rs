//! Consumers that panic while they handle a batch: the fault X04.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;

use box_longpoll::checkpoint::CheckpointFile;
use box_longpoll::{
    AccessToken, Error, Event, EventStream, HttpTransport, LongPollClient, StartAt, Subscription,
    Update, blocking,
};
use box_longpoll_testkit::EmulatorServer;
use futures_lite::StreamExt as _;
use rstest::rstest;

use crate::backend::Backend;
use crate::executors::{Task, current_thread_tokio, multi_thread_tokio};
use crate::fake_box::{PATIENCE, TOKEN, builder, fake_box};
use crate::session::ids;

type Transport = Arc<dyn HttpTransport>;

/// The number of events in each batch.
const EVENTS: usize = 2;

/// The number of batches that the consumer acknowledges before it panics.
const HANDLED: usize = 2;

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn x04_a_batch_is_delivered_again_after_a_task_panics(
    #[case] backend: Backend,
    #[values(current_thread_tokio, multi_thread_tokio)] executor: fn(Task),
) {
    executor(Box::pin(async move {
        let work = tokio::time::timeout(PATIENCE, panics_in_a_task(backend));
        work.await.expect("the test ends in time");
    }));
}

async fn panics_in_a_task(backend: Backend) {
    let server = fake_box(|_| ());
    server.append(TOKEN, 10);
    let token = AccessToken::new(TOKEN).unwrap();
    let client = builder(&server)
        .page_limit(2)
        .build(backend.transport(), token);
    let client = client.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("checkpoint");
    let mut other = client.events(StartAt::Oldest);
    let mut received_by_other = next_ids(&mut other, 3).await;

    let mut updates = subscribe(&client, &file).await;
    let consumer = tokio::spawn(async move {
        for handled in 0.. {
            let Some(Ok(Update::Batch(batch))) = updates.next().await else {
                return;
            };
            assert_ne!(handled, HANDLED, "the consumer fails on purpose");
            batch.ack().await.unwrap();
        }
    });
    assert!(consumer.await.unwrap_err().is_panic());

    // The checkpoint file is unlocked at once.
    let mut updates = subscribe(&client, &file).await;
    let mut received = Vec::new();
    let log = server.event_ids(TOKEN);
    while received.len() < log.len() - HANDLED * EVENTS {
        let Some(Ok(Update::Batch(batch))) = updates.next().await else {
            panic!("{:?}", updates.status());
        };
        received.extend(ids(&batch));
        batch.ack().await.unwrap();
    }
    assert_eq!(received, log[HANDLED * EVENTS..]);
    received_by_other.extend(next_ids(&mut other, 7).await);
    assert_eq!(received_by_other, log);
}

/// Starts a subscription, and checks that it begins with `Started`.
async fn subscribe(client: &LongPollClient<Transport>, file: &Path) -> Subscription<Transport> {
    let store = CheckpointFile::open(file).unwrap();
    let mut subscription = client.subscribe(store, "ada", StartAt::Oldest);
    let started = subscription.next().await;
    assert!(
        matches!(started, Some(Ok(Update::Started(_)))),
        "{started:?}"
    );
    subscription
}

async fn next_ids(events: &mut EventStream<Transport>, count: usize) -> Vec<String> {
    let events = events.take(count);
    let ids = events.map(|event| event.unwrap().id().unwrap().to_owned());
    ids.collect().await
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn x04_a_batch_is_delivered_again_after_a_thread_panics(#[case] backend: Backend) {
    let server = fake_box(|_| ());
    server.append(TOKEN, 10);
    let log = server.event_ids(TOKEN);
    let client = blocking_client(&server, backend);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("checkpoint");
    let subscribe = || {
        let store = CheckpointFile::open(&file).unwrap();
        let mut updates = client.subscribe(store, "ada", StartAt::Oldest);
        let started = updates.next();
        assert!(
            matches!(started, Some(Ok(Update::Started(_)))),
            "{started:?}"
        );
        updates
    };
    let mut other = client.events(StartAt::Oldest);
    let mut received_by_other: Vec<_> = other.by_ref().take(3).map(id).collect();

    let updates = subscribe();
    assert_panics(move || {
        for (handled, update) in updates.enumerate() {
            let Ok(Update::Batch(batch)) = update else {
                return;
            };
            assert_ne!(handled, HANDLED, "the consumer fails on purpose");
            batch.ack().unwrap();
        }
    });

    // The checkpoint file is unlocked at once.
    let mut received = Vec::new();
    for update in subscribe().take((log.len() / EVENTS) - HANDLED) {
        let Ok(Update::Batch(batch)) = update else {
            panic!("{update:?}");
        };
        received.extend(ids(&batch));
        batch.ack().unwrap();
    }
    assert_eq!(received, log[HANDLED * EVENTS..]);
    received_by_other.extend(other.take(7).map(id));
    assert_eq!(received_by_other, log);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn x04_position_stays_before_the_page_when_a_thread_panics(#[case] backend: Backend) {
    let server = fake_box(|_| ());
    server.append(TOKEN, 10);
    let log = server.event_ids(TOKEN);
    let client = blocking_client(&server, backend);
    let events = client.events(StartAt::Oldest);
    let handle = events.handle();
    let fatal = log[HANDLED * EVENTS + 1].clone();
    assert_panics(move || {
        for event in events {
            assert_ne!(id(event), fatal, "the consumer fails on purpose");
        }
    });
    let received: Vec<_> = client.events(handle.resume_at()).take(6).map(id).collect();
    assert_eq!(received, log[HANDLED * EVENTS..]);
}

fn blocking_client(
    server: &EmulatorServer,
    backend: Backend,
) -> blocking::LongPollClient<Transport> {
    let token = AccessToken::new(TOKEN).unwrap();
    let builder = builder(server).page_limit(2);
    builder.build_blocking(backend.transport(), token).unwrap()
}

#[track_caller]
fn id(event: Result<Event, Error>) -> String {
    event.unwrap().id().unwrap().to_owned()
}

/// Asserts that `work` panics, and that its thread has dropped everything in time.
#[track_caller]
fn assert_panics(work: impl FnOnce() + Send + 'static) {
    let (held, is_dropped) = channel::<()>();
    let thread = thread::spawn(move || {
        let _held = held;
        work();
    });
    assert_eq!(
        is_dropped.recv_timeout(PATIENCE),
        Err(RecvTimeoutError::Disconnected)
    );
    let panic = thread.join().unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(
        message.contains("the consumer fails on purpose"),
        "{message}"
    );
}
