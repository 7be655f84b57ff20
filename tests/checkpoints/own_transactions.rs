//! Tests of `subscribe_from`, for programs that store the checkpoints themselves, such as in the
//! transaction that stores the events.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::checkpoint::{Checkpoint, ResumeFrom};
use box_longpoll::enterprise::AdminLogsStreaming;
use box_longpoll::transport::{Moment, TransportError, TransportRequest};
use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{
    AccessToken, ErrorKind, Event, HttpTransport, Progress, StartAt, Status, Subscription, Update,
};
use box_longpoll_testkit::{AdminLogsOrder, PastEvents};
use bytes::Bytes;
use http::Response;
use jiff::{SignedDuration, Timestamp};

use crate::fake_box::{TOKEN, builder, fake_box};
use crate::store::Memory;
use crate::world::{build, client, idle_until, ids, in_time, next_batch, subscribe};

async fn next_update<T: HttpTransport>(subscription: &mut Subscription<T>) -> Update {
    in_time(subscription.next()).await.unwrap().unwrap()
}

async fn start_of<T: HttpTransport>(subscription: &mut Subscription<T>) -> Progress {
    match next_update(subscription).await {
        Update::Started(progress) => progress,
        other => panic!("{other:?}"),
    }
}

/// Returns the checkpoint as a database would store it.
fn written(checkpoint: &Checkpoint) -> String {
    serde_json::to_string(checkpoint).unwrap()
}

fn from(written: &str) -> ResumeFrom {
    serde_json::from_str::<Checkpoint>(written).unwrap().into()
}

#[tokio::test]
async fn box_is_polled_only_after_the_start_is_stored() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 3);
    let mut subscription = client(&server).subscribe_from(StartAt::Now);
    let start = start_of(&mut subscription).await;
    let newest = server.emulator().newest_position(TOKEN);
    assert_eq!(start.checkpoint().resume_at().to_string(), newest);

    idle_until(&mut subscription, |subscription| {
        matches!(
            subscription.status(),
            Status::AwaitingAcks { batches: 0, .. }
        )
    })
    .await;
    assert_eq!(server.counters().total.requests, 1);
    start.stored();
    assert_eq!(subscription.resume_at().to_string(), newest);
    server.append(TOKEN, 2);
    let batch = next_batch(&mut subscription).await;
    assert_eq!(ids(&batch), server.event_ids(TOKEN)[3..]);
    batch.stored();
}

#[tokio::test]
async fn start_that_is_dropped_unstored_ends_the_subscription() {
    let server = fake_box(|_| ());
    let mut subscription = client(&server).subscribe_from(StartAt::Oldest);
    drop(start_of(&mut subscription).await);
    let error = in_time(subscription.next()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unacknowledged);
    assert!(in_time(subscription.next()).await.is_none());
}

#[tokio::test]
async fn restart_from_a_stored_checkpoint_repeats_and_misses_nothing() {
    let server = fake_box(|settings| settings.repeat_rate = 0.5);
    server.append(TOKEN, 60);
    let mut kept = None;
    let mut came = Vec::new();
    while came.len() < 60 {
        let start = kept.as_deref().map_or(StartAt::Oldest.into(), from);
        let mut subscription = client(&server).subscribe_from(start);
        start_of(&mut subscription).await.stored();
        for _ in 0..3 {
            if came.len() == 60 {
                break;
            }
            let batch = next_batch(&mut subscription).await;
            came.extend(ids(&batch));
            kept = Some(written(&batch.checkpoint().unwrap()));
            batch.stored();
        }
        // This batch is delivered, and is not stored.
        if came.len() < 60 {
            drop(next_batch(&mut subscription).await);
        }
    }
    assert_eq!(came, server.event_ids(TOKEN));
}

