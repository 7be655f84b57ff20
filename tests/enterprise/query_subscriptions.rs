//! Subscriptions to queries: they resume after a restart, and end once everything is durable.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::checkpoint::{Checkpoint, CheckpointError, CheckpointStore};
use box_longpoll::enterprise::{AdminLogs, AdminLogsQuery};
use box_longpoll::transport::{Moment, TransportError, TransportRequest};
use box_longpoll::{
    AccessToken, Delivery, ErrorKind, HttpTransport, LongPollClient, StartAt, Status, Subscription,
    Update,
};
use bytes::Bytes;
use fastrand::Rng;
use http::Response;
use jiff::{SignedDuration, Timestamp};

use crate::queries::{hour, hours, ids};
use crate::world::{ADMIN, Store, World};

const KEY: &str = "acme";

const HOUR: Duration = Duration::from_secs(60 * 60);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns a query of all events up to an hour.
fn until(world: &World, last: i64) -> AdminLogsQuery<World> {
    let query = AdminLogs::new().created_before(hour(last));
    world.client().admin_logs(query).unwrap()
}

fn ids_of(batch: &Delivery) -> Vec<String> {
    let ids = batch.iter().map(|event| event.id().unwrap().to_owned());
    ids.collect()
}

/// Returns the batches up to the end of the query, without an acknowledgement.
async fn all_batches(subscription: &mut Subscription<World>, events: usize) -> Vec<Delivery> {
    let (mut batches, mut count) = (Vec::new(), 0);
    while count < events {
        match subscription.next().await.unwrap().unwrap() {
            Update::Started(_) => {}
            Update::Batch(batch) => {
                count += batch.len();
                batches.push(batch);
            }
            other => panic!("{other:?}"),
        }
    }
    batches
}

/// Acknowledges batches to the end of the query, and adds their ids to `durable`.
async fn follow(mut subscription: Subscription<World>, durable: &mut Vec<String>) {
    while let Some(update) = subscription.next().await {
        if let Update::Batch(batch) = update.unwrap() {
            let ids = ids_of(&batch);
            batch.ack().await.unwrap();
            durable.extend(ids);
        }
    }
}

#[test]
fn killed_query_resumes_and_repeats_no_acknowledged_event() {
    let world = hours(20_000, |settings| {
        settings.repeat_rate = 0.1;
        settings.short_page_rate = 0.5;
    });
    let store = Store::default();
    let mut rng = Rng::with_seed(7);
    let mut durable = Vec::new();
    let mut lives = 0;
    loop {
        lives += 1;
        let subscription = until(&world, 14_999).subscribe(store.clone(), KEY, StartAt::Oldest);
        let time = Duration::from_millis(rng.u64(20..200));
        let run = follow(subscription, &mut durable);
        if world.run_for(time, run).is_some() {
            break;
        }
    }
    assert!(lives > 5, "{lives}");
    assert_eq!(durable, ids(0..15_000));

    // After its end, it ends again after a call or two.
    let calls = world.calls();
    let again = until(&world, 14_999).subscribe(store, KEY, StartAt::Oldest);
    world.run(follow(again, &mut durable));
    assert_eq!(durable.len(), 15_000);
    assert!(world.calls() <= calls + 2, "{}", world.calls() - calls);
}

#[test]
fn query_ends_only_once_every_batch_is_acknowledged() {
    let world = hours(1_200, |_| ());
    let store = Store::default();
    let mut subscription = until(&world, 1_199).subscribe(store.clone(), KEY, StartAt::Oldest);
    let mut batches = world.run(all_batches(&mut subscription, 1_200));
    let last = batches.pop().unwrap();
    assert!(batches.len() > 1, "{}", batches.len());
    world.run(last.ack()).unwrap();
    for batch in batches {
        assert!(world.run_for(10 * DAY, subscription.next()).is_none());
        assert!(matches!(
            subscription.status(),
            Status::AwaitingAcks { batches: 1.., .. }
        ));
        world.run(batch.ack()).unwrap();
    }
    assert!(world.run(subscription.next()).is_none());
    assert!(matches!(
        subscription.status(),
        Status::Stopped { because: None, .. }
    ));
    let kept = store.kept().unwrap();
    assert_eq!(kept.resume_at(), subscription.resume_at());
    assert_eq!(kept.stream_type(), "admin_logs");
}

