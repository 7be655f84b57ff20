//! Tests of restarts. A subscription delivers the unacknowledged events again, and no others. Its
//! checkpoint holds the ids that this needs.

use std::collections::{BTreeMap, HashSet};

use box_longpoll::StartAt;
use box_longpoll::checkpoint::{Checkpoint, CheckpointFile};
use box_longpoll_testkit::{Endpoint, Fault};
use serde_json::json;

use crate::fake_box::{PATIENCE, TOKEN, builder, fake_box};
use crate::store::Memory;
use crate::world::{
    ACCOUNT, DAY, build, checkpoint, client, follow, ids, in_time, next_batch, next_batches,
    started, subscribe,
};

#[tokio::test]
async fn only_unacknowledged_batches_are_repeated_after_a_restart() {
    const BATCHES: usize = 4;
    let server = fake_box(|_| ());
    server.append(TOKEN, 2 * BATCHES);
    let log = server.event_ids(TOKEN);
    for acknowledged in 0..=BATCHES {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("checkpoint");
        let client = client(&server);
        let life = || async {
            let store = CheckpointFile::open(&file).unwrap();
            in_time(started(client.subscribe(store, ACCOUNT, StartAt::Oldest)))
                .await
                .unwrap()
        };
        let mut subscription = life().await;
        let batches = next_batches(&mut subscription, BATCHES).await;
        for (n, batch) in batches.into_iter().enumerate() {
            if n < acknowledged {
                in_time(batch.ack()).await.unwrap();
            }
        }
        drop(subscription);
        server.append(TOKEN, 2);
        let missing = server.event_ids(TOKEN)[2 * acknowledged..].to_vec();
        let came = follow(&mut life().await, missing.len()).await;
        assert_eq!(came, missing, "{acknowledged} were acknowledged");
    }
    assert_eq!(server.event_ids(TOKEN)[..log.len()], log);
}

#[tokio::test]
async fn page_that_was_read_ahead_is_no_part_of_the_checkpoint() {
    let server = fake_box(|settings| settings.latency_ms = 10);
    server.append(TOKEN, 6);
    let store = Memory::default();
    let client = client(&server);
    let mut subscription = subscribe(&client, &store).await;
    let wait_until_sent = |events| {
        let server = server.clone();
        let all_sent = tokio::task::spawn_blocking(move || {
            server.wait_until(PATIENCE, |emulator| {
                emulator.counters().events_served == events
            })
        });
        async { assert!(all_sent.await.unwrap(), "no page is read ahead") }
    };
    let handled = next_batch(&mut subscription).await;
    wait_until_sent(4).await;
    in_time(handled.ack()).await.unwrap();
    let unhandled = next_batch(&mut subscription).await;
    wait_until_sent(6).await;
    // The process is killed while it handles the second batch.
    drop((unhandled, subscription));
    let mut resumed = subscribe(&client, &store).await;
    assert_eq!(follow(&mut resumed, 4).await, server.event_ids(TOKEN)[2..]);
}

#[tokio::test]
async fn batch_acknowledged_behind_a_hole_is_repeated() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 6);
    let store = Memory::default();
    let client = client(&server);
    let mut subscription = subscribe(&client, &store).await;
    let mut batches = next_batches(&mut subscription, 3).await;
    in_time(batches.pop().unwrap().ack()).await.unwrap();
    in_time(batches.remove(0).ack()).await.unwrap();
    drop(subscription);
    let mut resumed = subscribe(&client, &store).await;
    assert_eq!(follow(&mut resumed, 4).await, server.event_ids(TOKEN)[2..]);
}

