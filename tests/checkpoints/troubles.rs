//! Tests of checkpoint stores that fail, panic, or report the wrong outcome.

use std::time::{Duration, SystemTime};

use box_longpoll::config::RetryPolicy;
use box_longpoll::{Delivery, ErrorKind, HttpTransport, StartAt, Status, Subscription};

use crate::fake_box::{TOKEN, builder, fake_box};
use crate::store::{Behaviour, Memory};
use crate::world::{
    ACCOUNT, build, client, follow, idle_until, ids, in_time, next_batch, next_batches, started,
    subscribe,
};

#[tokio::test]
async fn failing_store_pauses_delivery_and_loses_nothing() {
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
        assert!(
            error
                .display_chain()
                .to_string()
                .contains("the store is down"),
            "{error}"
        );
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
        "the stream does not read ahead"
    );
    assert_eq!(store.position(), None);
    let tried = store.saves().len();
    idle_until(&mut subscription, |_| store.saves().len() > tried).await;

    // The earlier acknowledgements are saved without another call.
    store.behave(Behaviour::Works);
    came.extend(follow(&mut subscription, 14).await);
    assert_eq!(came, server.event_ids(TOKEN));
    let newest = server.emulator().newest_position(TOKEN);
    assert_eq!(store.position().unwrap().as_str(), newest);
}

#[tokio::test]
async fn unsaved_acknowledgement_is_saved_with_the_next_one() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 4);
    let store = Memory::default();
    let mut subscription = subscribe(&client(&server), &store).await;
    let first = next_batch(&mut subscription).await;
    let second = next_batch(&mut subscription).await;
    let end = second.resume_at().position().cloned();
    store.behave(Behaviour::Fails);
    in_time(first.ack()).await.unwrap_err();
    store.behave(Behaviour::Works);
    in_time(second.ack()).await.unwrap();
    assert_eq!(store.position(), end);
}

/// The first wait of the retry policy. The pause after one failed save is at most half of this
/// time, and after two failed saves in a row it is at least this time.
const FIRST_WAIT: Duration = Duration::from_secs(600);

fn patient_policy() -> RetryPolicy {
    let hour = Duration::from_secs(3_600);
    RetryPolicy::default().first(FIRST_WAIT).longest(hour)
}

/// Returns the time of the next attempt to save, if the last attempt failed.
fn next_save<T: HttpTransport>(subscription: &Subscription<T>) -> Option<SystemTime> {
    match subscription.status() {
        Status::NotSaving { until, .. } => Some(until),
        _ => None,
    }
}

/// Acknowledges a batch that the store can't save, and returns the time of the next attempt.
async fn ack_unsaved<T: HttpTransport>(
    subscription: &mut Subscription<T>,
    batch: Delivery,
) -> SystemTime {
    in_time(batch.ack()).await.unwrap_err();
    idle_until(subscription, |subscription| {
        next_save(subscription).is_some()
    })
    .await;
    next_save(subscription).unwrap()
}

#[tokio::test]
async fn failed_save_is_not_retried_before_a_pause() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 2);
    let store = Memory::default();
    let client = build(builder(&server).retry(patient_policy()));
    let mut subscription = subscribe(&client, &store).await;
    let batch = next_batch(&mut subscription).await;
    store.behave(Behaviour::Fails);
    ack_unsaved(&mut subscription, batch).await;
    assert_eq!(store.saves().len(), 1);
}

#[tokio::test]
async fn backoff_starts_again_when_a_save_succeeded() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 6);
    let store = Memory::default();
    let client = build(builder(&server).page_limit(2).retry(patient_policy()));
    let mut subscription = subscribe(&client, &store).await;
    let mut batches = next_batches(&mut subscription, 3).await.into_iter();
    store.behave(Behaviour::Fails);
    ack_unsaved(&mut subscription, batches.next().unwrap()).await;
    store.behave(Behaviour::Works);
    in_time(batches.next().unwrap().ack()).await.unwrap();
    idle_until(&mut subscription, |subscription| {
        next_save(subscription).is_none()
    })
    .await;
    store.behave(Behaviour::Fails);
    let until = ack_unsaved(&mut subscription, batches.next().unwrap()).await;
    #[expect(
        clippy::disallowed_methods,
        reason = "the status has a wall-clock time"
    )]
    let wait = until.duration_since(SystemTime::now()).unwrap();
    assert!(wait <= FIRST_WAIT / 2, "{wait:?}");
}

#[tokio::test]
async fn restart_repeats_the_events_that_the_store_failed_to_save() {
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
async fn restart_repeats_nothing_when_a_failed_save_was_kept() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 6);
    let store = Memory::default();
    let mut subscription = subscribe(&client(&server), &store).await;
    store.behave(Behaviour::KeepsAndFails);
    let batch = next_batch(&mut subscription).await;
    let end = batch.resume_at().position().cloned();
    in_time(batch.ack()).await.unwrap_err();
    assert_ne!(
        subscription.resume_at().position(),
        end.as_ref(),
        "the store reported no success"
    );
    drop(subscription);
    store.behave(Behaviour::Works);
    let mut resumed = subscribe(&client(&server), &store).await;
    assert_eq!(resumed.resume_at().position(), end.as_ref());
    assert_eq!(follow(&mut resumed, 4).await, server.event_ids(TOKEN)[2..]);
}

#[tokio::test]
async fn store_that_panics_while_it_loads_stops_its_subscription() {
    let server = fake_box(|_| ());
    let store = Memory::default();
    store.behave(Behaviour::Panics);
    let mut subscription = client(&server).subscribe(store, ACCOUNT, StartAt::Oldest);
    let error = in_time(subscription.next()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checkpoint);
    let chain = error.display_chain().to_string();
    assert!(chain.ends_with("the store panicked"), "{chain}");
    assert!(in_time(subscription.next()).await.is_none());
}

#[tokio::test]
async fn checkpoint_that_fails_to_load_is_an_error_not_a_fresh_start() {
    let server = fake_box(|_| ());
    let store = Memory::default();
    store.behave(Behaviour::Fails);
    for start in [StartAt::Now, StartAt::Oldest] {
        let error = in_time(started(client(&server).subscribe(
            store.clone(),
            ACCOUNT,
            start,
        )))
        .await
        .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Checkpoint);
        assert!(
            error
                .display_chain()
                .to_string()
                .contains("the store is down"),
            "{error}"
        );
    }
    assert_eq!(server.counters().total.requests, 0);
    assert!(store.saves().is_empty());
}