#[test]
fn batch_dropped_at_the_end_of_a_query_is_an_error() {
    let world = hours(3, |_| ());
    let mut subscription = until(&world, 2).subscribe(Store::default(), KEY, StartAt::Oldest);
    let batches = world.run(all_batches(&mut subscription, 3));
    assert!(world.run_for(HOUR, subscription.next()).is_none());
    drop(batches);
    let error = world.run(subscription.next()).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unacknowledged);
    assert!(world.run(subscription.next()).is_none());
}

/// A store that fails until it is repaired.
#[derive(Clone, Default)]
struct Failing {
    store: Store,
    is_repaired: Arc<AtomicBool>,
}

#[async_trait]
impl CheckpointStore for Failing {
    async fn load(&self, key: &str) -> Result<Option<Checkpoint>, CheckpointError> {
        self.store.load(key).await
    }

    async fn save(&self, key: &str, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        if !self.is_repaired.load(Ordering::SeqCst) {
            return Err(CheckpointError::new("the store is down"));
        }
        self.store.save(key, checkpoint).await
    }
}

#[test]
fn query_ends_only_once_the_store_has_everything() {
    let world = hours(3, |_| ());
    let failing = Failing::default();
    let mut subscription = until(&world, 2).subscribe(failing.clone(), KEY, StartAt::Oldest);
    for batch in world.run(all_batches(&mut subscription, 3)) {
        world.run(batch.ack()).unwrap_err();
    }
    assert!(world.run_for(HOUR, subscription.next()).is_none());
    assert!(matches!(subscription.status(), Status::NotSaving { .. }));
    failing.is_repaired.store(true, Ordering::SeqCst);
    assert!(world.run(subscription.next()).is_none());
    assert_ne!(failing.store.kept().unwrap().resume_at(), StartAt::Oldest);
}

#[test]
fn query_without_events_ends_after_its_start() {
    let world = hours(10, |_| ());
    let none = AdminLogs::new().created_after(hour(20));
    let query = world.client().admin_logs(none).unwrap();
    let failing = Failing::default();
    let mut subscription = query.subscribe(failing.clone(), KEY, StartAt::Oldest);
    let started = world.run(subscription.next()).unwrap().unwrap();
    assert!(matches!(started, Update::Started(_)));
    // The position after the range is saved first.
    assert!(world.run_for(HOUR, subscription.next()).is_none());
    failing.is_repaired.store(true, Ordering::SeqCst);
    assert!(world.run(subscription.next()).is_none());
    assert_ne!(failing.store.kept().unwrap().resume_at(), StartAt::Oldest);
}

#[test]
fn program_that_stores_the_checkpoints_gets_each_event_once() {
    let world = hours(3_000, |settings| settings.repeat_rate = 0.2);
    let mut rng = Rng::with_seed(3);
    let mut kept: Option<String> = None;
    let mut durable = Vec::new();
    let mut has_ended = false;
    while !has_ended {
        let query = until(&world, 2_499);
        let mut subscription = match &kept {
            Some(json) => query.subscribe_from(serde_json::from_str::<Checkpoint>(json).unwrap()),
            None => query.subscribe_from(StartAt::Oldest),
        };
        has_ended = world.run(async {
            loop {
                match subscription.next().await.map(Result::unwrap) {
                    Some(Update::Started(progress)) => {
                        kept = Some(serde_json::to_string(progress.checkpoint()).unwrap());
                        progress.stored();
                    }
                    Some(Update::Batch(batch)) => {
                        if rng.u32(..4) == 0 {
                            return false;
                        }
                        kept = Some(serde_json::to_string(&batch.checkpoint().unwrap()).unwrap());
                        durable.extend(ids_of(&batch));
                        batch.stored();
                    }
                    Some(other) => panic!("{other:?}"),
                    None => return true,
                }
            }
        });
    }
    assert_eq!(durable, ids(0..2_500));
}

