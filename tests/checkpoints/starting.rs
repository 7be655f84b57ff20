//! Tests of the position at which a subscription starts, and of the moment at which it is saved.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::checkpoint::{Checkpoint, CheckpointError, CheckpointFile, CheckpointStore};
use box_longpoll::transport::{TransportError, TransportRequest};
use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{AccessToken, ErrorKind, HttpTransport, StartAt, Status, StreamPosition};
use box_longpoll_testkit::{Counters, EmulatorServer, Endpoint, Fault};

use bytes::Bytes;
use http::Response;
use rstest::rstest;

use crate::fake_box::{TOKEN, builder, fake_box};
use crate::store::{Behaviour, Memory};
use crate::world::{
    ACCOUNT, checkpoint, client, follow, idle_until, ids, in_time, next_batch, started, subscribe,
};

/// A store that records the emulator's counters at the first save.
struct Watching {
    server: Arc<EmulatorServer>,
    recorded: Arc<Mutex<Option<Counters>>>,
}

#[async_trait]
impl CheckpointStore for Watching {
    async fn load(&self, _key: &str) -> Result<Option<Checkpoint>, CheckpointError> {
        Ok(None)
    }

    async fn save(&self, _key: &str, _checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let mut recorded = self.recorded.lock().unwrap();
        recorded.get_or_insert_with(|| self.server.counters());
        Ok(())
    }
}

#[tokio::test]
async fn start_at_now_is_durable_before_the_first_poll() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 3);
    let recorded = Arc::new(Mutex::new(None));
    let store = Watching {
        server: server.clone(),
        recorded: recorded.clone(),
    };
    let mut subscription = in_time(started(client(&server).subscribe(
        store,
        ACCOUNT,
        StartAt::Now,
    )))
    .await
    .unwrap();

    let at_the_save = recorded.lock().unwrap().clone().expect("it is saved");
    for counters in [at_the_save, server.counters()] {
        assert_eq!(counters.events.requests, 1);
        assert_eq!(
            counters.total.requests, 1,
            "nothing but GET /events is sent"
        );
    }
    let newest = server.emulator().newest_position(TOKEN);
    assert_eq!(
        subscription.resume_at().position().unwrap().as_str(),
        newest
    );

    // Everything that happens from then on is delivered.
    server.append(TOKEN, 2);
    let came = follow(&mut subscription, 2).await;
    assert_eq!(came, server.event_ids(TOKEN)[3..]);
}

#[tokio::test]
async fn oldest_is_saved_when_box_gives_no_position() {
    let server = fake_box(|_| ());
    server.queue_fault(Endpoint::Events, Fault::NullPosition, u32::MAX);
    let store = Memory::default();
    let mut subscription = subscribe(&client(&server), &store).await;
    idle_until(&mut subscription, |_| store.kept().is_some()).await;
    assert_eq!(store.kept().unwrap().resume_at(), StartAt::Oldest);
}

#[tokio::test]
async fn start_at_now_survives_a_crash_before_the_first_event() {
    let server = fake_box(|_| ());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("checkpoint");
    let client = client(&server);
    for _ in 0..3 {
        let store = CheckpointFile::open(&file).unwrap();
        drop(
            in_time(started(client.subscribe(store, ACCOUNT, StartAt::Now)))
                .await
                .unwrap(),
        );
        server.append(TOKEN, 2);
    }
    let store = CheckpointFile::open(&file).unwrap();
    let mut subscription = in_time(started(client.subscribe(store, ACCOUNT, StartAt::Now)))
        .await
        .unwrap();
    assert_eq!(follow(&mut subscription, 6).await, server.event_ids(TOKEN));
}

#[tokio::test]
async fn start_at_now_survives_transient_failures() {
    let server = fake_box(|_| ());
    server.queue_fault(Endpoint::Events, Fault::ServerError, 2);
    server.queue_fault(Endpoint::Events, Fault::MissingPosition, 1);
    let store = Memory::default();
    let started = in_time(started(client(&server).subscribe(
        store.clone(),
        ACCOUNT,
        StartAt::Now,
    )))
    .await;
    assert!(started.is_ok(), "{started:?}");
    assert_eq!(server.counters().total.requests, 4);
    assert!(store.position().is_some());
}

#[tokio::test]
async fn permanent_failure_ends_the_start_and_saves_nothing() {
    let server = fake_box(|_| ());
    server.queue_fault(Endpoint::Events, Fault::Forbidden, 1);
    let store = Memory::default();
    let error = in_time(started(client(&server).subscribe(
        store.clone(),
        ACCOUNT,
        StartAt::Now,
    )))
    .await
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    assert!(store.saves().is_empty());
}

