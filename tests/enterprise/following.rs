//! Streams of an enterprise's events, which fetch at an interval.

use std::time::Duration;

use box_longpoll::config::StreamType;
use box_longpoll::enterprise::AdminLogsStreaming;
use box_longpoll::{ErrorKind, EventType, StartAt, Status, StreamMap};
use box_longpoll_testkit::{Endpoint, Fault};

use crate::world::{ADMIN, World};

/// Returns the default settings.
fn streaming() -> AdminLogsStreaming {
    AdminLogsStreaming::default()
}

/// Follows five thousand events within a rate limit of 10 calls per minute.
#[test]
fn repeated_and_reordered_events_arrive_once_each() {
    let world = World::with_events(5_000, |settings| {
        settings.repeat_rate = 0.2;
        settings.reorder_rate = 0.2;
        settings.short_page_rate = 0.2;
        settings.empty_page_rate = 0.1;
        settings.zero_position_at_the_end = true;
    });
    let enterprise = world.client().enterprise(streaming().calls_per_minute(10));
    let mut events = enterprise.unwrap().events(StartAt::Oldest);
    assert_eq!(world.next_ids(&mut events, 5_000), world.event_ids());
    let more = world.run_for(Duration::from_secs(600), events.next());
    assert!(more.is_none(), "{more:?}");
    world.assert_calls_per_minute(10);
}

#[test]
fn new_events_arrive_once_each_within_the_rate_limit() {
    let world = World::with_events(0, |settings| {
        settings.repeat_rate = 0.2;
        settings.rate = 10.0;
    });
    let enterprise = world.client().enterprise(streaming()).unwrap();
    let mut events = enterprise.events(StartAt::Oldest);
    let received = world.next_ids(&mut events, 5_000);
    assert_eq!(received, world.event_ids()[..5_000]);
    world.assert_calls_per_minute(60);
    // At ten events per second, each fetch brings a few.
    assert!(world.calls() > 200, "{}", world.calls());
}

#[test]
fn backlog_is_delivered_as_fast_as_the_rate_limit_permits() {
    let world = World::with_events(20_000, |_| ());
    let enterprise = world.client().enterprise(streaming().calls_per_minute(20));
    let mut events = enterprise.unwrap().events(StartAt::Oldest);
    world.next_ids(&mut events, 20_000);
    world.assert_calls_per_minute(20);
    assert_eq!(world.calls(), 40);
    let minutes = world.gaps(0).iter().sum::<f64>() / 60.0;
    assert!(minutes < 40.0 / 18.0, "{minutes}");
}

#[test]
fn interval_grows_while_idle_and_shrinks_after_an_event() {
    let world = World::with_events(1, |settings| settings.zero_position_at_the_end = true);
    let enterprise = world.client().enterprise(streaming()).unwrap();
    let mut events = enterprise.events(StartAt::Oldest);
    world.next_ids(&mut events, 1);
    let idle = world.run_for(Duration::from_secs(3_600), events.next());
    assert!(idle.is_none());
    let gaps = world.gaps(1);
    let grown = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0];
    for (gap, longest) in gaps.iter().zip(grown) {
        assert!((longest * 0.8..=longest + 0.1).contains(gap), "{gaps:?}");
    }
    assert!(gaps.len() < 80, "{} calls in an hour", gaps.len());
    assert!(matches!(events.status(), Status::Waiting { .. }));

    let before = world.calls();
    world.append(1);
    assert_eq!(world.next_ids(&mut events, 1), world.event_ids()[1..]);
    world.run_for(Duration::from_secs(10), events.next());
    let gaps = world.gaps(before);
    assert!(
        gaps[0] < 0.1,
        "a page with an event is followed by the next fetch at once: {gaps:?}"
    );
    assert!((1.0..1.1).contains(&gaps[1]), "{gaps:?}");
}

