//! Helpers for tests that follow the fake Box and compare its requests.

use std::fmt::Debug;
use std::sync::Arc;

use box_longpoll::{Batch, HttpTransport};
use box_longpoll_testkit::{EmulatorServer, Endpoint};
use futures_lite::future::{or, yield_now};

use crate::fake_box::PATIENCE;

/// The endpoint and the stream position of each request.
pub(crate) type Requested = Vec<(Endpoint, Option<String>)>;

/// Returns the requests that the server has received.
pub(crate) fn requested(server: &EmulatorServer) -> Requested {
    let requests = server.requests().into_iter();
    let requested = requests.map(|request| (request.endpoint, request.stream_position));
    requested.collect()
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

/// Drives a stream until its poll number `polls` is held, counted from 1.
///
/// Panics if `next` completes before that.
pub(crate) async fn until_listening<T: Debug>(
    server: &EmulatorServer,
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
        {
            yield_now().await;
        }
    };
    or(nothing, listens).await;
}
