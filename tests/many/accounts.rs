//! Proves that one `StreamMap` follows many accounts: in order, independently, and without a loss.

use std::collections::BTreeMap;
use std::sync::Arc;

use box_longpoll::checkpoint::CheckpointFile;
use box_longpoll::{ErrorKind, StartAt, StreamMap, Update};
use box_longpoll_testkit::{EmulatorServer, Settings};
use futures_lite::StreamExt;

use crate::fake_box::{builder, fake_box};
use crate::world::{account, build, holds, in_time, token};

const ACCOUNTS: usize = 20;

/// Starts a fake Box on which each account has one event more than the previous one.
fn many_accounts() -> Arc<EmulatorServer> {
    let server = fake_box(|_: &mut Settings| ());
    (0..ACCOUNTS).for_each(|n| server.append(&account(n), n + 1));
    server
}

fn log(server: &EmulatorServer) -> BTreeMap<usize, Vec<String>> {
    (0..ACCOUNTS)
        .map(|n| (n, server.event_ids(&account(n))))
        .collect()
}

#[tokio::test]
async fn map_delivers_the_events_of_each_account_in_order() {
    let server = many_accounts();
    let client = build(builder(&server));
    let mut streams: StreamMap<_, _> = (0..ACCOUNTS)
        .map(|n| {
            (
                n,
                client
                    .with_tokens(token(&account(n)))
                    .events(StartAt::Oldest),
            )
        })
        .collect();
    let mut came: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    in_time(async {
        for _ in 0..2 {
            while came != log(&server) {
                let (n, event) = streams.next().await.unwrap();
                let id = event.unwrap().id().unwrap().to_owned();
                came.entry(n).or_default().push(id);
            }
            (0..ACCOUNTS).for_each(|n| server.append(&account(n), 2));
        }
    })
    .await;
}

#[tokio::test]
async fn map_follows_the_others_when_one_account_fails() {
    let server = many_accounts();
    let client = build(builder(&server));
    let mut streams = StreamMap::new();
    for n in 0..ACCOUNTS {
        let client = client.with_tokens(token(&account(n)));
        streams.insert(n, client.batches(StartAt::Now));
    }
    server.revoke(&account(7));
    let (failed, error) = in_time(streams.next()).await.unwrap();
    assert_eq!(failed, 7);
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Unauthorized);
    assert_eq!(streams.len(), ACCOUNTS - 1);

    let listening = holds(&server, |emulator| {
        emulator.counters().open_polls == ACCOUNTS - 1
    });
    tokio::select! {
        item = streams.next() => panic!("{item:?}"),
        () = listening => {}
    }
    (0..ACCOUNTS).for_each(|n| server.append(&account(n), 1));
    for _ in 1..ACCOUNTS {
        let (n, batch) = in_time(streams.next()).await.unwrap();
        let log = server.event_ids(&account(n));
        assert_eq!(batch.unwrap()[0].id(), log.last().map(|id| &**id));
    }
    server.change_settings(|settings| {
        settings
            .token_accounts
            .insert("renewed".to_owned(), account(7));
    });
    let renewed = client.with_tokens(token("renewed"));
    streams.insert(7, renewed.batches(StartAt::Oldest));
    let (n, batch) = in_time(streams.next()).await.unwrap();
    assert_eq!((n, batch.unwrap().len()), (7, 9));
}

#[tokio::test]
async fn map_of_subscriptions_delivers_batches_to_acknowledge() {
    let server = many_accounts();
    let client = build(builder(&server));
    let directory = tempfile::tempdir().unwrap();
    let file = |n: usize| directory.path().join(account(n));
    let mut streams = StreamMap::new();
    for n in 0..ACCOUNTS {
        let store = CheckpointFile::open(file(n)).unwrap();
        let client = client.with_tokens(token(&account(n)));
        let updates = client.subscribe(store, account(n), StartAt::Oldest);
        streams.insert(n, updates);
    }
    let mut came: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    in_time(async {
        while came != log(&server) {
            let (n, update) = streams.next().await.unwrap();
            let batch = match update.unwrap() {
                Update::Started(_) => continue,
                Update::Batch(batch) => batch,
                other => panic!("{other:?}"),
            };
            let ids = batch.iter().map(|event| event.id().unwrap().to_owned());
            came.entry(n).or_default().extend(ids);
            batch.ack().await.unwrap();
        }
    })
    .await;
    for (n, stream) in streams.iter() {
        let newest = server.emulator().newest_position(&account(*n));
        assert_eq!(stream.resume_at().position().unwrap().to_string(), newest);
    }
}

#[tokio::test]
async fn timeout_around_next_loses_nothing_and_repeats_no_request() {
    let server = many_accounts();
    let client = build(builder(&server));
    let mut streams: StreamMap<_, _> = (0..ACCOUNTS)
        .map(|n| {
            (
                n,
                client
                    .with_tokens(token(&account(n)))
                    .events(StartAt::Oldest),
            )
        })
        .collect();
    let mut came: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    in_time(async {
        while came != log(&server) {
            let soon = std::time::Duration::from_micros(50);
            if let Ok(next) = tokio::time::timeout(soon, streams.next()).await {
                let (n, event) = next.unwrap();
                let id = event.unwrap().id().unwrap().to_owned();
                came.entry(n).or_default().push(id);
            }
        }
    })
    .await;
    let pages = server.counters().events_served;
    let events: usize = (1..=ACCOUNTS).sum();
    assert_eq!(pages, events as u64, "each page was fetched once");
}

#[tokio::test]
async fn stream_leaves_the_map_when_its_handle_stops_it() {
    let server = many_accounts();
    let client = build(builder(&server));
    let mut streams: StreamMap<_, _> = (0..ACCOUNTS)
        .map(|n| {
            (
                n,
                client.with_tokens(token(&account(n))).events(StartAt::Now),
            )
        })
        .collect();
    for n in 0..ACCOUNTS {
        streams.get(&n).expect("it is there").handle().stop();
    }
    assert!(in_time(StreamExt::next(&mut streams)).await.is_none());
    assert_eq!(server.counters().total.requests, 0);
}
