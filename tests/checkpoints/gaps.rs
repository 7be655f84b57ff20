//! After more time than Box keeps events.

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
async fn a_gap_is_told_of_first_and_the_stream_goes_on() {
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
        // A crash before it has caught up: it is told again.
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

    // It has caught up, and that is saved.
    server.append(TOKEN, 2);
    let mut resumed = subscribe(&client(&server), &store).await;
    assert_eq!(follow(&mut resumed, 2).await, server.event_ids(TOKEN)[4..]);
}

#[tokio::test]
async fn two_weeks_are_too_long_for_every_stream_type() {
    let server = fake_box(|_| ());
    let position = server.emulator().newest_position(TOKEN);
    // An event that every stream type shows.
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

/// A transport whose wall clock can be set.
#[derive(Clone)]
struct Ahead {
    inner: Arc<ReqwestTransport>,
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

fn ahead(server: &EmulatorServer) -> (LongPollClient<Ahead>, Arc<AtomicU64>) {
    let minutes = Arc::new(AtomicU64::new(0));
    let transport = Ahead {
        inner: Arc::new(ReqwestTransport::new().unwrap()),
        minutes: minutes.clone(),
    };
    let token = AccessToken::new(TOKEN).unwrap();
    // Nobody waits for the pace.
    let pace = Pace::default()
        .per_second(1_000)
        .per_minute(100_000)
        .small_pages_per_minute(100_000);
    let client = builder(server).pace(pace).build(transport, token);
    (client.unwrap(), minutes)
}

#[tokio::test]
async fn while_nothing_happens_the_time_is_saved_once_an_hour() {
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
    // An account that was idle for long is not away.
    for days in 1..30 {
        minutes.store(MINUTES_OF_A_DAY * days, Ordering::Relaxed);
        let saves = store.saves().len();
        idle_until(&mut subscription, |_| store.saves().len() > saves).await;
    }
}

#[tokio::test]
async fn a_program_that_slept_for_too_long_is_told_of_a_gap_too() {
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
    // It is an item of its own, and acknowledges nothing.
    idle_until(&mut subscription, full).await;
    in_time(batch.ack()).await.unwrap();
}

#[tokio::test]
async fn checkpoint_of_a_late_ack_is_dated_by_its_catching_up() {
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
    // Nothing was missing a day later, which is known since before the batch was acknowledged.
    assert!(store.kept().unwrap().last_success() >= began + DAY);
}

#[tokio::test]
async fn x09_a_clock_that_was_ahead_and_is_set_right_hides_no_later_gap() {
    let server = fake_box(|settings| settings.hold_ms = 20);
    let (client, minutes) = ahead(&server);
    minutes.store(40 * MINUTES_OF_A_DAY, Ordering::Relaxed);
    let store = Memory::default();
    let mut subscription = subscribe(&client, &store).await;
    idle_until(&mut subscription, |_| !store.saves().is_empty()).await;
    let wrong = store.kept().unwrap().last_success();
    // Nothing happens in the account: only the time is news.
    minutes.store(0, Ordering::Relaxed);
    let is_right = || store.kept().unwrap().last_success() < wrong - 39 * DAY;
    idle_until(&mut subscription, |_| is_right()).await;
    assert_eq!(store.saves().len(), 2, "it is saved once");
}

/// A page size of one makes every page a full one, so the stream is never seen to be at its end.
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
async fn a_stream_that_is_never_quiet_tells_of_no_gap() {
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
async fn a_backlog_of_old_events_proves_no_catch_up() {
    let server = fake_box(|_| ());
    let old = |id: u32| {
        format!(r#"{{"type":"event","event_id":"{id}","recorded_at":"2020-01-01T00:00:00-08:00"}}"#)
    };
    server.append_json(TOKEN, (0..40).map(old));
    let (client, minutes) = never_quiet(&server);
    let start = checkpoint(&server, "1", 20 * DAY);
    let mut subscription = subscribe(&client, &Memory::with(&start)).await;
    assert_eq!(gap(&mut subscription).await.since, start.last_success());
    // Pages come day by day, and after the first gap that is enough.
    for days in 1..20 {
        assert_eq!(follow(&mut subscription, 1).await.len(), 1);
        minutes.store(MINUTES_OF_A_DAY * days, Ordering::Relaxed);
    }
    // But then none comes for long, and whoever was told of the first gap is told of this one.
    minutes.store(40 * MINUTES_OF_A_DAY, Ordering::Relaxed);
    let later = gap(&mut subscription).await;
    assert!(later.since > start.last_success() + 30 * DAY, "{later:?}");
    for days in 41..60 {
        assert_eq!(follow(&mut subscription, 1).await.len(), 1);
        minutes.store(MINUTES_OF_A_DAY * days, Ordering::Relaxed);
    }
}
