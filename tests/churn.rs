//! Proves that the memory of many streams stays flat over an hour of virtual time.
//!
//! It is the only test of its program, so that all measured memory belongs to it.

mod clock;

use std::alloc::System;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::transport::{Moment, TransportRequest};
use box_longpoll::transport::{TransportError, TransportErrorKind};
use box_longpoll::{AccessToken, BatchStream, HttpTransport, LongPollClient, StartAt, StreamMap};
use bytes::Bytes;
use clock::Clock;
use http::{Method, Response};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const STREAMS: usize = 30;

const MINUTE: Duration = Duration::from_secs(60);

/// The permitted difference in bytes. The requests in flight vary from moment to moment, by about 3
/// KB for each stream.
const TOLERANCE: usize = 100 << 10;

/// Returns the number of allocated bytes.
fn live() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// A Box that invents its responses.
#[derive(Clone)]
struct World {
    clock: Clock,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    rng: fastrand::Rng,
    /// The number of events of each user.
    logs: HashMap<String, u64>,
    seen: Seen,
}

/// The number of times that the streams met each situation.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    events: usize,
    reconnects: usize,
    silences: usize,
    failures: usize,
}

impl World {
    fn new() -> Self {
        let inner = Inner {
            rng: fastrand::Rng::with_seed(7),
            logs: HashMap::new(),
            seen: Seen::default(),
        };
        Self {
            clock: Clock::new(),
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }
}

/// The response of Box, and the time in milliseconds until it comes. `None`: it never comes.
type Reply = (u64, Option<Result<String, TransportErrorKind>>);

impl Inner {
    fn reply(&mut self, request: &TransportRequest) -> Reply {
        let uri = request.request().uri();
        if uri.path() == "/subscribe" {
            return self.poll(uri.query().expect("it has a channel"));
        }
        if self.rng.f64() < 0.02 {
            self.seen.failures += 1;
            return (50, Some(Err(TransportErrorKind::Interrupted)));
        }
        let user = request.request().headers()["as-user"].to_str().unwrap();
        let body = if request.request().method() == Method::OPTIONS {
            format!(
                r#"{{"entries":[{{"url":"http://2.realtime.services.box.net/subscribe?channel={user}","ttl":10,"max_retries":10,"retry_timeout":30}}]}}"#
            )
        } else {
            self.page(user, uri.query().unwrap_or_default())
        };
        (50, Some(Ok(body)))
    }

    fn page(&mut self, user: &str, query: &str) -> String {
        let end = *self.logs.entry(user.to_owned()).or_insert(1_000);
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let from = pairs
            .find(|(name, _)| *name == "stream_position")
            .unwrap()
            .1;
        let from = from.parse().unwrap_or(end);
        let next = end.min(from + 500);
        let events: Vec<String> = (from..next)
            .map(|n| format!(r#"{{"event_id":"{user}-{n}","event_type":"ITEM_CREATE"}}"#))
            .collect();
        let events = events.join(",");
        format!(r#"{{"next_stream_position":{next},"entries":[{events}]}}"#)
    }

    fn poll(&mut self, query: &str) -> Reply {
        let signal = |message| Some(Ok(format!(r#"{{"message":"{message}"}}"#)));
        let millis = self.rng.u64(1_000..30_000);
        match self.rng.u32(0..10) {
            0..=5 => {
                let channel = query.split('&').next().unwrap();
                let user = channel.strip_prefix("channel=").unwrap();
                let more = self.rng.u64(1..200);
                *self.logs.get_mut(user).unwrap() += more;
                (millis, signal("new_change"))
            }
            6..=7 => {
                self.seen.reconnects += 1;
                (millis, signal("reconnect"))
            }
            8 => {
                self.seen.silences += 1;
                (millis, None)
            }
            _ => {
                self.seen.failures += 1;
                (millis, Some(Err(TransportErrorKind::Interrupted)))
            }
        }
    }
}

#[async_trait]
impl HttpTransport for World {
    async fn send(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        let (millis, reply) = self.lock().reply(&request);
        self.clock.wait(Duration::from_millis(millis)).await;
        match reply {
            Some(Ok(body)) => Ok(Response::new(body.into())),
            Some(Err(kind)) => Err(TransportError::new(kind)),
            None => std::future::pending().await,
        }
    }

    async fn sleep(&self, duration: Duration) -> Result<(), TransportError> {
        self.clock.wait(duration).await;
        Ok(())
    }

    fn now(&self) -> Moment {
        self.clock.now()
    }
}

type Followed = StreamMap<String, BatchStream<World>>;

/// Follows the streams for this time.
#[track_caller]
fn follow(world: &World, streams: &mut Followed, time: Duration) {
    let ended = world.clock.run(time, async {
        while let Some((_, batch)) = streams.next().await {
            world.lock().seen.events += batch.unwrap().len();
        }
    });
    assert!(ended.is_none(), "the streams have ended");
}

/// Follows one more account for a minute, and then removes it.
fn follow_a_guest(world: &World, client: &LongPollClient<World>, streams: &mut Followed) {
    let guest = "guest".to_owned();
    let derived = client.as_user(&guest).unwrap();
    streams.insert(guest.clone(), derived.batches(StartAt::Now));
    follow(world, streams, MINUTE);
    assert!(streams.remove(&guest).is_some());
}

#[test]
fn memory_of_many_streams_is_flat_over_an_hour() {
    let world = World::new();
    let token = AccessToken::new("token").unwrap();
    let client = LongPollClient::new(world.clone(), token);
    let mut streams: Followed = (0..STREAMS)
        .map(|n| {
            let user = format!("user-{n}");
            let derived = client.as_user(&user).unwrap();
            (user, derived.batches(StartAt::Now))
        })
        .collect();
    // After an hour, the window of each stream is full.
    follow(&world, &mut streams, 60 * MINUTE);
    follow_a_guest(&world, &client, &mut streams);
    let before = live();
    let seen_before = world.lock().seen;
    for minute in 1..=60 {
        follow_a_guest(&world, &client, &mut streams);
        let now = live();
        assert!(
            now.abs_diff(before) < TOLERANCE,
            "{before} bytes before, {now} after {minute} minutes"
        );
    }
    let after = live();
    let seen = world.lock().seen;
    println!("{before} bytes before, {after} after; {seen_before:?} before, {seen:?} after");
    assert!(seen.events - seen_before.events > 5_000 * STREAMS);
    assert!(seen.reconnects - seen_before.reconnects > 20 * STREAMS);
    assert!(seen.silences - seen_before.silences > 5 * STREAMS);
}