#[tokio::test]
async fn only_ids_of_acknowledged_events_are_remembered() {
    let server = fake_box(|_| ());
    let client = build(builder(&server).page_limit(1));
    let event = |id: &str| format!(r#"{{"event_id":"{id}","event_type":"ITEM_UPLOAD"}}"#);
    server.append_json(TOKEN, ["a", "b"].map(event));
    let store = Memory::default();
    let mut subscription = subscribe(&client, &store).await;
    let a = next_batch(&mut subscription).await;
    let _b = next_batch(&mut subscription).await;
    in_time(a.ack()).await.unwrap();
    drop(subscription);

    // Box repeats both events, and only one of them was acknowledged.
    server.append_json(TOKEN, ["a", "b", "c"].map(event));
    let mut resumed = subscribe(&client, &store).await;
    assert_eq!(follow(&mut resumed, 2).await, ["b", "c"]);
}

#[tokio::test]
async fn unacknowledged_event_is_repeated_when_its_repeat_was_skipped() {
    let server = fake_box(|_| ());
    let client = build(builder(&server).page_limit(1));
    let event = |id: &str| format!(r#"{{"event_id":"{id}","event_type":"ITEM_UPLOAD"}}"#);
    server.append_json(TOKEN, ["a", "a", "a", "b"].map(event));
    let store = Memory::default();
    let mut subscription = subscribe(&client, &store).await;
    let batches = next_batches(&mut subscription, 2).await;
    assert_eq!(ids(&batches[1]), ["b"]);
    drop((batches, subscription));
    let mut resumed = subscribe(&client, &store).await;
    assert_eq!(follow(&mut resumed, 2).await, ["a", "b"]);
}

#[tokio::test]
async fn many_short_runs_deliver_each_event_once() {
    let server = fake_box(|settings| {
        settings.repeat_rate = 0.1;
        settings.short_page_rate = 0.2;
        settings.empty_page_rate = 0.1;
    });
    server.append(TOKEN, 3_000);
    let store = Memory::default();
    let client = build(builder(&server).page_limit(100));
    let log = server.event_ids(TOKEN);
    let mut came = Vec::new();
    while came.len() < log.len() {
        let mut subscription = subscribe(&client, &store).await;
        came.extend(follow(&mut subscription, (log.len() - came.len()).min(170)).await);
    }
    assert_eq!(came.len(), came.iter().collect::<HashSet<_>>().len());
    assert!(came == log, "the order differs from that of the log");
}

#[tokio::test]
async fn checkpoint_carries_all_ids_of_the_largest_window() {
    const LARGEST: usize = 65_535;
    let server = fake_box(|_| ());
    let position = server.emulator().newest_position(TOKEN);
    let mut old = serde_json::to_value(checkpoint(&server, &position, DAY)).unwrap();
    let ids = |from: usize| {
        let ids = (from..LARGEST).map(|n| format!("{n:032x}"));
        ids.collect::<Vec<_>>().concat()
    };
    old["ids"] = ids(0).into();
    let store = Memory::with(&serde_json::from_value(old).unwrap());
    server.append(TOKEN, 2);
    let client = build(builder(&server).page_limit(2).dedupe_window(LARGEST));
    let mut subscription = subscribe(&client, &store).await;
    follow(&mut subscription, 2).await;
    let new = serde_json::to_value(store.kept().unwrap()).unwrap();
    let new = new["ids"].as_str().unwrap();
    assert_eq!(new.len(), 32 * LARGEST);
    // The two oldest ids have made room for the new ones.
    assert!(new.starts_with(&ids(2)));
}

#[tokio::test]
async fn checkpoint_carries_all_ids_of_a_page_beyond_the_window() {
    const WINDOW: usize = 2_500;
    let server = fake_box(|_| ());
    let event = |n| json!({"event_id": format!("{n}"), "event_type": "ITEM_UPLOAD"});
    let events: Vec<_> = (0..=WINDOW).map(event).collect();
    let body = json!({"chunk_size": events.len(), "next_stream_position": "1", "entries": events});
    let page = Fault::Status {
        status: 200,
        headers: BTreeMap::new(),
        body: body.to_string(),
    };
    server.queue_fault(Endpoint::Events, page, 1);
    let store = Memory::default();
    let client = build(builder(&server).dedupe_window(WINDOW));
    let mut subscription = subscribe(&client, &store).await;
    follow(&mut subscription, WINDOW + 1).await;
    let kept = serde_json::to_value(store.kept().unwrap()).unwrap();
    let ids = kept["ids"].as_str().unwrap();
    assert_eq!(ids.len(), 32 * (WINDOW + 1));
}

#[tokio::test]
async fn checkpoint_describes_its_stream_and_holds_no_token() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 2);
    let store = Memory::default();
    let mut subscription = subscribe(&client(&server), &store).await;
    let batch = next_batch(&mut subscription).await;
    let end = batch.resume_at().position().cloned();
    in_time(batch.ack()).await.unwrap();
    let kept = store.kept().unwrap();
    assert_eq!(kept.account(), ACCOUNT);
    assert_eq!(kept.stream_type(), "all");
    assert_eq!(kept.api_origin(), server.origin());
    assert_eq!(kept.resume_at().position(), end.as_ref());
    assert_eq!(kept.resume_at(), StartAt::At(end.unwrap()));
    #[expect(clippy::disallowed_methods, reason = "the checkpoint is dated now")]
    let age = std::time::SystemTime::now().duration_since(kept.last_success());
    assert!(age.unwrap().as_secs() < 60, "{kept:?}");

    let json = serde_json::to_string(&kept).unwrap();
    let compact = postcard::to_stdvec(&kept).unwrap();
    for text in [&json, &format!("{kept:?}")] {
        assert!(!text.contains(TOKEN), "{text}");
    }
    assert_eq!(serde_json::from_str::<Checkpoint>(&json).unwrap(), kept);
    assert_eq!(postcard::from_bytes::<Checkpoint>(&compact).unwrap(), kept);
}
