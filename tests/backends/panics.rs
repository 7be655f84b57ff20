//! A consumer that panics while it handles a batch.

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
use crate::fake_box::{PATIENCE, TOKEN, builder, fake_box};
use crate::place::{Task, current_thread_tokio, multi_thread_tokio};
use crate::session::ids;

type Transport = Arc<dyn HttpTransport>;

/// In each batch.
const EVENTS: usize = 2;

/// The consumer handles and acknowledges so many batches, and panics in the next.
const HANDLED: usize = 2;

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn x04_a_batch_in_which_a_task_panics_comes_again_and_other_streams_go_on(
    #[case] backend: Backend,
    #[values(current_thread_tokio, multi_thread_tokio)] place: fn(Task),
) {
    place(Box::pin(async move {
        let in_time = tokio::time::timeout(PATIENCE, panics_in_a_task(backend));
        in_time.await.expect("nothing hangs");
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
    let mut of_other = next_ids(&mut other, 3).await;

    let mut updates = subscribe(&client, &file).await;
    let consumer = tokio::spawn(async move {
        for handled in 0.. {
            let Some(Ok(Update::Batch(batch))) = updates.next().await else {
                return;
            };
            assert_ne!(handled, HANDLED, "a fault of the consumer");
            batch.ack().await.unwrap();
        }
    });
    assert!(consumer.await.unwrap_err().is_panic());

    // The file is free at once.
    let mut updates = subscribe(&client, &file).await;
    let mut came = Vec::new();
    let log = server.event_ids(TOKEN);
    while came.len() < log.len() - HANDLED * EVENTS {
        let Some(Ok(Update::Batch(batch))) = updates.next().await else {
            panic!("{:?}", updates.status());
        };
        came.extend(ids(&batch));
        batch.ack().await.unwrap();
    }
    assert_eq!(came, log[HANDLED * EVENTS..]);
    of_other.extend(next_ids(&mut other, 7).await);
    assert_eq!(of_other, log);
}

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
fn x04_a_batch_in_which_a_thread_panics_comes_again_and_other_iterators_go_on(
    #[case] backend: Backend,
) {
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
    let mut of_other: Vec<_> = other.by_ref().take(3).map(id).collect();

    let updates = subscribe();
    assert_panics(move || {
        for (handled, update) in updates.enumerate() {
            let Ok(Update::Batch(batch)) = update else {
                return;
            };
            assert_ne!(handled, HANDLED, "a fault of the consumer");
            batch.ack().unwrap();
        }
    });

    // The file is free at once.
    let mut came = Vec::new();
    for update in subscribe().take((log.len() / EVENTS) - HANDLED) {
        let Ok(Update::Batch(batch)) = update else {
            panic!("{update:?}");
        };
        came.extend(ids(&batch));
        batch.ack().unwrap();
    }
    assert_eq!(came, log[HANDLED * EVENTS..]);
    of_other.extend(other.take(7).map(id));
    assert_eq!(of_other, log);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn x04_a_thread_that_panics_leaves_the_position_before_the_page_that_it_was_in(
    #[case] backend: Backend,
) {
    let server = fake_box(|_| ());
    server.append(TOKEN, 10);
    let log = server.event_ids(TOKEN);
    let client = blocking_client(&server, backend);
    let events = client.events(StartAt::Oldest);
    let handle = events.handle();
    let fatal = log[HANDLED * EVENTS + 1].clone();
    assert_panics(move || {
        for event in events {
            assert_ne!(id(event), fatal, "a fault of the consumer");
        }
    });
    let came: Vec<_> = client.events(handle.resume_at()).take(6).map(id).collect();
    assert_eq!(came, log[HANDLED * EVENTS..]);
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

/// Runs the work on a thread that panics, and has let go of everything in time.
#[track_caller]
fn assert_panics(work: impl FnOnce() + Send + 'static) {
    let (held, let_go) = channel::<()>();
    let thread = thread::spawn(move || {
        let _held = held;
        work();
    });
    assert_eq!(
        let_go.recv_timeout(PATIENCE),
        Err(RecvTimeoutError::Disconnected)
    );
    let panic = thread.join().unwrap_err();
    let said = panic.downcast_ref::<String>().unwrap();
    assert!(said.contains("a fault of the consumer"), "{said}");
}
