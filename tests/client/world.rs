//! A fake Box, and a client with the reqwest transport that follows it.

use std::future::Future;
use std::sync::Arc;

use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{
    AccessToken, BatchStream, Event, EventStream, HttpTransport, LongPollClient,
    LongPollClientBuilder, StartAt,
};
use box_longpoll_testkit::{Emulator, EmulatorServer};

pub(crate) use crate::fake_box::{PATIENCE, TOKEN, builder, fake_box};

/// The client of most tests.
pub(crate) type Client = LongPollClient<ReqwestTransport>;

/// Returns a client with the default settings for tests.
pub(crate) fn client(server: &EmulatorServer) -> Client {
    build(builder(server))
}

/// Returns a client with other settings.
pub(crate) fn build(builder: LongPollClientBuilder) -> Client {
    builder
        .build(transport(), AccessToken::new(TOKEN).unwrap())
        .unwrap()
}

pub(crate) fn transport() -> ReqwestTransport {
    ReqwestTransport::new().unwrap()
}

/// Returns the output of `work`. Panics if it takes longer than [`PATIENCE`].
#[track_caller]
pub(crate) fn in_time<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        tokio::time::timeout(PATIENCE, work)
            .await
            .unwrap_or_else(|_| panic!("{caller}: no output within {PATIENCE:?}"))
    }
}

/// Returns the next event of a stream.
pub(crate) async fn next_event<T: HttpTransport>(events: &mut EventStream<T>) -> Event {
    in_time(events.next())
        .await
        .expect("the stream continues")
        .expect("an event")
}

/// Returns the ids of the next `count` events.
pub(crate) async fn next_ids<T: HttpTransport>(
    events: &mut EventStream<T>,
    count: usize,
) -> Vec<String> {
    let mut ids = Vec::new();
    while ids.len() < count {
        ids.push(id(&next_event(events).await));
    }
    ids
}

/// Returns the id of an event of the emulator.
pub(crate) fn id(event: &Event) -> String {
    event
        .id()
        .expect("the emulator's events have ids")
        .to_owned()
}

/// Waits until `holds` returns `true` for the emulator. Panics after [`PATIENCE`].
#[track_caller]
pub(crate) fn holds<F>(server: &Arc<EmulatorServer>, holds: F) -> impl Future<Output = ()> + use<F>
where
    F: FnMut(&Emulator) -> bool + Send + 'static,
{
    let caller = std::panic::Location::caller();
    let server = Arc::clone(server);
    async move {
        let held = tokio::task::spawn_blocking(move || server.wait_until(PATIENCE, holds)).await;
        assert!(
            held.unwrap(),
            "{caller}: the condition does not hold after {PATIENCE:?}"
        );
    }
}

/// Drives the stream until `done` completes. Panics if a batch arrives before that.
pub(crate) async fn follow_until(
    stream: &mut BatchStream<ReqwestTransport>,
    done: impl Future<Output = ()>,
) {
    tokio::select! {
        batch = stream.next() => panic!("unexpected batch: {batch:?}"),
        () = done => {}
    }
}

/// Returns a stream that was started at `now` and holds a poll.
pub(crate) async fn listening(
    server: &Arc<EmulatorServer>,
    client: &Client,
) -> BatchStream<ReqwestTransport> {
    let mut batches = client.batches(StartAt::Now);
    let open = holds(server, |emulator| emulator.counters().open_polls == 1);
    follow_until(&mut batches, open).await;
    batches
}