#[tokio::test]
async fn start_at_now_waits_until_its_position_is_saved() {
    let server = fake_box(|_| ());
    for behaviour in [Behaviour::KeepsAndFails, Behaviour::Panics] {
        let store = Memory::default();
        store.behave(behaviour);
        let store_that_finds_nothing = Fresh(store.clone());
        let mut subscription =
            client(&server).subscribe(store_that_finds_nothing, ACCOUNT, StartAt::Now);
        idle_until(&mut subscription, |subscription| {
            matches!(subscription.status(), Status::NotSaving { .. })
        })
        .await;
        assert_eq!(subscription.resume_at(), StartAt::Now);
        store.behave(Behaviour::Works);
        let mut subscription = in_time(started(subscription)).await.unwrap();
        assert_eq!(
            subscription.resume_at().position(),
            store.position().as_ref()
        );
        assert_eq!(server.counters().realtime.requests, 0);
        subscription.handle().stop();
        assert!(in_time(subscription.next()).await.is_none());
    }
}

/// A store that saves, but always loads nothing.
struct Fresh(Memory);

#[async_trait]
impl CheckpointStore for Fresh {
    async fn load(&self, _key: &str) -> Result<Option<Checkpoint>, CheckpointError> {
        Ok(None)
    }

    async fn save(&self, key: &str, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        self.0.save(key, checkpoint).await
    }
}

#[tokio::test]
async fn start_is_ignored_when_there_is_a_checkpoint() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 2);
    let position = server.emulator().newest_position(TOKEN);
    server.append(TOKEN, 2);
    let elsewhere: StreamPosition = "17".parse().unwrap();
    for start in [StartAt::Now, StartAt::Oldest, StartAt::At(elsewhere)] {
        let store = Memory::with(&checkpoint(&server, &position, Duration::ZERO));
        let requests = server.counters().total.requests;
        let mut subscription = in_time(started(client(&server).subscribe(store, ACCOUNT, start)))
            .await
            .unwrap();
        assert_eq!(
            server.counters().total.requests,
            requests,
            "nothing is sent"
        );
        assert_eq!(
            subscription.resume_at().position().unwrap().as_str(),
            position
        );
        let came = follow(&mut subscription, 2).await;
        assert_eq!(came, server.event_ids(TOKEN)[2..]);
    }
}

#[tokio::test]
async fn a_start_that_box_rejects_leaves_no_checkpoint() {
    let server = fake_box(|_| ());
    let store = Memory::default();
    let nowhere: StreamPosition = "nowhere".parse().unwrap();
    let mut subscription = in_time(started(client(&server).subscribe(
        store.clone(),
        ACCOUNT,
        nowhere,
    )))
    .await
    .unwrap();
    let error = in_time(subscription.next()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PositionRejected);
    assert!(subscription.next().await.is_none());
    assert!(store.saves().is_empty());

    server.append(TOKEN, 1);
    drop(next_batch(&mut subscribe(&client(&server), &store).await).await);
}

#[tokio::test]
async fn empty_key_is_refused() {
    let server = fake_box(|_| ());
    let error = in_time(started(client(&server).subscribe(
        Memory::default(),
        "",
        StartAt::Now,
    )))
    .await
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}

/// A transport that adds an event to the page of `now`, where Box should send none. The log has the
/// same event after that position.
struct EventfulNow(ReqwestTransport);

#[async_trait]
impl HttpTransport for EventfulNow {
    async fn send(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        let is_now = request.request().uri().to_string().contains("position=now");
        let mut response = self.0.send(request).await?;
        if is_now {
            let body = String::from_utf8(response.body().to_vec()).unwrap();
            let body = body.replace("\"entries\":[]", "\"entries\":[{\"event_id\":\"a\"}]");
            *response.body_mut() = body.into();
        }
        Ok(response)
    }

    async fn sleep(&self, duration: Duration) -> Result<(), TransportError> {
        self.0.sleep(duration).await
    }
}

#[rstest]
#[case::short_page(500)]
#[case::full_page(1)]
#[tokio::test]
async fn event_on_the_page_of_now_is_delivered_and_hides_none(#[case] page_limit: u32) {
    let server = fake_box(|_| ());
    let transport = EventfulNow(ReqwestTransport::new().unwrap());
    let token = AccessToken::new(TOKEN).unwrap();
    let builder = builder(&server).page_limit(page_limit);
    let client = builder.build(transport, token).unwrap();
    let store = Memory::default();
    let started = in_time(started(client.subscribe(
        store.clone(),
        ACCOUNT,
        StartAt::Now,
    )))
    .await;
    let mut subscription = started.unwrap();
    assert!(store.position().is_some());
    let batch = next_batch(&mut subscription).await;
    assert_eq!(ids(&batch), ["a"]);
    drop((batch, subscription));

    server.append_json(TOKEN, [r#"{"event_id":"a"}"#, r#"{"event_id":"b"}"#]);
    let mut resumed = subscribe(&client, &store).await;
    assert_eq!(follow(&mut resumed, 2).await, ["a", "b"]);
}
