//! A consumer that polls each future of `next` once and then drops it: the fault X07.

use std::sync::Arc;

use box_longpoll::{AccessToken, Batch, BatchStream, HttpTransport, StartAt};
use box_longpoll_testkit::{EmulatorServer, Endpoint, Fault};
use futures_lite::future::{poll_once, yield_now};
use rstest::rstest;

use crate::backend::Backend;
use crate::fake_box::{TOKEN, builder, fake_box};
use crate::pace::quick;
use crate::session::{Requested, ids, in_time, requested, until_listening};

/// The treatment of a future that is not ready after the first poll.
#[derive(Clone, Copy)]
enum Unready {
    Kept,
    Dropped,
}

/// Proves that the stream delivers every event, and that its requests are the same as without
/// drops.
#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn x07_dropping_every_future_of_next_loses_nothing(#[case] backend: Backend) {
    let [kept, dropped] = [Unready::Kept, Unready::Dropped].map(|unready| {
        let transport = backend.transport();
        let session = in_time(&transport, session(transport.clone(), unready));
        backend.runtime().block_on(session)
    });
    assert_eq!(dropped, kept);
}

/// Runs a stream that catches up, listens, and meets a failing API and the signal `reconnect`.
/// Returns its requests.
async fn session(transport: Arc<dyn HttpTransport>, unready: Unready) -> Requested {
    let server = fake_box(|_| ());
    server.append(TOKEN, 1_000);
    let token = AccessToken::new(TOKEN).unwrap();
    let builder = builder(&server).pace(quick());
    let client = builder.build(transport, token).unwrap();
    let mut batches = client.batches(StartAt::Oldest);
    let mut received = follow(&mut batches, unready, 1_000).await;
    // The first two polls find out whether the server honors positions.
    listen(&mut batches, unready, &server, 3).await;
    server.queue_fault(Endpoint::Events, Fault::ServerError, 1);
    server.append(TOKEN, 1_700);
    received.extend(follow(&mut batches, unready, 1_700).await);
    listen(&mut batches, unready, &server, 4).await;
    let reconnect = Fault::Signal {
        message: "reconnect".into(),
    };
    assert_eq!(server.interrupt_polls(&reconnect), 1);
    listen(&mut batches, unready, &server, 5).await;
    server.append(TOKEN, 1);
    received.extend(follow(&mut batches, unready, 1).await);
    listen(&mut batches, unready, &server, 6).await;
    assert!(
        received == server.event_ids(TOKEN),
        "{} events",
        received.len()
    );
    requested(&server)
}

async fn next(batches: &mut BatchStream<Arc<dyn HttpTransport>>, unready: Unready) -> Batch {
    loop {
        let next = match unready {
            Unready::Kept => Some(batches.next().await),
            Unready::Dropped => poll_once(batches.next()).await,
        };
        if let Some(batch) = next {
            return batch.unwrap().unwrap();
        }
        yield_now().await;
    }
}

async fn follow(
    batches: &mut BatchStream<Arc<dyn HttpTransport>>,
    unready: Unready,
    count: usize,
) -> Vec<String> {
    let mut received = Vec::new();
    while received.len() < count {
        received.extend(ids(&next(batches, unready).await));
    }
    received
}

async fn listen(
    batches: &mut BatchStream<Arc<dyn HttpTransport>>,
    unready: Unready,
    server: &EmulatorServer,
    polls: u64,
) {
    let handle = batches.handle();
    until_listening(server, handle, polls, next(batches, unready)).await;
}
