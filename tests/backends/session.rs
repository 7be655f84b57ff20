//! What a session with the fake Box consists of.

use std::fmt::Debug;
use std::sync::Arc;

use box_longpoll::{Batch, HttpTransport};
use box_longpoll_testkit::{EmulatorServer, Endpoint};
use futures_lite::future::{or, yield_now};

use crate::fake_box::PATIENCE;

/// Where requests went, and the position that each named.
pub(crate) type Asked = Vec<(Endpoint, Option<String>)>;

pub(crate) fn asked(server: &EmulatorServer) -> Asked {
    let requests = server.requests().into_iter();
    let asked = requests.map(|request| (request.endpoint, request.stream_position));
    asked.collect()
}

pub(crate) fn ids(batch: &Batch) -> Vec<String> {
    let ids = batch.iter().map(|event| event.id().unwrap().to_owned());
    ids.collect()
}

/// What comes in time.
pub(crate) async fn in_time<T>(
    transport: &Arc<dyn HttpTransport>,
    work: impl Future<Output = T>,
) -> T {
    let too_late = async {
        transport.sleep(PATIENCE).await.unwrap();
        panic!("it takes longer than {PATIENCE:?}")
    };
    or(work, too_late).await
}

/// Drives a stream until its so many'th poll is held. Nothing comes meanwhile.
pub(crate) async fn until_it_listens<T: Debug>(
    server: &EmulatorServer,
    polls: u64,
    next: impl Future<Output = T>,
) {
    let nothing = async {
        let came = next.await;
        panic!("this came: {came:?}")
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
