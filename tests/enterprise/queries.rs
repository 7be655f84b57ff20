//! Queries for an enterprise's events in a range of time, which end.

use std::time::Duration;

use box_longpoll::enterprise::{AdminLogs, AdminLogsQuery};
use box_longpoll::{ErrorKind, EventType, StartAt, Status, StreamMap};
use box_longpoll_testkit::{Endpoint, Fault};
use jiff::{SignedDuration, Timestamp};

use crate::world::World;

/// Returns the time at which the event `n` was created. There is one event per hour.
pub(crate) fn hour(n: i64) -> Timestamp {
    let first: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    first + SignedDuration::from_hours(n)
}

/// Returns a world with an event for each of the first `count` hours of a year. The types
/// alternate.
pub(crate) fn hours(count: i64, change: impl FnOnce(&mut box_longpoll_testkit::Settings)) -> World {
    let world = World::with_events(0, change);
    world.append_json((0..count).map(|n| {
        let kind = if n % 2 == 0 { "LOGIN" } else { "UPLOAD" };
        let created = hour(n);
        format!(r#"{{"event_id":"{n}","event_type":"{kind}","created_at":"{created}"}}"#)
    }));
    world
}

/// Returns a query of the world's client.
fn query(world: &World, query: AdminLogs) -> AdminLogsQuery<World> {
    world.client().admin_logs(query).unwrap()
}

/// Returns the ids of the events of these hours.
pub(crate) fn ids(hours: impl Iterator<Item = i64>) -> Vec<String> {
    hours.map(|n| n.to_string()).collect()
}

#[test]
fn query_brings_exactly_its_range_and_ends() {
    let world = hours(5_000, |settings| {
        settings.repeat_rate = 0.1;
        settings.short_page_rate = 0.3;
        settings.empty_page_rate = 0.1;
    });
    // The range is Box's: events after the first bound, up to and including the second one.
    let range = AdminLogs::new()
        .created_after(hour(999))
        .created_before(hour(3_999));
    let mut events = query(&world, range.clone()).events(StartAt::Oldest);
    assert_eq!(world.ids_to_the_end(&mut events), ids(1_000..4_000));
    assert!(matches!(
        events.status(),
        Status::Stopped { because: None, .. }
    ));
    assert!(world.run(events.next()).is_none(), "the query stays ended");
    world.assert_calls_per_minute(300);

    let logins = range.event_types([EventType::Login]);
    let received = world.ids_to_the_end(&mut query(&world, logins).events(StartAt::Oldest));
    assert_eq!(received, ids((1_000..4_000).step_by(2)));
}

/// Proves that a query has no bounds by default, and that the result of an empty range is empty.
#[test]
fn query_without_a_range_brings_every_event() {
    let world = hours(1_200, |settings| settings.zero_position_at_the_end = true);
    let received =
        world.ids_to_the_end(&mut query(&world, AdminLogs::new()).events(StartAt::Oldest));
    assert_eq!(received, ids(0..1_200));
    let later = AdminLogs::new().created_after(hour(1_200));
    let none = world.ids_to_the_end(&mut query(&world, later).events(StartAt::Oldest));
    assert!(none.is_empty(), "{none:?}");
}

#[test]
fn query_wakes_its_task_when_it_ends() {
    let world = hours(1_200, |_| ());
    // A `StreamMap` polls a stream only after a wake-up, and removes it at its end.
    let mut streams = StreamMap::new();
    streams.insert(
        "all",
        query(&world, AdminLogs::new()).batches(StartAt::Oldest),
    );
    let count = async {
        let mut events = 0;
        while let Some((_, batch)) = streams.next().await {
            events += batch.unwrap().len();
        }
        events
    };
    assert_eq!(world.run(count), 1_200);
}

#[test]
fn query_resumes_at_a_position_in_its_middle() {
    let world = hours(3_000, |settings| settings.short_page_rate = 0.5);
    let range = AdminLogs::new().created_before(hour(2_499));
    let mut batches = query(&world, range.clone()).batches(StartAt::Oldest);
    let mut received = 0;
    let mut positions = vec![(StartAt::Oldest, received)];
    while let Some(batch) = world.run(batches.next()) {
        let batch = batch.unwrap();
        received += i64::try_from(batch.len()).unwrap();
        positions.push((batch.resume_at().clone(), received));
    }
    assert_eq!(received, 2_500);
    assert!(positions.len() > 6, "{}", positions.len());
    for (position, before) in positions {
        let rest = query(&world, range.clone()).events(position);
        let mut rest = rest;
        assert_eq!(world.ids_to_the_end(&mut rest), ids(before..2_500));
    }

    let mut events = query(&world, range.clone()).events(StartAt::Oldest);
    let first = world.next_ids(&mut events, 1_234);
    assert_eq!(first, ids(0..1_234));
    let handled = events.resume_at();
    let rest = world.ids_to_the_end(&mut query(&world, range).events(handled));
    let repeated = rest.len() + 1_234 - 2_500;
    assert!(
        repeated < 500,
        "{repeated} events are repeated, which is more than a page"
    );
    assert_eq!(rest, ids(i64::try_from(1_234 - repeated).unwrap()..2_500));
}

#[test]
fn query_survives_failures_and_expired_tokens() {
    let world = hours(10_000, |_| ());
    let mut batches = query(&world, AdminLogs::new()).batches(StartAt::Oldest);
    let mut received = Vec::new();
    let faults = [Fault::Reset, Fault::RateLimited { seconds: 7 }, Fault::Html];
    for (tokens, fault) in (1..).zip(faults) {
        // A page that was read ahead does not need the next token.
        while received.is_empty() || world.tokens() < tokens {
            let batch = world.run(batches.next()).unwrap().unwrap();
            received.extend(batch.iter().map(|event| event.id().unwrap().to_owned()));
        }
        world.emulator(|emulator| emulator.queue_fault(Endpoint::Events, fault, 2));
        world.revoke_token();
    }
    while let Some(batch) = world.run(batches.next()) {
        let batch = batch.unwrap();
        received.extend(batch.iter().map(|event| event.id().unwrap().to_owned()));
    }
    assert_eq!(received, ids(0..10_000));
    assert_eq!(world.tokens(), 4);
}

#[test]
fn query_respects_its_rate_limit() {
    let world = hours(20_000, |_| ());
    let slow = AdminLogs::new().calls_per_minute(10);
    let received = world.ids_to_the_end(&mut query(&world, slow).events(StartAt::Oldest));
    assert_eq!(received.len(), 20_000);
    world.assert_calls_per_minute(10);
    let minutes = world.gaps(0).iter().sum::<f64>() / 60.0;
    assert!((4.0..5.5).contains(&minutes), "{minutes}");
}

#[test]
fn invalid_settings_are_refused_before_a_request_is_sent() {
    let world = hours(1, |_| ());
    for refused in [
        AdminLogs::new()
            .created_after(hour(2))
            .created_before(hour(1)),
        AdminLogs::new().event_types(["A,B"]),
        AdminLogs::new().calls_per_minute(0),
    ] {
        let error = world.client().admin_logs(refused).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
    }
    let refused =
        box_longpoll::enterprise::AdminLogsStreaming::default().shortest_interval(Duration::ZERO);
    let error = world.client().enterprise(refused).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let mut now = query(&world, AdminLogs::new()).events(StartAt::Now);
    let error = world.run(now.next()).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(world.run(now.next()).is_none());
    assert_eq!(world.calls(), 0);
}
