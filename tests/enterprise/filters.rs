//! Streams and subscriptions of an enterprise that deliver only the events of a filter.

use std::collections::HashSet;
use std::time::Duration;

use box_longpoll::enterprise::{AdminLogs, AdminLogsStreaming};
use box_longpoll::event::EventFilter;
use box_longpoll::{Event, LongPollClient, StartAt, Update};
use fastrand::Rng;
use serde_json::Value;

use crate::restarts::{follow, started};
use crate::world::{ADMIN, Store, World};

const KEY: &str = "acme";

/// Two of the emulator's six users.
const USERS: [&str; 2] = ["11446498", "2"];

/// Returns a client of the events that [`USERS`] have caused.
fn filtered(world: &World) -> LongPollClient<World> {
    let client = world.client().filtered(EventFilter::new().users(USERS));
    client.enterprise(AdminLogsStreaming::default()).unwrap()
}

/// Returns the ids of all events that [`USERS`] have caused, in the order of their first
/// appearance.
fn ids_of_users(world: &World) -> Vec<String> {
    let log = world.emulator(|emulator| emulator.events(ADMIN));
    let mut ids = Vec::new();
    let mut seen = HashSet::new();
    for json in log {
        let event: Value = serde_json::from_str(&json).unwrap();
        let text = |pointer| event.pointer(pointer).and_then(Value::as_str);
        let id = text("/event_id").unwrap().to_owned();
        if text("/created_by/id").is_some_and(|user| USERS.contains(&user))
            && seen.insert(id.clone())
        {
            ids.push(id);
        }
    }
    ids
}

#[test]
fn stream_delivers_the_events_that_match_once_each() {
    let world = World::with_events(5_000, |settings| {
        settings.repeat_rate = 0.2;
        settings.reorder_rate = 0.2;
        settings.short_page_rate = 0.2;
        settings.empty_page_rate = 0.1;
        settings.zero_position_at_the_end = true;
    });
    let wanted = ids_of_users(&world);
    assert!((1_000..2_500).contains(&wanted.len()), "{}", wanted.len());
    let mut events = filtered(&world).events(StartAt::Oldest);
    assert_eq!(world.next_ids(&mut events, wanted.len()), wanted);
    let more = world.run_for(Duration::from_secs(600), events.next());
    assert!(more.is_none(), "{more:?}");
    assert_eq!(events.resume_at().to_string(), world.newest_position());
    world.assert_calls_per_minute(60);
}

/// Kills a program forty times at random moments. Then no event matches any more.
#[test]
fn restarts_lose_and_repeat_no_event_that_matches() {
    let world = World::with_events(2_000, |settings| {
        settings.repeat_rate = 0.1;
        settings.short_page_rate = 0.5;
        settings.rate = 2.0;
    });
    let store = Store::default();
    let mut rng = Rng::with_seed(7);
    let mut durable = Vec::new();
    for _ in 0..40 {
        let client = filtered(&world);
        let seconds = Duration::from_secs(rng.u64(1..30));
        let run = async {
            let subscribed = started(client.subscribe(store.clone(), KEY, StartAt::Oldest));
            follow(&mut subscribed.await.unwrap(), &mut rng, &mut durable).await;
        };
        assert!(world.run_for(seconds, run).is_none());
    }
    let wanted = ids_of_users(&world);
    assert!(durable.len() > 700, "{}", durable.len());
    assert_eq!(durable, wanted[..durable.len()]);

    // The last run acknowledges all that is left, and then there is nothing to acknowledge.
    world.emulator(|emulator| emulator.change_settings(|settings| settings.rate = 0.0));
    let wanted = ids_of_users(&world);
    let unwanted = |n| format!(r#"{{"event_id":"unwanted-{n}","created_by":{{"id":"3"}}}}"#);
    world.append_json((0..1_000).map(unwanted));
    let mut subscription = world
        .run(started(filtered(&world).subscribe(
            store.clone(),
            KEY,
            StartAt::Oldest,
        )))
        .unwrap();
    while durable.len() < wanted.len() {
        let Some(Ok(Update::Batch(batch))) = world.run(subscription.next()) else {
            panic!("no batch after {} events", durable.len());
        };
        durable.extend(batch.iter().filter_map(Event::id).map(str::to_owned));
        world.run(batch.ack()).unwrap();
    }
    assert_eq!(durable, wanted);
    let more = world.run_for(Duration::from_secs(100), subscription.next());
    assert!(more.is_none(), "{more:?}");
    let kept = store.kept().unwrap().resume_at().to_string();
    assert_eq!(kept, world.newest_position());
}

#[test]
fn query_with_a_filter_ends_after_its_range() {
    let world = World::with_events(0, |settings| settings.short_page_rate = 0.3);
    world.append_json((0..3_000).map(|n| {
        let ip = n % 256;
        format!(
            r#"{{"event_id":"{n}","created_at":"2026-01-01T00:00:00Z","ip_address":"192.0.2.{ip}"}}"#
        )
    }));
    let office = EventFilter::new().ip_addresses(["192.0.2.8/29"]).unwrap();
    let query = world.client().filtered(office).admin_logs(AdminLogs::new());
    let received = world.ids_to_the_end(&mut query.unwrap().events(StartAt::Oldest));
    let wanted = (0..3_000).filter(|n| (8..16).contains(&(n % 256)));
    let wanted: Vec<String> = wanted.map(|n: u32| n.to_string()).collect();
    assert_eq!(received, wanted);
}
