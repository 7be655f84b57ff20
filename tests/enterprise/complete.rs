//! The time up to which an enterprise's stream is complete.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, SystemTime};

use box_longpoll::enterprise::{AdminLogs, AdminLogsStreaming};
use box_longpoll::{
    Error, ErrorKind, EventStream, HttpTransport, LongPollClient, StartAt, StreamHandle,
};
use futures_lite::future::or;
use jiff::{SignedDuration, Timestamp};

use crate::world::World;

/// The longest time by which the emulator dates an event early: 1 h.
const LATENESS: Duration = Duration::from_secs(3_600);

/// Returns a stream of an enterprise with this `event_delay`.
fn follow(world: &World, delay: Duration, calls: u32) -> EventStream<World> {
    let client = world.client_with(LongPollClient::builder().event_delay(delay));
    let streaming = AdminLogsStreaming::default().calls_per_minute(calls);
    client
        .enterprise(streaming)
        .unwrap()
        .events(StartAt::Oldest)
}

/// Delivers events until the stream is complete up to `time`.
async fn follow_until(events: &mut EventStream<World>, handle: &StreamHandle, time: SystemTime) {
    let waits = async { handle.wait_until_complete(time).await.unwrap() };
    let follows = async {
        while let Some(event) = events.next().await {
            event.expect("an event");
        }
    };
    or(waits, follows).await;
    assert!(handle.complete_until() >= Some(time), "the stream ended");
}

/// Follows 3,000 events, some of them late. Returns the number of events that arrived although the
/// stream was already complete up to a later time. Also returns the number of times that this time
/// moved.
fn broken_promises(delay: Duration) -> (usize, usize) {
    let world = World::with_events(0, |settings| {
        settings.rate = 5.0;
        settings.repeat_rate = 0.2;
        settings.reorder_rate = 0.2;
        settings.short_page_rate = 0.2;
        settings.empty_page_rate = 0.1;
        settings.zero_position_at_the_end = true;
    });
    let mut events = follow(&world, delay, 60);
    let (mut broken, mut moves, mut before) = (0, 0, None);
    for _ in 0..3_000 {
        let event = world.run(events.next()).unwrap().unwrap();
        let complete = events.complete_until();
        assert!(complete >= before, "it went back");
        moves += usize::from(complete > before);
        before = complete;
        let created = event.created_at().expect("the emulator dates its events");
        broken += usize::from(complete > Some(SystemTime::try_from(created).unwrap()));
    }
    (broken, moves)
}

#[test]
fn no_event_is_older_than_the_time_within_the_delay() {
    let (broken, moves) = broken_promises(LATENESS);
    assert_eq!(broken, 0);
    assert!(moves > 100, "{moves}");
}

/// The promise holds only if the delay is long enough.
#[test]
fn late_events_are_older_when_the_delay_is_too_short() {
    let (broken, _) = broken_promises(LATENESS / 2);
    assert!(broken > 0);
}

#[test]
fn waiter_is_woken_within_an_interval_after_time_and_delay() {
    let world = World::with_events(1, |_| ());
    let delay = Duration::from_secs(120);
    let mut events = follow(&world, delay, 60);
    let handle = events.handle();
    // The first drain proves a time, from which the others are counted by the emulator's clock.
    world.run(follow_until(&mut events, &handle, SystemTime::UNIX_EPOCH));
    let first = handle.complete_until().unwrap();
    let (begins, wait) = (world.now().monotonic, Duration::from_secs(600));
    world.run(follow_until(&mut events, &handle, first + wait));
    let waited = world.now().monotonic - begins;
    // The longest interval is 60 s, and the `Date` hides up to a second.
    let seconds = waited.as_secs();
    assert!((599..662).contains(&seconds), "{waited:?}");
}

#[test]
fn backlog_moves_the_time_page_by_page() {
    let world = World::with_events(0, |_| ());
    let hour = |n: i64| {
        let first: Timestamp = "2025-12-01T00:00:00Z".parse().unwrap();
        first + SignedDuration::from_hours(n)
    };
    world.append_json((0..300).map(|n| {
        let created = hour(n);
        format!(r#"{{"event_id":"{n}","created_at":"{created}"}}"#)
    }));
    let builder = LongPollClient::builder()
        .event_delay(Duration::ZERO)
        .page_limit(100);
    let enterprise = world.client_with(builder);
    let enterprise = enterprise.enterprise(AdminLogsStreaming::default());
    let mut batches = enterprise.unwrap().batches(StartAt::Oldest);
    let mut times = Vec::new();
    for _ in 0..3 {
        world.run(batches.next()).unwrap().unwrap();
        times.push(batches.complete_until());
    }
    let time = |n| Some(SystemTime::try_from(hour(n)).unwrap());
    assert_eq!(times, [None, time(99), time(199)]);
}

/// A waiter that checks at its first wake-up if the time is reached, as a task of another thread
/// may.
struct Eager {
    handle: StreamHandle,
    time: SystemTime,
    found: Mutex<Option<Poll<Result<(), Error>>>>,
}

impl Eager {
    fn polls(&self, waker: &Waker) -> Poll<Result<(), Error>> {
        pin!(self.handle.wait_until_complete(self.time)).poll(&mut Context::from_waker(waker))
    }
}

impl Wake for Eager {
    fn wake(self: Arc<Self>) {
        let found = self.polls(Waker::noop());
        self.found.lock().unwrap().get_or_insert(found);
    }
}

/// The last page of the query is empty, and the query ends with it.
#[test]
fn waiter_of_a_query_finds_it_complete_when_it_ends() {
    let world = World::with_events(0, |_| ());
    let before: Timestamp = "2025-06-01T00:00:00Z".parse().unwrap();
    let query = world
        .client()
        .admin_logs(AdminLogs::new().created_before(before));
    let mut events = query.unwrap().events(StartAt::Oldest);
    let waiter = Arc::new(Eager {
        handle: events.handle(),
        time: SystemTime::try_from(before).unwrap(),
        found: Mutex::default(),
    });
    let waker = Waker::from(waiter.clone());
    let mut waits = pin!(waiter.handle.wait_until_complete(waiter.time));
    let polled = waits.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    assert!(world.ids_to_the_end(&mut events).is_empty());
    assert_eq!(*waiter.found.lock().unwrap(), Some(Poll::Ready(Ok(()))));
    assert_eq!(events.complete_until(), Some(waiter.time));
}

#[test]
fn wait_beyond_the_end_of_a_query_fails_with_stopped() {
    let world = World::with_events(700, |_| ());
    let query = world.client().admin_logs(AdminLogs::new()).unwrap();
    let mut events = query.events(StartAt::Oldest);
    let (handle, far_ahead) = (events.handle(), world.now().wall + LATENESS);
    assert_eq!(world.ids_to_the_end(&mut events).len(), 700);
    let error = world
        .run(handle.wait_until_complete(far_ahead))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stopped, "{error}");
    assert!(handle.complete_until().is_some());
}
