//! Audits: the past events that a program's records lack.

use std::collections::{BTreeSet, HashSet};
use std::convert::Infallible;
use std::error::Error as _;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use box_longpoll::enterprise::{AdminLogs, Audit, MissingEvents};
use box_longpoll::event::EventFilter;
use box_longpoll::{ErrorKind, Event, HttpTransport, Status};
use jiff::SignedDuration;

use crate::history::{as_at_box, days_ago, event_of, ids, now, past, troubled_past};
use crate::world::World;

/// The number of the last of 20,000 events in 300 days that a default range includes. It happened a
/// day ago, or a little earlier.
const LAST: i64 = 20_000 - 20_000 / 300 - 1;

fn audit(world: &World, range: AdminLogs) -> Audit<World> {
    world.client().audit(range).unwrap()
}

/// Returns the ids of the missing events, and asserts their number.
#[track_caller]
fn missing(world: &World, events: &mut MissingEvents<World>) -> Vec<String> {
    let missing: Vec<String> = world.run(async {
        let mut missing = Vec::new();
        while let Some(event) = events.next().await {
            missing.push(event.unwrap().id().unwrap().to_owned());
        }
        missing
    });
    assert_eq!(events.missing(), missing.len() as u64);
    assert!(matches!(
        events.status(),
        Status::Stopped { because: None, .. }
    ));
    missing
}

#[test]
fn audit_finds_the_events_that_the_records_lack() {
    let world = past(20_000, 300);
    let lost = |n: &i64| n % 1_000 == 7 || (5_000..6_000).contains(n) || *n > 19_990;
    let records = ids((1..=20_000).filter(|n| !lost(n)));
    let expected = ids((1..=LAST).filter(lost));
    let audit = audit(&world, AdminLogs::new());
    let mut events = audit.missing_from(&records);
    assert_eq!(missing(&world, &mut events), expected);
    assert_eq!(events.checked(), LAST.unsigned_abs());

    let records: HashSet<String> = records.into_iter().collect();
    let mut events = audit.missing_from_store(move |ids| {
        let found = ids.into_iter().filter(|id| records.contains(id)).collect();
        async { Ok::<Vec<String>, Infallible>(found) }
    });
    assert_eq!(missing(&world, &mut events), expected);
    assert_eq!(events.checked(), LAST.unsigned_abs());
    world.assert_calls_per_minute(300);
}

/// Proves that late events, repeats and events out of order are compared once each.
#[test]
fn audit_of_complete_records_is_clean() {
    let (world, records) = troubled_past(20_000, 300, |_| ());
    let range = || AdminLogs::new().created_before(now(&world));
    let mut events = audit(&world, range()).missing_from(&records);
    assert!(missing(&world, &mut events).is_empty());
    assert_eq!(events.checked(), records.len() as u64);

    let mut events = audit(&world, range()).missing_from([""; 0]);
    let all: BTreeSet<String> = missing(&world, &mut events).into_iter().collect();
    assert_eq!(events.missing(), events.checked());
    assert_eq!(all, records.into_iter().collect());
}

#[test]
fn audit_compares_only_its_range() {
    let world = past(20_000, 300);
    let range = AdminLogs::new()
        .created_after(days_ago(&world, 200))
        .created_before(days_ago(&world, 100));
    let mut events = audit(&world, range).missing_from([""; 0]);
    // Those of 100 days, and the one at the beginning of the range.
    let expected = 20_000 / 3;
    assert_eq!(
        missing(&world, &mut events),
        ids(expected + 1..=2 * expected + 1)
    );
}

#[test]
fn audit_of_a_filtered_client_compares_what_matches() {
    let world = World::with_events(0, as_at_box);
    let created = days_ago(&world, 30);
    world.append_json((0..100).map(|n| {
        let kind = if n % 4 == 0 { "UPLOAD" } else { "LOGIN" };
        event_of(&n.to_string(), created).replace("LOGIN", kind)
    }));
    let uploads = EventFilter::new().event_types(["UPLOAD"]);
    let client = world.client().filtered(uploads);
    let audit = client.audit(AdminLogs::new()).unwrap();
    let mut events = audit.missing_from(ids(0..50));
    assert_eq!(missing(&world, &mut events), ids((52..100).step_by(4)));
    assert_eq!(events.checked(), 25);
}