#[test]
fn only_events_of_the_requested_types_are_delivered() {
    let world = World::with_events(0, |settings| settings.repeat_rate = 0.1);
    let types = ["LOGIN", "UPLOAD", "FAILED_LOGIN", "SIGN&SEAL"];
    let event = |n: usize| {
        let kind = types[n % types.len()];
        format!(r#"{{"event_id":"{n}","event_type":"{kind}"}}"#)
    };
    world.append_json((0..1_000).map(event));
    for wanted in [vec![0], vec![0, 2], vec![3], vec![0, 1, 2, 3], vec![]] {
        let names = wanted.iter().map(|n| EventType::from(types[*n]));
        let enterprise = world.client().enterprise(streaming().event_types(names));
        let mut events = enterprise.unwrap().events(StartAt::Oldest);
        let expected: Vec<String> = (0..1_000)
            .filter(|n| wanted.is_empty() || wanted.contains(&(n % types.len())))
            .map(|n| n.to_string())
            .collect();
        assert_eq!(world.next_ids(&mut events, expected.len()), expected);
        let more = world.run_for(Duration::from_secs(100), events.next());
        assert!(more.is_none(), "{more:?}");
    }
}

#[test]
fn expired_token_is_refreshed_and_nothing_is_lost() {
    let world = World::with_events(0, |settings| settings.rate = 1.0);
    let enterprise = world.client().enterprise(streaming()).unwrap();
    let mut events = enterprise.events(StartAt::Oldest);
    let mut received = Vec::new();
    for hour in 1..=3 {
        // An access token is valid for an hour.
        received.extend(world.next_ids(&mut events, 3_600));
        assert_eq!(world.tokens(), hour);
        world.revoke_token();
    }
    received.extend(world.next_ids(&mut events, 10));
    assert_eq!(received, world.event_ids()[..received.len()]);
    world.assert_calls_per_minute(60);
}

#[test]
fn transient_faults_only_delay_events() {
    // These faults end a stream. A 401 does so if it also meets the newer token.
    let ends = [
        "unauthorized",
        "unauthorized_empty",
        "forbidden",
        "bad_position",
    ];
    let faults = Fault::all()
        .into_iter()
        .filter(|fault| fault.applies_to(Endpoint::Events) && !ends.contains(&fault.name()));
    let world = World::with_events(0, |settings| settings.rate = 0.5);
    let enterprise = world.client().enterprise(streaming()).unwrap();
    let mut events = enterprise.events(StartAt::Oldest);
    let mut received = world.next_ids(&mut events, 10);
    for fault in faults {
        world.emulator(|emulator| emulator.queue_fault(Endpoint::Events, fault, 2));
        received.extend(world.next_ids(&mut events, 150));
        assert_eq!(world.emulator(|emulator| emulator.queued_faults()), 0);
    }
    assert_eq!(received, world.event_ids()[..received.len()]);
    world.assert_calls_per_minute(60);
}

#[test]
fn stream_stops_with_forbidden_without_admin_rights() {
    let world = World::with_events(1, |_| ());
    world.emulator(|emulator| emulator.queue_fault(Endpoint::Events, Fault::Forbidden, 1));
    let enterprise = world.client().enterprise(streaming()).unwrap();
    let mut events = enterprise.events(StartAt::Now);
    let error = world.run(events.next()).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    assert!(world.run(events.next()).is_none());
}

#[test]
fn stream_map_follows_enterprises_too() {
    let world = World::with_events(0, |settings| settings.rate = 1.0);
    let enterprise = world.client().enterprise(streaming()).unwrap();
    let mut streams = StreamMap::new();
    for n in 0..3 {
        streams.insert(n, enterprise.events(StartAt::Oldest));
    }
    let mut received = vec![Vec::new(); 3];
    world.run(async {
        while received.iter().any(|ids| ids.len() < 100) {
            let (n, event) = streams.next().await.expect("the streams continue");
            let event: box_longpoll::Event = event.unwrap();
            received[n].push(event.id().unwrap().to_owned());
        }
    });
    let log = world.event_ids();
    for ids in received {
        assert_eq!(ids, log[..ids.len()]);
    }
}

#[test]
fn one_page_can_be_fetched_by_hand() {
    let world = World::with_events(7, |_| ());
    let enterprise = world.client().enterprise(streaming()).unwrap();
    let now = world.run(enterprise.fetch(StartAt::Now)).unwrap();
    let newest = now.next_position.unwrap();
    assert_eq!(newest.as_str(), world.newest_position());
    world.append(2);
    let page = world.run(enterprise.fetch(newest)).unwrap();
    assert_eq!(page.events.len(), 2);
    let requested = world.emulator(|emulator| {
        let requests = emulator.requests();
        let streams: Vec<_> = requests.map(|record| record.stream_type.clone()).collect();
        streams
    });
    let name = Some("admin_logs_streaming".to_owned());
    assert_eq!(requested, [name.clone(), name]);
    let user = world.client();
    world.run(user.fetch(StartAt::Now)).unwrap();
    let last = world.emulator(|emulator| emulator.requests().last().unwrap().clone());
    assert_eq!(last.stream_type.as_deref(), Some(StreamType::All.as_str()));
    assert_eq!(last.as_user.as_deref(), Some(ADMIN));
}
