//! Helpers for tests that follow the fake Box and compare its requests.

use std::fmt::Debug;
use std::sync::Arc;

use box_longpoll::{Batch, HttpTransport, Status, StreamHandle};
use box_longpoll_testkit::{EmulatorServer, Endpoint};
use futures_lite::future::{or, yield_now};

use crate::fake_box::PATIENCE;

/// The endpoint and the stream position of each request: first those for events, then the lists and
/// the polls. The order between the two is left to chance, because they are sent side by side.
pub(crate) type Requested = [Vec<(Endpoint, Option<String>)>; 2];

/// Returns the requests that the server has received.
pub(crate) fn requested(server: &EmulatorServer) -> Requested {
    let requests = server.requests().into_iter();
    let (fetching, listening) = requests
        .map(|request| (request.endpoint, request.stream_position))
        .partition(|(endpoint, _)| *endpoint == Endpoint::Events);
    [fetching, listening]
}

/// Returns the ids of the events of a batch.
pub(crate) fn ids(batch: &Batch) -> Vec<String> {
    let ids = batch.iter().map(|event| event.id().unwrap().to_owned());
    ids.collect()
}

/// Returns the output of `work`. Panics if it takes longer than [`PATIENCE`].
pub(crate) async fn in_time<T>(
    transport: &Arc<dyn HttpTransport>,
    work: impl Future<Output = T>,
) -> T {
    let too_late = async {
        transport.sleep(PATIENCE).await.unwrap();
        panic!("no output within {PATIENCE:?}")
    };
    or(work, too_late).await
}

/// Drives the stream of `handle` until its poll number `polls` is held, counted from 1, and nothing
/// is being fetched.
///
/// Panics if `next` completes before that.
pub(crate) async fn until_listening<T: Debug>(
    server: &EmulatorServer,
    handle: StreamHandle,
    polls: u64,
    next: impl Future<Output = T>,
) {
    let nothing = async {
        let item = next.await;
        panic!("unexpected item: {item:?}")
    };
    let listens = async {
        while (
            server.counters().realtime.requests,
            server.counters().open_polls,
        ) != (polls, 1)
            || !matches!(handle.status(), Status::Listening { .. })
        {
            yield_now().await;
        }
    };
    or(nothing, listens).await;
}