#[test]
fn checkpoint_of_another_query_is_refused() {
    let world = hours(10, |_| ());
    let store = Store::default();
    let query = |query: AdminLogs| world.client().admin_logs(query).unwrap();
    let ours = AdminLogs::new().created_before(hour(5));
    let ours = ours.event_types(["UPLOAD", "LOGIN"]);
    let begin = |range: AdminLogs| {
        let mut subscription = query(range).subscribe(store.clone(), KEY, StartAt::Oldest);
        world.run(subscription.next()).unwrap()
    };
    let mut subscription = query(ours.clone()).subscribe(store.clone(), KEY, StartAt::Oldest);
    for batch in world.run(all_batches(&mut subscription, 6)) {
        world.run(batch.ack()).unwrap();
    }
    assert!(begin(ours.clone()).is_ok());
    let same = ours.clone().event_types(["LOGIN", "UPLOAD", "LOGIN"]);
    assert!(begin(same).is_ok());
    let calls = world.calls();
    let before = [
        "range",
        "\"the oldest event to 2026-01-01T05:00:00Z\"",
        "\"the oldest event to 2026-01-01T06:00:00Z\"",
    ];
    let after = [
        "range",
        "\"the oldest event to 2026-01-01T05:00:00Z\"",
        "\"2026-01-01T01:00:00Z to 2026-01-01T05:00:00Z\"",
    ];
    let types = ["event types", "\"LOGIN,UPLOAD\"", "\"LOGIN\""];
    for (other, words) in [
        (ours.clone().created_before(hour(6)), before),
        (ours.clone().created_after(hour(1)), after),
        (ours.clone().event_types(["LOGIN"]), types),
    ] {
        let error = begin(other).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Checkpoint);
        for word in words {
            assert!(error.to_string().contains(word), "{error}");
        }
    }
    assert_eq!(world.calls(), calls);
    let json = serde_json::to_value(store.kept().unwrap()).unwrap();
    assert_eq!(json["created_before"], "2026-01-01T05:00:00Z");
    assert_eq!(json["event_types"], "LOGIN,UPLOAD");
    for field in ["created_after", "created_before"] {
        let mut bad = json.clone();
        bad[field] = "yesterday".into();
        assert!(
            serde_json::from_value::<Checkpoint>(bad).is_err(),
            "{field}"
        );
    }
}

#[test]
fn possible_gap_of_a_query_is_reported_after_a_year() {
    for (days, is_reported) in [(364, false), (366, true)] {
        let world = hours(10, |_| ());
        let store = Store::default();
        let mut first = until(&world, 9).subscribe(store.clone(), KEY, StartAt::Oldest);
        for batch in world.run(all_batches(&mut first, 10)) {
            world.run(batch.ack()).unwrap();
        }
        drop(first);
        assert!(world.run_for(days * DAY, pending::<()>()).is_none());
        let mut second = until(&world, 9).subscribe(store, KEY, StartAt::Oldest);
        let started = world.run(second.next()).unwrap().unwrap();
        assert!(matches!(started, Update::Started(_)));
        let next = world.run(second.next()).transpose().unwrap();
        let reports = matches!(next, Some(Update::PossibleGap(_)));
        assert_eq!(reports, is_reported, "{days} {next:?}");
    }
}

/// A transport that records the queries of its requests.
#[derive(Clone)]
struct Recorder {
    world: World,
    queries: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl HttpTransport for Recorder {
    async fn send(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        let query = request.request().uri().query().unwrap_or_default();
        self.queries.lock().unwrap().push(query.to_owned());
        self.world.send(request).await
    }

    async fn sleep(&self, duration: Duration) -> Result<(), TransportError> {
        self.world.sleep(duration).await
    }

    fn now(&self) -> Moment {
        self.world.now()
    }
}

/// Box refuses a range that begins more than 365 days ago. This range began later than that when
/// the program first subscribed.
#[test]
fn range_at_the_edge_of_a_year_moves_on_after_a_restart() {
    let world = World::with_events(2_000, |_| ());
    let recorder = Recorder {
        world: world.clone(),
        queries: Arc::default(),
    };
    let token = AccessToken::new("token-of-the-admin-0").unwrap();
    let client = LongPollClient::new(recorder.clone(), token)
        .as_user(ADMIN)
        .unwrap();
    let now = || Timestamp::try_from(world.now().wall).unwrap();
    let year = SignedDuration::from_hours(365 * 24);
    let range = AdminLogs::new().created_after(now() - year);
    let store = Store::default();
    for day in 0..3 {
        let query = client.admin_logs(range.clone()).unwrap();
        let mut subscription = query.subscribe(store.clone(), KEY, StartAt::Oldest);
        let update = world.run(async {
            let started = subscription.next().await.unwrap().unwrap();
            assert!(matches!(started, Update::Started(_)));
            subscription.next().await.unwrap().unwrap()
        });
        let Update::Batch(batch) = update else {
            panic!("{update:?}");
        };
        world.run(batch.ack()).unwrap();
        let sent = recorder.queries.lock().unwrap().pop().unwrap();
        let mut parameters = url::form_urlencoded::parse(sent.as_bytes());
        let (_, after) = parameters
            .find(|(name, _)| name == "created_after")
            .unwrap();
        let after: Timestamp = after.parse().unwrap();
        assert!(after > now() - year, "day {day}: {after}");
        drop(subscription);
        assert!(world.run_for(DAY, pending::<()>()).is_none());
    }
}
