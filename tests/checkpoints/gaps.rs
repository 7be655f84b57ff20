//! Tests of `PossibleGap`. A subscription reports it when it was away for longer than Box keeps
//! events.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::config::{Pace, StreamType};
use box_longpoll::transport::{Moment, TransportError, TransportRequest};
use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{
    AccessToken, HttpTransport, LongPollClient, PossibleGap, Status, Subscription, Update,
};
use box_longpoll_testkit::EmulatorServer;
use bytes::Bytes;
use http::Response;

use crate::fake_box::{TOKEN, builder, fake_box};
use crate::store::Memory;
use crate::world::{
    DAY, build, checkpoint, checkpoint_of, client, follow, idle_until, in_time, next_batch,
    subscribe,
};

const MINUTES_OF_A_DAY: u64 = 24 * 60;

/// Returns the next item, and panics if it is no gap.
#[track_caller]
fn gap<T: HttpTransport>(subscription: &mut Subscription<T>) -> impl Future<Output = PossibleGap> {
    let caller = std::panic::Location::caller();
    let next = in_time(subscription.next());
    async move {
        match next.await {
            Some(Ok(Update::PossibleGap(gap))) => gap,
            other => panic!("{caller}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn gap_is_reported_first_and_the_stream_continues() {
    let server = fake_box(|_| ());
    let position = server.emulator().newest_position(TOKEN);
    server.append(TOKEN, 4);
    let old = checkpoint(&server, &position, 22 * DAY);
    let store = Memory::with(&old);
    for _ in 0..2 {
        let mut subscription = subscribe(&client(&server), &store).await;
        let gap = gap(&mut subscription).await;
        assert_eq!(gap.retention, 14 * DAY);
        assert_eq!(gap.since, store.kept().unwrap().last_success());
        assert!(gap.to_string().contains("14 days"), "{gap}");
        // The subscription ends before it has caught up, so the next one reports the gap again.
    }
    assert_eq!(server.counters().total.requests, 0);

    let mut subscription = subscribe(&client(&server), &store).await;
    gap(&mut subscription).await;
    assert_eq!(follow(&mut subscription, 4).await, server.event_ids(TOKEN));
    idle_until(&mut subscription, |_| {
        store.kept().unwrap().last_success() > old.last_success() + 21 * DAY
    })
    .await;
    drop(subscription);

    // The subscription has caught up and has saved that, so the next one reports no gap.
    server.append(TOKEN, 2);
    let mut resumed = subscribe(&client(&server), &store).await;
    assert_eq!(follow(&mut resumed, 2).await, server.event_ids(TOKEN)[4..]);
}

#[tokio::test]
async fn gap_is_reported_after_two_weeks_for_every_stream_type() {
    let server = fake_box(|_| ());
    let position = server.emulator().newest_position(TOKEN);
    // Every stream type delivers this event.
    server.append_json(
        TOKEN,
        [r#"{"event_id":"1","event_type":"ITEM_UPLOAD","source":{"synced":true}}"#],
    );
    for (stream_type, days, is_gap) in [
        (StreamType::All, 13, false),
        (StreamType::All, 15, true),
        (StreamType::Changes, 13, false),
        (StreamType::Changes, 15, true),
        (StreamType::Sync, 13, false),
        (StreamType::Sync, 15, true),
    ] {
        let old = checkpoint_of(server.origin(), stream_type.as_str(), &position, days * DAY);
        let client = build(builder(&server).stream_type(stream_type));
        let mut subscription = subscribe(&client, &Memory::with(&old)).await;
        let first = in_time(subscription.next()).await.unwrap().unwrap();
        assert_eq!(
            matches!(first, Update::PossibleGap(_)),
            is_gap,
            "{days} days of {stream_type}: {first:?}"
        );
    }
}

/// A transport whose wall clock the test sets ahead.
#[derive(Clone)]
struct Ahead {
    inner: Arc<ReqwestTransport>,
    /// The number of minutes by which the wall clock is ahead.
    minutes: Arc<AtomicU64>,
}

#[async_trait]
impl HttpTransport for Ahead {
    async fn send(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        self.inner.send(request).await
    }

    async fn sleep(&self, duration: Duration) -> Result<(), TransportError> {
        self.inner.sleep(duration).await
    }

    fn now(&self) -> Moment {
        let minutes = self.minutes.load(Ordering::Relaxed);
        let mut now = self.inner.now();
        now.wall += Duration::from_secs(60 * minutes);
        now
    }

    fn block_on(
        &self,
        work: Pin<Box<dyn Future<Output = ()> + Send + '_>>,
    ) -> Result<(), TransportError> {
        self.inner.block_on(work)
    }
}

/// Returns a client that no pace delays, and the minutes by which its wall clock is ahead.
fn ahead(server: &EmulatorServer) -> (LongPollClient<Ahead>, Arc<AtomicU64>) {
    let minutes = Arc::new(AtomicU64::new(0));
    let transport = Ahead {
        inner: Arc::new(ReqwestTransport::new().unwrap()),
        minutes: minutes.clone(),
    };
    let token = AccessToken::new(TOKEN).unwrap();
    let pace = Pace::default()
        .per_second(1_000)
        .per_minute(100_000)
        .small_pages_per_minute(100_000);
    let client = builder(server).pace(pace).build(transport, token);
    (client.unwrap(), minutes)
}

#[tokio::test]
async fn last_success_is_saved_once_an_hour_when_nothing_happens() {
    let server = fake_box(|settings| settings.hold_ms = 20);
    let (client, minutes) = ahead(&server);
    let store = Memory::default();
    let mut subscription = subscribe(&client, &store).await;
    for hour in 1..4 {
        for _ in 0..2 {
            let polls = server.counters().events.requests;
            idle_until(&mut subscription, |_| {
                server.counters().events.requests >= polls + 3
            })
            .await;
            assert_eq!(store.saves().len(), hour);
            minutes.fetch_add(30, Ordering::Relaxed);
        }
    }
    // An idle account is no gap: the subscription is connected all the time.
    for days in 1..30 {
        minutes.store(MINUTES_OF_A_DAY * days, Ordering::Relaxed);
        let saves = store.saves().len();
        idle_until(&mut subscription, |_| store.saves().len() > saves).await;
    }
}

#[tokio::test]
async fn gap_is_reported_when_a_program_was_suspended_for_too_long() {
    let server = fake_box(|_| ());
    let (client, minutes) = ahead(&server);
    let mut subscription = subscribe(&client, &Memory::default()).await;
    idle_until(&mut subscription, |_| server.counters().open_polls == 1).await;
    minutes.store(22 * MINUTES_OF_A_DAY, Ordering::Relaxed);
    gap(&mut subscription).await;
    server.append(TOKEN, 2);
    assert_eq!(follow(&mut subscription, 2).await, server.event_ids(TOKEN));
}

#[tokio::test]
async fn gap_comes_before_unacknowledged_batches_are_acknowledged() {
    let server = fake_box(|_| ());
    let minutes = Arc::new(AtomicU64::new(0));
    let transport = Ahead {
        inner: Arc::new(ReqwestTransport::new().unwrap()),
        minutes: minutes.clone(),
    };
    let token = AccessToken::new(TOKEN).unwrap();
    let builder = builder(&server).max_unacknowledged(1);
    let client = builder.build(transport, token).unwrap();
    let mut subscription = subscribe(&client, &Memory::default()).await;
    idle_until(&mut subscription, |_| server.counters().open_polls == 1).await;
    server.append(TOKEN, 2);
    let batch = next_batch(&mut subscription).await;
    let full = |subscription: &Subscription<Ahead>| {
        matches!(subscription.status(), Status::AwaitingAcks { .. })
    };
    idle_until(&mut subscription, full).await;
    minutes.store(22 * MINUTES_OF_A_DAY, Ordering::Relaxed);
    gap(&mut subscription).await;
    // The gap is an item of its own, and acknowledges no batch.
    idle_until(&mut subscription, full).await;
    in_time(batch.ack()).await.unwrap();
}

#[tokio::test]
async fn late_ack_saves_the_time_at_which_the_stream_caught_up() {
    let server = fake_box(|_| ());
    let (client, minutes) = ahead(&server);
    let store = Memory::default();
    let mut subscription = subscribe(&client, &store).await;
    idle_until(&mut subscription, |_| server.counters().open_polls == 1).await;
    let began = store.kept().unwrap().last_success();
    minutes.store(MINUTES_OF_A_DAY, Ordering::Relaxed);
    server.append(TOKEN, 2);
    let batch = next_batch(&mut subscription).await;
    idle_until(&mut subscription, |_| server.counters().open_polls == 1).await;
    in_time(batch.ack()).await.unwrap();
    // The stream had caught up a day later, before the batch was acknowledged.
    assert!(store.kept().unwrap().last_success() >= began + DAY);
}

#[tokio::test]
async fn x09_clock_that_was_ahead_hides_no_gap_after_a_correction() {
    let server = fake_box(|settings| settings.hold_ms = 20);
    let (client, minutes) = ahead(&server);
    minutes.store(40 * MINUTES_OF_A_DAY, Ordering::Relaxed);
    let store = Memory::default();
    let mut subscription = subscribe(&client, &store).await;
    idle_until(&mut subscription, |_| !store.saves().is_empty()).await;
    let wrong = store.kept().unwrap().last_success();
    // Nothing happens in the account, so only the time is corrected.
    minutes.store(0, Ordering::Relaxed);
    let is_right = || store.kept().unwrap().last_success() < wrong - 39 * DAY;
    idle_until(&mut subscription, |_| is_right()).await;
    assert_eq!(store.saves().len(), 2, "the corrected time is saved once");
}

/// Returns a client with a page limit of one event, and the minutes of its clock. Every page is
/// full, so the stream never knows that it is at the end.
fn never_quiet(server: &EmulatorServer) -> (LongPollClient<Ahead>, Arc<AtomicU64>) {
    let minutes = Arc::new(AtomicU64::new(0));
    let transport = Ahead {
        inner: Arc::new(ReqwestTransport::new().unwrap()),
        minutes: minutes.clone(),
    };
    let token = AccessToken::new(TOKEN).unwrap();
    let client = builder(server).page_limit(1).build(transport, token);
    (client.unwrap(), minutes)
}

#[tokio::test]
async fn stream_that_is_never_quiet_reports_no_gap() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 40);
    let (client, minutes) = never_quiet(&server);
    let store = Memory::default();
    let mut subscription = subscribe(&client, &store).await;
    for days in 1..20 {
        assert_eq!(follow(&mut subscription, 1).await.len(), 1);
        minutes.store(MINUTES_OF_A_DAY * days, Ordering::Relaxed);
    }
    drop(subscription);
    let mut resumed = subscribe(&client, &store).await;
    assert_eq!(follow(&mut resumed, 1).await.len(), 1);
}

#[tokio::test]
async fn backlog_of_old_events_does_not_count_as_caught_up() {
    let server = fake_box(|_| ());
    let old = |id: u32| {
        format!(r#"{{"type":"event","event_id":"{id}","recorded_at":"2020-01-01T00:00:00-08:00"}}"#)
    };
    server.append_json(TOKEN, (0..40).map(old));
    let (client, minutes) = never_quiet(&server);
    let start = checkpoint(&server, "1", 20 * DAY);
    let mut subscription = subscribe(&client, &Memory::with(&start)).await;
    assert_eq!(gap(&mut subscription).await.since, start.last_success());
    // A page arrives every day, and after the first gap that is enough to prevent another.
    for days in 1..20 {
        assert_eq!(follow(&mut subscription, 1).await.len(), 1);
        minutes.store(MINUTES_OF_A_DAY * days, Ordering::Relaxed);
    }
    // Then no page arrives for 21 days, and the subscription reports a second gap.
    minutes.store(40 * MINUTES_OF_A_DAY, Ordering::Relaxed);
    let later = gap(&mut subscription).await;
    assert!(later.since > start.last_success() + 30 * DAY, "{later:?}");
    for days in 41..60 {
        assert_eq!(follow(&mut subscription, 1).await.len(), 1);
        minutes.store(MINUTES_OF_A_DAY * days, Ordering::Relaxed);
    }
}
