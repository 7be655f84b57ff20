//! Many streams that are told at once to list the servers anew, as those of a server are that is restarted.

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

const LISTS_A_SECOND: u32 = 100;

type Followed = StreamMap<usize, BatchStream<ReqwestTransport>>;

/// Drives the streams until all of them hold a poll, each after one list. That takes as long as the rate of lists says.
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
    let least = Duration::from_secs(STREAMS as u64 / u64::from(LISTS_A_SECOND) - 1);
    assert!(took >= least, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_start_or_reconnect_at_once_list_the_servers_at_a_rate_and_none_is_left_out() {
    let server = fake_box(|_| ());
    let client = build(builder(&server).max_server_lists_per_second(LISTS_A_SECOND));
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
    // Each fetches, lists and listens, once.
    assert_eq!(counters.total.requests, 3 * STREAMS as u64);

    for n in 0..STREAMS {
        server.append(&account(n), 1);
    }
    let mut heard = BTreeSet::new();
    in_time(async {
        while heard.len() < STREAMS {
            let (n, batch) = streams.next().await.unwrap();
            let batch = batch.unwrap();
            assert_eq!(batch[0].id(), Some(&*server.event_ids(&account(n))[0]));
            assert!(heard.insert(n), "{n} came twice");
        }
    })
    .await;
}
