//! Subscriptions to an enterprise's events, across restarts of the program.

use std::time::Duration;

use box_longpoll::enterprise::AdminLogsStreaming;
use box_longpoll::{Error, ErrorKind, LongPollClient, StartAt, Subscription, Update};
use fastrand::Rng;
use jiff::Timestamp;
use serde_json::json;

use crate::world::{Store, World};

const KEY: &str = "acme";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns a client that follows the enterprise.
fn enterprise(world: &World) -> LongPollClient<World> {
    let streaming = AdminLogsStreaming::default();
    world.client().enterprise(streaming).unwrap()
}

/// Returns the subscription when it has started, or the error with which it stopped.
pub(crate) async fn started(
    mut subscription: Subscription<World>,
) -> Result<Subscription<World>, Error> {
    match subscription.next().await {
        Some(Ok(Update::Started(_))) => Ok(subscription),
        Some(Err(error)) => Err(error),
        other => panic!("{other:?}"),
    }
}

/// Acknowledges most batches, some of them late. Adds the ids of acknowledged events to `durable`.
pub(crate) async fn follow(
    subscription: &mut Subscription<World>,
    rng: &mut Rng,
    durable: &mut Vec<String>,
) {
    let mut unacknowledged = Vec::new();
    loop {
        match subscription.next().await.unwrap().unwrap() {
            Update::Batch(batch) => unacknowledged.push(batch),
            other => panic!("{other:?}"),
        }
        if rng.u32(..3) > 0 {
            for batch in unacknowledged.drain(..) {
                let ids: Vec<String> = batch
                    .iter()
                    .map(|event| event.id().unwrap().to_owned())
                    .collect();
                batch.ack().await.unwrap();
                durable.extend(ids);
            }
        }
    }
}

/// Kills a program forty times at random moments. Acknowledged events are never delivered again.
#[test]
fn restarts_lose_nothing_and_repeat_no_acknowledged_event() {
    let world = World::with_events(2_000, |settings| {
        settings.repeat_rate = 0.1;
        settings.short_page_rate = 0.5;
        settings.rate = 2.0;
        settings.zero_position_at_the_end = true;
    });
    let store = Store::default();
    let mut rng = Rng::with_seed(7);
    let mut durable = Vec::new();
    for _ in 0..40 {
        let enterprise = enterprise(&world);
        let seconds = Duration::from_secs(rng.u64(1..30));
        let run = async {
            let subscribed = started(enterprise.subscribe(store.clone(), KEY, StartAt::Oldest));
            follow(&mut subscribed.await.unwrap(), &mut rng, &mut durable).await;
        };
        assert!(world.run_for(seconds, run).is_none());
    }
    assert!(durable.len() > 2_200, "{}", durable.len());
    assert_eq!(durable, world.event_ids()[..durable.len()]);
    assert_eq!(store.kept().unwrap().stream_type(), "admin_logs_streaming");
}

#[test]
fn events_between_two_runs_arrive_in_the_second_run() {
    let world = World::with_events(10, |_| ());
    let store = Store::default();
    let subscribe = || {
        world.run(started(enterprise(&world).subscribe(
            store.clone(),
            KEY,
            StartAt::Now,
        )))
    };
    drop(subscribe().unwrap());
    world.append(3);
    let mut subscription = subscribe().unwrap();
    let update = world.run(subscription.next()).unwrap().unwrap();
    let Update::Batch(batch) = update else {
        panic!("{update:?}");
    };
    let ids: Vec<&str> = batch.iter().filter_map(|event| event.id()).collect();
    assert_eq!(ids, world.event_ids()[10..]);
    world.run(batch.ack()).unwrap();
}

#[test]
fn checkpoint_of_another_stream_type_is_refused() {
    let world = World::with_events(10, |_| ());
    let (of_enterprise, of_user) = (Store::default(), Store::default());
    let (enterprise, user) = (enterprise(&world), world.client());
    let subscribed = started(enterprise.subscribe(of_enterprise.clone(), KEY, StartAt::Now));
    drop(world.run(subscribed).unwrap());
    let subscribed = started(user.subscribe(of_user.clone(), KEY, StartAt::Now));
    drop(world.run(subscribed).unwrap());
    let calls = world.calls();
    for refused in [
        world.run(started(user.subscribe(of_enterprise, KEY, StartAt::Now))),
        world.run(started(enterprise.subscribe(of_user, KEY, StartAt::Now))),
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Checkpoint);
        for word in ["stream type", "\"admin_logs_streaming\"", "\"all\""] {
            assert!(error.to_string().contains(word), "{error}");
        }
    }
    assert_eq!(world.calls(), calls);
}

#[test]
fn checkpoint_is_independent_of_the_event_types() {
    let world = World::with_events(0, |_| ());
    let store = Store::default();
    let subscribe = |kind: &str| {
        let streaming = AdminLogsStreaming::default().event_types([kind]);
        let enterprise = world.client().enterprise(streaming).unwrap();
        world.run(started(enterprise.subscribe(
            store.clone(),
            KEY,
            StartAt::Now,
        )))
    };
    let event = |id: &str, kind: &str| format!(r#"{{"event_id":"{id}","event_type":"{kind}"}}"#);
    drop(subscribe("LOGIN").unwrap());
    world.append_json([event("a", "LOGIN"), event("b", "UPLOAD")]);
    let mut subscription = subscribe("UPLOAD").unwrap();
    let update = world.run(subscription.next()).unwrap().unwrap();
    let Update::Batch(batch) = update else {
        panic!("{update:?}");
    };
    assert_eq!(batch[0].id(), Some("b"));
    world.run(batch.ack()).unwrap();
}

#[test]
fn possible_gap_is_reported_after_more_than_14_days() {
    let world = World::with_events(10, |_| ());
    for (days, is_reported) in [(13, false), (15, true)] {
        let store = Store::default();
        let last_success = box_longpoll::HttpTransport::now(&world).wall - days * DAY;
        let last_success = Timestamp::try_from(last_success).unwrap();
        let checkpoint = json!({
            "account": KEY,
            "stream_type": "admin_logs_streaming",
            "api_origin": "https://api.box.com",
            "position": "oldest",
            "last_success": last_success.to_string(),
            "id_key": "0".repeat(32),
            "ids": "",
        });
        store.keep(checkpoint.to_string());
        let enterprise = enterprise(&world);
        let subscribed = started(enterprise.subscribe(store, KEY, StartAt::Oldest));
        let mut subscription = world.run(subscribed).unwrap();
        match world.run(subscription.next()).unwrap().unwrap() {
            Update::PossibleGap(gap) => {
                assert!(is_reported, "{days}");
                assert_eq!(gap.retention, 14 * DAY);
            }
            Update::Batch(batch) => {
                assert!(!is_reported, "{days}");
                world.run(batch.ack()).unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
}
