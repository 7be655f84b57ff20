//! Tests of subscriptions with the blocking client. They repeat the main promises of the async
//! client: acknowledgements, restarts, gaps and failing stores.

use std::thread;
use std::time::Duration;

use box_longpoll::blocking::{Delivery, Iter, LongPollClient, Timed};
use box_longpoll::checkpoint::CheckpointFile;
use box_longpoll::enterprise::AdminLogs;
use box_longpoll::event::EventFilter;
use box_longpoll::transport::Moment;
use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{AccessToken, ErrorKind, Event, StartAt, Status, Update};
use box_longpoll_testkit::{Emulator, EmulatorServer};

use crate::fake_box::{PATIENCE, TOKEN, builder, fake_box};
use crate::store::{Behaviour, Memory};
use crate::world::{ACCOUNT, DAY, checkpoint};

type Updates = Iter<Update<Delivery>>;

fn client(server: &EmulatorServer) -> LongPollClient<ReqwestTransport> {
    builder(server)
        .page_limit(2)
        .max_unacknowledged(3)
        .build_blocking(
            ReqwestTransport::new().unwrap(),
            AccessToken::new(TOKEN).unwrap(),
        )
        .unwrap()
}

fn subscribe(server: &EmulatorServer, store: &Memory) -> Updates {
    started(client(server).subscribe(store.clone(), ACCOUNT, StartAt::Oldest))
}

#[track_caller]
fn started(mut updates: Updates) -> Updates {
    match updates.next_timeout(PATIENCE) {
        Timed::Item(Ok(Update::Started(_))) => updates,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn next_batch(updates: &mut Updates) -> Delivery {
    match updates.next_timeout(PATIENCE) {
        Timed::Item(Ok(Update::Batch(batch))) => batch,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn follow(updates: &mut Updates, count: usize) -> Vec<String> {
    let mut came = Vec::new();
    while came.len() < count {
        let batch = next_batch(updates);
        came.extend(batch.iter().map(|event| event.id().unwrap().to_owned()));
        batch.ack().unwrap();
    }
    came
}

#[test]
fn thread_waits_until_everything_before_a_time_is_acknowledged() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 2);
    let mut updates = subscribe(&server, &Memory::default());
    let handle = updates.handle();
    let hour_ago = Moment::read_clocks().wall - Duration::from_secs(3_600);
    let waits = thread::spawn({
        let handle = handle.clone();
        move || handle.wait_until_complete_blocking(hour_ago)
    });
    let batch = next_batch(&mut updates);
    assert_eq!(updates.complete_until(), None);
    batch.ack().unwrap();
    // This thread requests the next batch until the other one has stopped waiting. None comes.
    while !waits.is_finished() {
        let next = updates.next_timeout(Duration::from_millis(5));
        assert!(matches!(next, Timed::Elapsed), "{next:?}");
    }
    assert_eq!(waits.join().unwrap(), Ok(()));
    assert!(updates.complete_until() >= Some(hour_ago));

    let waits = thread::spawn(move || handle.wait_until_complete_blocking(hour_ago + DAY));
    updates.handle().stop();
    assert!(updates.next().is_none());
    assert_eq!(
        waits.join().unwrap().unwrap_err().kind(),
        ErrorKind::Stopped
    );
}

#[test]
fn unacknowledged_batch_is_repeated_after_a_restart() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 6);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("checkpoint");
    let life = || {
        let store = CheckpointFile::open(&file).unwrap();
        started(client(&server).subscribe(store, ACCOUNT, StartAt::Oldest))
    };
    let mut updates = life();
    assert_eq!(follow(&mut updates, 2), server.event_ids(TOKEN)[..2]);
    let open = next_batch(&mut updates);
    // The file stays in use as long as a batch exists.
    drop(updates);
    assert!(CheckpointFile::open(&file).is_err());
    drop(open);
    assert_eq!(follow(&mut life(), 4), server.event_ids(TOKEN)[2..]);
}

#[test]
fn filter_skips_events_and_moves_the_checkpoint() {
    let server = fake_box(|_| ());
    let event = |(n, user): (usize, &str)| {
        format!(r#"{{"event_id":"{n}","created_by":{{"id":"{user}"}}}}"#)
    };
    let users = ["bob", "ada", "bob", "bob", "ada", "bob", "bob"];
    server.append_json(TOKEN, users.into_iter().enumerate().map(event));
    let store = Memory::default();
    let of_ada = client(&server).filtered(EventFilter::new().users(["ada"]));
    let mut updates = started(of_ada.subscribe(store.clone(), ACCOUNT, StartAt::Oldest));
    assert_eq!(follow(&mut updates, 2), ["1", "4"]);
    let end = server.emulator().newest_position(TOKEN);
    while updates.resume_at().to_string() != end {
        let next = updates.next_timeout(Duration::from_millis(5));
        assert!(matches!(next, Timed::Elapsed), "{next:?}");
    }
    assert_eq!(store.position().unwrap().as_str(), end);
}

#[test]
fn query_resumes_and_ends_once_all_is_acknowledged() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 6);
    let store = Memory::default();
    let life = || {
        let query = client(&server).admin_logs(AdminLogs::new()).unwrap();
        started(query.subscribe(store.clone(), ACCOUNT, StartAt::Oldest))
    };
    assert_eq!(follow(&mut life(), 2), server.event_ids(TOKEN)[..2]);
    let mut updates = life();
    let open = [next_batch(&mut updates), next_batch(&mut updates)];
    let before_the_end = updates.next_timeout(Duration::from_millis(200));
    assert!(
        matches!(before_the_end, Timed::Elapsed),
        "{before_the_end:?}"
    );
    for batch in open {
        batch.ack().unwrap();
    }
    assert!(updates.next().is_none());
    assert!(life().next().is_none());

    let query = client(&server).admin_logs(AdminLogs::new()).unwrap();
    let mut updates = query.subscribe_from(store.kept().unwrap());
    let Some(Ok(Update::Started(start))) = updates.next() else {
        panic!("the subscription has not started");
    };
    start.stored();
    assert!(updates.next().is_none());
}

