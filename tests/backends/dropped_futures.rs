//! A consumer that drops the future of `next` whenever it has polled it once.

use std::sync::Arc;

use box_longpoll::{AccessToken, Batch, BatchStream, HttpTransport, StartAt};
use box_longpoll_testkit::{EmulatorServer, Endpoint, Fault};
use futures_lite::future::{poll_once, yield_now};
use rstest::rstest;

use crate::backend::Backend;
use crate::fake_box::{TOKEN, builder, fake_box};
use crate::pace::quick;
use crate::session::{Asked, asked, ids, in_time, until_it_listens};

/// What becomes of a future that is not ready yet.
#[derive(Clone, Copy)]
enum Unready {
    Kept,
    Dropped,
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn x07_dropping_every_future_of_next_loses_nothing_and_asks_for_nothing_more(
    #[case] backend: Backend,
) {
    let [kept, dropped] = [Unready::Kept, Unready::Dropped].map(|unready| {
        let transport = backend.transport();
        let session = in_time(&transport, session(transport.clone(), unready));
        backend.runtime().block_on(session)
    });
    assert_eq!(dropped, kept);
}

/// Catches up, listens, and meets a failing API and a server that sends it away. Gives what it asked for.
async fn session(transport: Arc<dyn HttpTransport>, unready: Unready) -> Asked {
    let server = fake_box(|_| ());
    server.append(TOKEN, 2_000);
    let token = AccessToken::new(TOKEN).unwrap();
    let builder = builder(&server).pace(quick());
    let client = builder.build(transport, token).unwrap();
    let mut batches = client.batches(StartAt::Oldest);
    let mut came = follow(&mut batches, unready, 1_000).await;
    server.queue_fault(Endpoint::Events, Fault::ServerError, 1);
    came.extend(follow(&mut batches, unready, 1_000).await);
    // The first two polls find out whether the server honors positions.
    listen(&mut batches, unready, &server, 3).await;
    server.append(TOKEN, 700);
    came.extend(follow(&mut batches, unready, 700).await);
    listen(&mut batches, unready, &server, 4).await;
    let reconnect = Fault::Signal {
        message: "reconnect".into(),
    };
    assert_eq!(server.interrupt_polls(&reconnect), 1);
    listen(&mut batches, unready, &server, 5).await;
    server.append(TOKEN, 1);
    came.extend(follow(&mut batches, unready, 1).await);
    listen(&mut batches, unready, &server, 6).await;
    assert!(came == server.event_ids(TOKEN), "{} came", came.len());
    asked(&server)
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
    let mut came = Vec::new();
    while came.len() < count {
        came.extend(ids(&next(batches, unready).await));
    }
    came
}

async fn listen(
    batches: &mut BatchStream<Arc<dyn HttpTransport>>,
    unready: Unready,
    server: &EmulatorServer,
    polls: u64,
) {
    until_it_listens(server, polls, next(batches, unready)).await;
}
