//! Streams that begin at a time in the past: history first, then live events.

use std::collections::BTreeSet;
use std::time::Duration;

use box_longpoll::enterprise::AdminLogsStreaming;
use box_longpoll::{ErrorKind, EventStream, StartAt, Status};
use jiff::{SignedDuration, Timestamp};

use crate::world::World;

/// Returns a world with `count` events, spread evenly over the time from `days` days ago to now.
fn past(count: i64, days: i64) -> World {
    let world = World::with_events(0, |_| ());
    let now = now(&world);
    let seconds = days * 24 * 60 * 60;
    world.append_json((1..=count).map(|n| {
        let ago = SignedDuration::from_secs(seconds - seconds * n / count);
        event(n, now - ago)
    }));
    world
}

fn event(n: i64, created: Timestamp) -> String {
    format!(r#"{{"event_id":"{n}","event_type":"LOGIN","created_at":"{created}"}}"#)
}

fn now(world: &World) -> Timestamp {
    let now = box_longpoll::HttpTransport::now(world).wall;
    Timestamp::try_from(now).unwrap()
}

fn days_ago(world: &World, days: i64) -> Timestamp {
    now(world) - SignedDuration::from_hours(24 * days)
}

fn since(world: &World, days: i64) -> EventStream<World> {
    let client = world.client();
    let client = client.enterprise(AdminLogsStreaming::default()).unwrap();
    client.events(StartAt::Since(days_ago(world, days)))
}

fn ids(numbers: impl Iterator<Item = i64>) -> Vec<String> {
    numbers.map(|n| n.to_string()).collect()
}

#[test]
fn history_comes_first_and_each_event_once() {
    let world = past(20_000, 300);
    let mut events = since(&world, 365);
    assert_eq!(world.next_ids(&mut events, 20_000), ids(1..=20_000));
    world.append(3);
    let new = world.event_ids().split_off(20_000);
    assert_eq!(world.next_ids(&mut events, 3), new);
    assert!(events.resume_at().position().is_some());
}