#[test]
fn page_that_was_read_ahead_is_no_part_of_the_checkpoint() {
    let server = fake_box(|settings| settings.latency_ms = 10);
    server.append(TOKEN, 6);
    let store = Memory::default();
    let mut updates = subscribe(&server, &store);
    let wait_until_sent = |events| {
        let all_sent = |emulator: &Emulator| emulator.counters().events_served == events;
        assert!(
            server.wait_until(PATIENCE, all_sent),
            "no page is read ahead"
        );
    };
    let handled = next_batch(&mut updates);
    wait_until_sent(4);
    handled.ack().unwrap();
    let unhandled = next_batch(&mut updates);
    wait_until_sent(6);
    // The process is killed while it handles the second batch.
    drop((unhandled, updates));
    let mut resumed = subscribe(&server, &store);
    assert_eq!(follow(&mut resumed, 4), server.event_ids(TOKEN)[2..]);
}

#[test]
fn ack_is_durable_up_to_the_first_hole_when_it_returns() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 4);
    let store = Memory::default();
    let mut updates = subscribe(&server, &store);
    let first = next_batch(&mut updates);
    let second = next_batch(&mut updates);
    let end = second.resume_at().position().cloned();
    // Another thread acknowledges, while the iterator waits for the next batch.
    let acknowledging = thread::spawn(move || {
        second.ack().unwrap();
        first.ack()
    });
    let nothing = updates.next_timeout(Duration::from_millis(50));
    assert!(matches!(nothing, Timed::Elapsed), "{nothing:?}");
    acknowledging.join().unwrap().unwrap();
    assert_eq!(store.position(), end);
    assert_eq!(updates.resume_at().position(), end.as_ref());
}

#[test]
fn delivery_gives_the_events_of_its_batch() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 2);
    let mut updates = subscribe(&server, &Memory::default());
    let batch = next_batch(&mut updates);
    assert_eq!(batch.len(), 2);
    for events in [
        batch.iter(),
        batch.iter(),
        batch.iter(),
        (&batch).into_iter(),
    ] {
        let ids: Vec<_> = events.filter_map(Event::id).collect();
        assert_eq!(ids, server.event_ids(TOKEN));
    }
}

#[test]
fn start_at_now_is_durable_when_the_subscription_has_started() {
    let server = fake_box(|_| ());
    let store = Memory::default();
    let client = client(&server);
    let mut updates = started(client.subscribe(store.clone(), ACCOUNT, StartAt::Now));
    let newest = server.emulator().newest_position(TOKEN);
    assert_eq!(store.position().unwrap().as_str(), newest);
    assert_eq!(server.counters().total.requests, 1);
    server.append(TOKEN, 1);
    assert_eq!(follow(&mut updates, 1), server.event_ids(TOKEN));
}

#[test]
fn a_batch_that_is_dropped_is_an_error_at_the_next_call() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 4);
    let mut updates = subscribe(&server, &Memory::default());
    drop(next_batch(&mut updates));
    let error = updates.next().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unacknowledged);
    assert!(updates.next().is_none());
}

#[test]
fn failing_store_pauses_delivery_and_loses_nothing() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 12);
    let store = Memory::default();
    let mut updates = subscribe(&server, &store);
    store.behave(Behaviour::Fails);
    for _ in 0..3 {
        let error = next_batch(&mut updates).ack().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Checkpoint);
    }
    let nothing = updates.next_timeout(Duration::from_millis(100));
    assert!(matches!(nothing, Timed::Elapsed), "{nothing:?}");
    assert!(matches!(
        updates.status(),
        Status::NotSaving { batches: 3, .. }
    ));
    store.behave(Behaviour::Works);
    assert_eq!(follow(&mut updates, 6), server.event_ids(TOKEN)[6..]);
    let newest = server.emulator().newest_position(TOKEN);
    assert_eq!(store.position().unwrap().as_str(), newest);
}

#[test]
fn gap_is_reported() {
    let server = fake_box(|_| ());
    let position = server.emulator().newest_position(TOKEN);
    let store = Memory::with(&checkpoint(&server, &position, 22 * DAY));
    let mut updates = subscribe(&server, &store);
    let first = updates.next_timeout(PATIENCE);
    assert!(
        matches!(first, Timed::Item(Ok(Update::PossibleGap(_)))),
        "{first:?}"
    );
    server.append(TOKEN, 2);
    assert_eq!(follow(&mut updates, 2), server.event_ids(TOKEN));
}

#[test]
fn stopping_or_dropping_updates_ends_the_open_poll() {
    let server = fake_box(|_| ());
    for stop in [true, false] {
        let mut updates = subscribe(&server, &Memory::default());
        while server.counters().open_polls == 0 {
            let nothing = updates.next_timeout(Duration::from_millis(10));
            assert!(matches!(nothing, Timed::Elapsed), "{nothing:?}");
        }
        if stop {
            updates.handle().stop();
            assert!(updates.next().is_none());
        } else {
            drop(updates);
        }
        assert!(server.wait_until(PATIENCE, |emulator| emulator.counters().open_polls == 0));
    }
}