#[tokio::test]
async fn batches_are_stored_in_their_order() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 6);
    let mut subscription = client(&server).subscribe_from(StartAt::Oldest);
    start_of(&mut subscription).await.stored();
    let first = next_batch(&mut subscription).await;
    let second = next_batch(&mut subscription).await;
    let error = second.checkpoint().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checkpoint);
    assert!(error.to_string().contains("before this one"), "{error}");

    let end = first.resume_at();
    assert_eq!(first.checkpoint().unwrap().resume_at(), end);
    assert_ne!(subscription.resume_at(), end);
    first.stored();
    assert_eq!(subscription.resume_at(), end);
    assert_eq!(subscription.handle().resume_at(), end);
    let end = second.resume_at();
    assert_eq!(second.checkpoint().unwrap().resume_at(), end);
    second.stored();
    assert_eq!(subscription.resume_at(), end);
}

#[tokio::test]
async fn subscription_waits_until_enough_batches_are_stored() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 6);
    let client = build(builder(&server).page_limit(2).max_unacknowledged(2));
    let mut subscription = client.subscribe_from(StartAt::Oldest);
    start_of(&mut subscription).await.stored();
    let first = next_batch(&mut subscription).await;
    let second = next_batch(&mut subscription).await;
    idle_until(&mut subscription, |subscription| {
        matches!(
            subscription.status(),
            Status::AwaitingAcks { batches: 2, .. }
        )
    })
    .await;
    first.stored();
    second.stored();
    let third = next_batch(&mut subscription).await;
    assert_eq!(ids(&third), server.event_ids(TOKEN)[4..]);
    third.stored();
}

#[tokio::test]
async fn subscription_with_a_store_refuses_to_give_a_checkpoint() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 2);
    let store = Memory::default();
    let mut subscription = subscribe(&client(&server), &store).await;
    let batch = next_batch(&mut subscription).await;
    let error = batch.checkpoint().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checkpoint);
    assert!(error.to_string().contains("subscribe_from"), "{error}");
    batch.stored();
    idle_until(&mut subscription, |subscription| {
        subscription.resume_at() != StartAt::Oldest
    })
    .await;
    assert!(store.position().is_some());
}

#[tokio::test]
async fn checkpoint_of_another_stream_is_refused() {
    let server = fake_box(|_| ());
    let mut subscription = client(&server).subscribe_from(StartAt::Now);
    let kept = written(start_of(&mut subscription).await.checkpoint());
    let changes = builder(&server).stream_type(box_longpoll::config::StreamType::Changes);
    let mut other = build(changes).subscribe_from(from(&kept));
    let error = in_time(other.next()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checkpoint);
    assert!(error.to_string().contains("\"changes\""), "{error}");
}

/// A transport whose clocks are ahead by a number of hours.
struct Hours {
    inner: ReqwestTransport,
    ahead: AtomicU32,
}

const HOUR: Duration = Duration::from_secs(60 * 60);

#[async_trait]
impl HttpTransport for Hours {
    async fn send(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        self.inner.send(request).await
    }

    async fn sleep(&self, duration: Duration) -> Result<(), TransportError> {
        self.inner.sleep(duration).await
    }

    fn now(&self) -> Moment {
        let now = self.inner.now();
        let ahead = self.ahead.load(Ordering::SeqCst) * HOUR;
        Moment {
            monotonic: now.monotonic + ahead,
            wall: now.wall + ahead,
        }
    }
}

#[tokio::test]
async fn moved_position_is_reported_once_an_hour() {
    let server = fake_box(|settings| settings.hold_ms = 20);
    let clock = Arc::new(Hours {
        inner: ReqwestTransport::new().unwrap(),
        ahead: AtomicU32::new(0),
    });
    let token = AccessToken::new(TOKEN).unwrap();
    let client = builder(&server).build(clock.clone(), token).unwrap();
    let mut subscription = client.subscribe_from(StartAt::Now);
    start_of(&mut subscription).await.stored();
    let mut last_success = None;
    for _ in 0..3 {
        let polls = server.counters().realtime.requests;
        let polled_twice = |_: &_| server.counters().realtime.requests > polls + 2;
        idle_until(&mut subscription, polled_twice).await;
        clock.ahead.fetch_add(1, Ordering::SeqCst);
        let Update::Moved(progress) = next_update(&mut subscription).await else {
            panic!("the position has moved");
        };
        let moved = progress.checkpoint().last_success();
        assert!(Some(moved) > last_success, "{moved:?}");
        last_success = Some(moved);
        progress.stored();
    }
}

