//! A store that fails.

use box_longpoll::{ErrorKind, StartAt, Status};

use crate::fake_box::{TOKEN, builder, fake_box};
use crate::store::{Behaviour, Memory};
use crate::world::{
    ACCOUNT, build, client, follow, idle_until, ids, in_time, next_batch, subscribe,
};

#[tokio::test]
async fn a_store_that_fails_pauses_delivery_at_the_bound_says_so_and_loses_nothing() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 20);
    let store = Memory::default();
    let client = build(builder(&server).page_limit(2).max_unacknowledged(3));
    let mut subscription = subscribe(&client, &store).await;
    let mut came = Vec::new();
    store.behave(Behaviour::Fails);
    for _ in 0..3 {
        let batch = next_batch(&mut subscription).await;
        came.extend(ids(&batch));
        let error = in_time(batch.ack()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Checkpoint);
        assert!(error.to_string().contains("the store is down"), "{error}");
    }
    idle_until(&mut subscription, |subscription| {
        matches!(
            subscription.status(),
            Status::NotSaving { because, batches: 3, .. } if because.kind() == ErrorKind::Checkpoint
        )
    })
    .await;
    assert!(
        server.counters().events_served <= 6,
        "it does not run ahead"
    );
    assert_eq!(store.position(), None);
    let tried = store.saves().len();
    idle_until(&mut subscription, |_| store.saves().len() > tried).await;

    // What was acknowledged meanwhile is saved without another word.
    store.behave(Behaviour::Works);
    came.extend(follow(&mut subscription, 14).await);
    assert_eq!(came, server.event_ids(TOKEN));
    let newest = server.emulator().newest_position(TOKEN);
    assert_eq!(store.position().unwrap().as_str(), newest);
}

#[tokio::test]
async fn an_acknowledgement_that_could_not_be_saved_comes_with_the_next() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 4);
    let store = Memory::default();
    let mut subscription = subscribe(&client(&server), &store).await;
    let first = next_batch(&mut subscription).await;
    let second = next_batch(&mut subscription).await;
    let end = second.batch().position().cloned();
    store.behave(Behaviour::Fails);
    in_time(first.ack()).await.unwrap_err();
    store.behave(Behaviour::Works);
    in_time(second.ack()).await.unwrap();
    assert_eq!(store.position(), end);
}

#[tokio::test]
async fn a_crash_while_the_store_fails_brings_again_what_it_does_not_have() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 6);
    for behaviour in [Behaviour::Fails, Behaviour::Forgets, Behaviour::Panics] {
        let store = Memory::default();
        let mut subscription = subscribe(&client(&server), &store).await;
        in_time(next_batch(&mut subscription).await.ack())
            .await
            .unwrap();
        store.behave(behaviour);
        let second = in_time(next_batch(&mut subscription).await.ack()).await;
        assert_eq!(second.is_ok(), behaviour == Behaviour::Forgets);
        drop(subscription);
        store.behave(Behaviour::Works);
        let mut resumed = subscribe(&client(&server), &store).await;
        assert_eq!(follow(&mut resumed, 4).await, server.event_ids(TOKEN)[2..]);
    }
}

#[tokio::test]
async fn a_store_that_saves_without_saying_so_is_asked_again_and_brings_nothing_twice() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 6);
    let store = Memory::default();
    let mut subscription = subscribe(&client(&server), &store).await;
    store.behave(Behaviour::KeepsAndFails);
    let batch = next_batch(&mut subscription).await;
    let end = batch.batch().position().cloned();
    in_time(batch.ack()).await.unwrap_err();
    assert_ne!(subscription.position(), end, "nobody said so");
    drop(subscription);
    store.behave(Behaviour::Works);
    let mut resumed = subscribe(&client(&server), &store).await;
    assert_eq!(resumed.position(), end);
    assert_eq!(follow(&mut resumed, 4).await, server.event_ids(TOKEN)[2..]);
}

#[tokio::test]
async fn a_checkpoint_that_cannot_be_loaded_is_an_error_and_no_fresh_start() {
    let server = fake_box(|_| ());
    let store = Memory::default();
    store.behave(Behaviour::Fails);
    for start in [StartAt::Now, StartAt::Oldest] {
        let error = in_time(client(&server).subscribe(store.clone(), ACCOUNT, start))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Checkpoint);
        assert!(error.to_string().contains("the store is down"), "{error}");
    }
    assert_eq!(server.counters().total.requests, 0);
    assert!(store.saves().is_empty());
}
