//! The time up to which a user's stream is complete, and the tasks and threads that wait for it.

use std::thread;
use std::time::{Duration, SystemTime};

use box_longpoll::transport::Moment;
use box_longpoll::{ErrorKind, StartAt};
use box_longpoll_testkit::{Endpoint, Fault};

use crate::world::{
    TOKEN, build, builder, client, fake_box, in_time, listening, next_event, next_ids,
};

/// The default of `event_delay`.
const DELAY: Duration = Duration::from_secs(300);

const SECOND: Duration = Duration::from_secs(1);

const HOUR: Duration = Duration::from_secs(3_600);

fn now() -> SystemTime {
    Moment::read_clocks().wall
}

#[tokio::test]
async fn stream_is_complete_up_to_its_last_fetch() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 3);
    let before = now();
    let mut events = client(&server).events(StartAt::Oldest);
    let handle = events.handle();
    next_ids(&mut events, 3).await;
    // The last event counts as handled when the next one is requested.
    assert_eq!(events.complete_until(), None);
    assert_eq!(handle.complete_until(), None);
    tokio::select! {
        event = events.next() => panic!("unexpected event: {event:?}"),
        waited = in_time(handle.wait_until_complete(before - DELAY - 2 * SECOND)) => waited.unwrap(),
    }
    let complete = handle.complete_until().unwrap();
    assert_eq!(events.complete_until(), Some(complete));
    assert!(complete <= now() - DELAY, "{complete:?}");
}

/// The time of the wait has not passed yet when it begins, so only a later fetch can end it.
#[tokio::test]
async fn idle_stream_moves_on_with_max_staleness() {
    let server = fake_box(|_| ());
    let settings = builder(&server)
        .event_delay(Duration::ZERO)
        .max_staleness(SECOND);
    let mut batches = listening(&server, &build(settings)).await;
    let handle = batches.handle();
    let time = handle.complete_until().unwrap() + 2 * SECOND;
    tokio::select! {
        batch = batches.next() => panic!("unexpected batch: {batch:?}"),
        waited = in_time(handle.wait_until_complete(time)) => waited.unwrap(),
    }
    assert!(batches.complete_until().unwrap() >= time);
}

#[tokio::test]
async fn wait_ends_with_an_error_when_a_handle_stops_the_stream() {
    let server = fake_box(|_| ());
    let mut batches = listening(&server, &client(&server)).await;
    let handle = batches.handle();
    let waits = tokio::spawn(async move { handle.wait_until_complete(now() + HOUR).await });
    batches.handle().stop();
    assert!(in_time(batches.next()).await.is_none());
    let error = in_time(waits).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stopped, "{error}");
    // The time that was reached before the stop stays reached.
    let handle = batches.handle();
    let reached = handle.complete_until().unwrap();
    handle.wait_until_complete(reached).await.unwrap();
}

#[tokio::test]
async fn wait_ends_with_an_error_when_the_stream_is_dropped() {
    let server = fake_box(|_| ());
    let events = client(&server).events(StartAt::Oldest);
    let handle = events.handle();
    let waits = tokio::spawn(async move { handle.wait_until_complete(now()).await });
    drop(events);
    let error = in_time(waits).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stopped, "{error}");
}

#[tokio::test]
async fn wait_ends_with_the_error_that_stops_the_stream() {
    let server = fake_box(|_| ());
    server.queue_fault(Endpoint::Events, Fault::Forbidden, 1);
    let mut events = client(&server).events(StartAt::Oldest);
    let handle = events.handle();
    let error = in_time(events.next()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    let waited = in_time(handle.wait_until_complete(now() - HOUR)).await;
    assert_eq!(waited.unwrap_err(), error);
}

#[tokio::test]
async fn threads_wait_for_different_times_of_one_stream() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 1);
    let mut events = client(&server).events(StartAt::Oldest);
    let handle = events.handle();
    let waits_for = |time: SystemTime| {
        let handle = handle.clone();
        thread::spawn(move || handle.wait_until_complete_blocking(time))
    };
    let reached = [waits_for(now() - HOUR), waits_for(now() - 2 * HOUR)];
    let ahead = waits_for(now() + HOUR);
    next_event(&mut events).await;
    let joined = tokio::task::spawn_blocking(|| reached.map(|thread| thread.join().unwrap()));
    tokio::select! {
        event = events.next() => panic!("unexpected event: {event:?}"),
        joined = in_time(joined) => assert_eq!(joined.unwrap(), [Ok(()), Ok(())]),
    }
    assert!(!ahead.is_finished(), "the time has not passed");
    events.handle().stop();
    let ahead = tokio::task::spawn_blocking(|| ahead.join().unwrap());
    let error = in_time(ahead).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stopped, "{error}");
}