#[test]
fn event_without_an_id_counts_as_missing() {
    let world = World::with_events(0, as_at_box);
    let created = days_ago(&world, 30);
    world.append_json([
        event_of("1", created),
        event_of("2", created).replace("event_id", "id"),
    ]);
    let audit = audit(&world, AdminLogs::new());
    let stored = audit.missing_from_store(|ids| async { Ok::<_, Infallible>(ids) });
    for mut events in [audit.missing_from(["1", "2"]), stored] {
        let event = world.run(events.next()).unwrap().unwrap();
        assert_eq!(event.id(), None);
        assert!(world.run(events.next()).is_none());
        assert_eq!((events.checked(), events.missing()), (2, 1));
    }
}

#[test]
fn store_is_called_once_for_each_page() {
    let world = past(2_000, 300);
    let calls = Arc::new(Mutex::new(Vec::new()));
    let called = calls.clone();
    let mut events = audit(&world, AdminLogs::new()).missing_from_store(move |ids| {
        called.lock().unwrap().push(ids.clone());
        // Ids that nobody has named change nothing.
        let found = ids.into_iter().chain(["another".to_owned()]).collect();
        async { Ok::<Vec<String>, Infallible>(found) }
    });
    assert!(missing(&world, &mut events).is_empty());
    let calls = calls.lock().unwrap();
    assert!(calls.iter().all(|ids| (1..=500).contains(&ids.len())));
    let named: Vec<String> = calls.concat();
    assert_eq!(named.len() as u64, events.checked());
    assert_eq!(named, ids(1..=i64::try_from(named.len()).unwrap()));
}

#[test]
fn audit_stops_when_its_store_fails() {
    let world = past(20_000, 300);
    let mut calls = 0;
    let mut events = audit(&world, AdminLogs::new()).missing_from_store(move |_| {
        calls += 1;
        let found = match calls {
            3 => Err(io::Error::other("the database is gone")),
            _ => Ok(Vec::new()),
        };
        async { found }
    });
    let (error, before) = world.run(async {
        let mut before = 0;
        loop {
            match events.next().await.expect("an error") {
                Ok(_) => before += 1,
                Err(error) => return (error, before),
            }
        }
    });
    assert_eq!(error.kind(), ErrorKind::Lookup);
    let source = error.source().unwrap();
    assert!(source.downcast_ref::<io::Error>().is_some());
    assert!(error.display_chain().to_string().contains("is gone"));
    assert_eq!(events.checked(), before);
    assert!(world.run(events.next()).is_none());
    let because = Some(error);
    assert!(
        matches!(events.status(), Status::Stopped { because: stopped, .. } if stopped == because)
    );
}

#[test]
fn dropped_future_loses_no_event_of_an_audit() {
    let world = past(2_000, 300);
    let slow = world.clone();
    let mut events = audit(&world, AdminLogs::new()).missing_from_store(move |_| {
        let slow = slow.clone();
        async move {
            slow.sleep(Duration::from_millis(70)).await.unwrap();
            Ok::<Vec<String>, Infallible>(Vec::new())
        }
    });
    let mut received = Vec::new();
    while !matches!(events.status(), Status::Stopped { .. }) {
        let next = world.run_for(Duration::from_millis(3), events.next());
        let event: Option<Event> = next.flatten().map(|event| event.unwrap());
        received.extend(event.map(|event| event.id().unwrap().to_owned()));
    }
    let count = i64::try_from(events.checked()).unwrap();
    assert!((1_990..2_000).contains(&count), "{count}");
    assert_eq!(received, ids(1..=count));
}

#[test]
fn handle_stops_an_audit_before_its_next_event() {
    let world = past(2_000, 300);
    let audit = audit(&world, AdminLogs::new());
    let mut events = audit.missing_from([""; 0]);
    world.run(events.next()).unwrap().unwrap();
    assert!(matches!(events.status(), Status::ReadingHistory(_)));
    events.handle().stop();
    assert!(world.run(events.next()).is_none());
}

#[test]
fn range_of_an_audit_is_checked() {
    let world = past(10, 10);
    let client = world.client();
    let refused = |range: AdminLogs, why: &str| {
        let error = client.audit(range).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(why), "{error}");
    };
    let day = |days| days_ago(&world, days);
    let after = |days| AdminLogs::new().created_after(day(days));
    refused(after(1), "ends a day ago");
    refused(after(5).created_before(day(6)), "earlier");
    refused(AdminLogs::new().calls_per_minute(0), "calls");
    assert!(client.audit(after(1).created_before(now(&world))).is_ok());
    let second = SignedDuration::from_secs(1);
    assert!(
        client
            .audit(AdminLogs::new().created_after(day(1) - second))
            .is_ok()
    );

    let mut too_early = client.audit(after(366)).unwrap().missing_from(["1"]);
    let error = world.run(too_early.next()).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("365 days"), "{error}");
    assert_eq!(world.calls(), 0);
}
