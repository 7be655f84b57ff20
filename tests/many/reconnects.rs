//! Proves that many streams list the servers at a limited rate when all must reconnect at once.
//!
//! This happens when a realtime server restarts. Without the limit, all streams would send a
//! request at the same time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{BatchStream, StartAt, StreamMap};
use box_longpoll_testkit::{EmulatorServer, Fault};
use tokio::time::Instant;

use crate::fake_box::{builder, fake_box};
use crate::world::{account, build, holds, in_time, token};

const STREAMS: usize = 300;

const LISTS_PER_SECOND: u32 = 100;

type Followed = StreamMap<usize, BatchStream<ReqwestTransport>>;

/// Drives the streams until all of them hold a poll, each after one list. Panics if that is faster
/// than the permitted rate.
async fn all_listen(server: &Arc<EmulatorServer>, streams: &mut Followed) {
    let begun = Instant::now();
    let listening = holds(server, |emulator| {
        let counters = emulator.counters();
        counters.open_polls == STREAMS && counters.options.requests == STREAMS as u64
    });
    tokio::select! {
        item = streams.next() => panic!("{item:?}"),
        () = listening => {}
    }
    let took = begun.elapsed();
    let least = Duration::from_secs(STREAMS as u64 / u64::from(LISTS_PER_SECOND) - 1);
    assert!(took >= least, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_limited_when_300_streams_reconnect_at_once() {
    let server = fake_box(|_| ());
    let client = build(builder(&server).max_server_lists_per_second(LISTS_PER_SECOND));
    let mut streams: Followed = (0..STREAMS)
        .map(|n| {
            (
                n,
                client.with_tokens(token(&account(n))).batches(StartAt::Now),
            )
        })
        .collect();
    all_listen(&server, &mut streams).await;

    server.emulator().reset_counters();
    let reconnect = Fault::Signal {
        message: "reconnect".to_owned(),
    };
    assert_eq!(server.interrupt_polls(&reconnect), STREAMS);
    all_listen(&server, &mut streams).await;
    let counters = server.counters();
    // Each stream fetches, lists and polls once.
    assert_eq!(counters.total.requests, 3 * STREAMS as u64);

    for n in 0..STREAMS {
        server.append(&account(n), 1);
    }
    let mut delivered = BTreeSet::new();
    in_time(async {
        while delivered.len() < STREAMS {
            let (n, batch) = streams.next().await.unwrap();
            let batch = batch.unwrap();
            assert_eq!(batch[0].id(), Some(&*server.event_ids(&account(n))[0]));
            assert!(delivered.insert(n), "{n} came twice");
        }
    })
    .await;
}