#[tokio::test]
async fn subscription_shows_its_status_and_stops_while_box_is_down() {
    let server = fake_box(|_| ());
    let client = build(builder(&server).api_origin("http://127.0.0.1:1"));
    let mut subscription = client.subscribe(Memory::default(), "ada", StartAt::Now);
    assert_eq!(subscription.status(), Status::LoadingCheckpoint);
    let handle = subscription.handle();
    idle_until(&mut subscription, |subscription| {
        matches!(subscription.status(), Status::Retrying { .. })
    })
    .await;
    assert_eq!(subscription.resume_at(), StartAt::Now);
    handle.stop();
    assert!(in_time(subscription.next()).await.is_none());
}

#[tokio::test]
async fn acknowledging_instead_of_storing_ends_the_subscription() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 2);
    let mut subscription = client(&server).subscribe_from(StartAt::Oldest);
    start_of(&mut subscription).await.stored();
    let batch = next_batch(&mut subscription).await;
    let error = batch.ack().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checkpoint);
    assert!(error.to_string().contains("stored()"), "{error}");
    let error = in_time(subscription.next()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unacknowledged);
    assert_eq!(subscription.resume_at(), StartAt::Oldest);
}

#[tokio::test]
async fn storing_a_batch_out_of_order_ends_the_subscription() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 4);
    let mut subscription = client(&server).subscribe_from(StartAt::Oldest);
    start_of(&mut subscription).await.stored();
    let first = next_batch(&mut subscription).await;
    let second = next_batch(&mut subscription).await;
    second.stored();
    let error = in_time(subscription.next()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unacknowledged);
    let end = first.resume_at();
    first.stored();
    assert_eq!(
        subscription.resume_at(),
        end,
        "no further than what is stored"
    );
}

#[tokio::test]
async fn moved_checkpoint_delivers_the_events_after_it_again() {
    let server = fake_box(|_| ());
    let first = server.emulator().newest_position(TOKEN);
    server.append(TOKEN, 2);
    let client = client(&server);
    let mut subscription = client.subscribe_from(StartAt::Oldest);
    start_of(&mut subscription).await.stored();
    let batch = next_batch(&mut subscription).await;
    let checkpoint = batch.checkpoint().unwrap();
    batch.stored();
    drop(subscription);

    let now = Moment::read_clocks().wall;
    for start in [StartAt::Oldest, first.parse().unwrap()] {
        let moved = checkpoint.moved_to(start.clone(), now).unwrap();
        assert_eq!(moved.resume_at(), start);
        let mut subscription = client.subscribe_from(from(&written(&moved)));
        start_of(&mut subscription).await.stored();
        let batch = next_batch(&mut subscription).await;
        assert_eq!(ids(&batch), server.event_ids(TOKEN));
        batch.stored();
    }
    for start in [StartAt::Now, "since 2026-01-01T00:00:00Z".parse().unwrap()] {
        let error = checkpoint.moved_to(start, now).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    }
}

#[tokio::test]
async fn checkpoint_of_an_enterprise_is_moved_to_a_time() {
    let server = fake_box(|settings| settings.admin_logs_order = AdminLogsOrder::Chronological);
    let now = server.unix();
    server.append_past(TOKEN, &PastEvents::year_until(now, 40));
    let client = client(&server)
        .enterprise(AdminLogsStreaming::default())
        .unwrap();
    let mut subscription = client.subscribe_from(StartAt::Now);
    let start = start_of(&mut subscription).await;
    let since = Timestamp::from_second(now - 100 * 24 * 60 * 60).unwrap();
    let moved = start
        .checkpoint()
        .moved_to(StartAt::Since(since), Moment::read_clocks().wall)
        .unwrap();
    drop(subscription);

    let mut subscription = client.subscribe_from(from(&written(&moved)));
    start_of(&mut subscription).await.stored();
    let batch = next_batch(&mut subscription).await;
    let first = batch.iter().next().and_then(Event::created_at).unwrap();
    let week = SignedDuration::from_hours(7 * 24);
    assert!(since <= first && first < since + 2 * week, "{first}");
    batch.stored();
}
