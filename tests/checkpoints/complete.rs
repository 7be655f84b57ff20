//! The time up to which a subscription is complete: only acknowledged events count.

use std::time::{Duration, SystemTime};

use box_longpoll::transport::Moment;
use box_longpoll::{StartAt, Status, Subscription, Update};

use crate::fake_box::{TOKEN, fake_box};
use crate::store::{Behaviour, Memory};
use crate::world::{client, idle_until, in_time, next_batch, next_batches, subscribe};

/// Returns a time that each proof of these tests reaches. The default of `event_delay` is shorter.
fn hour_ago() -> SystemTime {
    Moment::read_clocks().wall - Duration::from_secs(3_600)
}

/// Returns `true` once the backlog is fetched, so that only acknowledgements are missing.
fn listens<T: box_longpoll::HttpTransport>(subscription: &Subscription<T>) -> bool {
    matches!(subscription.status(), Status::Listening { .. })
}

#[tokio::test]
async fn time_is_held_back_by_the_oldest_unacknowledged_batch() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 4);
    let mut subscription = subscribe(&client(&server), &Memory::default()).await;
    let mut batches = next_batches(&mut subscription, 2).await;
    idle_until(&mut subscription, listens).await;
    assert_eq!(subscription.complete_until(), None);
    in_time(batches.pop().unwrap().ack()).await.unwrap();
    idle_until(&mut subscription, listens).await;
    assert_eq!(subscription.complete_until(), None);

    // A task waits for the acknowledgement alone: nobody polls the subscription meanwhile.
    let handle = subscription.handle();
    let waits = tokio::spawn(async move { handle.wait_until_complete(hour_ago()).await });
    in_time(batches.pop().unwrap().ack()).await.unwrap();
    in_time(waits).await.unwrap().unwrap();
    assert!(subscription.complete_until() >= Some(hour_ago()));
}

#[tokio::test]
async fn acknowledged_batch_counts_before_it_is_durable() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 2);
    let store = Memory::default();
    let mut subscription = subscribe(&client(&server), &store).await;
    let batch = next_batch(&mut subscription).await;
    idle_until(&mut subscription, listens).await;
    store.behave(Behaviour::Fails);
    in_time(batch.ack()).await.unwrap_err();
    assert!(subscription.complete_until() >= Some(hour_ago()));
    assert_eq!(subscription.resume_at(), StartAt::Oldest);
}

#[tokio::test]
async fn stored_batch_counts_as_acknowledged() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 2);
    let mut subscription = client(&server).subscribe_from(StartAt::Oldest);
    let handle = subscription.handle();
    match in_time(subscription.next()).await {
        Some(Ok(Update::Started(start))) => start.stored(),
        other => panic!("{other:?}"),
    }
    let batch = next_batch(&mut subscription).await;
    idle_until(&mut subscription, listens).await;
    assert_eq!(handle.complete_until(), None);
    batch.stored();
    assert!(handle.complete_until() >= Some(hour_ago()));
}

#[tokio::test]
async fn restarted_subscription_has_to_prove_the_time_again() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 2);
    let store = Memory::default();
    let mut subscription = subscribe(&client(&server), &store).await;
    crate::world::follow(&mut subscription, 2).await;
    idle_until(&mut subscription, |subscription| {
        subscription.complete_until().is_some()
    })
    .await;
    drop(subscription);
    let mut resumed = subscribe(&client(&server), &store).await;
    assert_eq!(resumed.complete_until(), None);
    idle_until(&mut resumed, |resumed| {
        resumed.complete_until() >= Some(hour_ago())
    })
    .await;
}
