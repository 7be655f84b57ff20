//! Streams on a machine that is suspended, and the checks of the clocks that notice it.
//!
//! Start at [`Machine`], whose clocks run fast and can jump.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use box_longpoll::protocol::CLOCK_CHECK_INTERVAL;
use box_longpoll::transport::{Moment, TransportError, TransportRequest};
use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{AccessToken, HttpTransport, LongPollClient, StartAt, Status};
use box_longpoll_testkit::{Emulator, EmulatorServer, Endpoint, Fault};
use bytes::Bytes;
use http::Response;

use crate::world::{TOKEN, builder, fake_box, holds, id, in_time, next_event, transport};

/// The speed of the machine's clocks, in seconds for each real second.
const SPEED: u32 = 20;

/// A reqwest transport on a machine whose clocks run fast, and that can be suspended.
#[derive(Clone)]
struct Machine {
    transport: ReqwestTransport,
    started: Moment,
    /// The total time for which the machine was suspended.
    suspended: Arc<Mutex<Duration>>,
    /// The ends of all sleeps of at most [`CLOCK_CHECK_INTERVAL`]: the checks of the clocks.
    checks: Arc<Mutex<Vec<Instant>>>,
}

impl Machine {
    fn new() -> Self {
        Self {
            transport: transport(),
            started: Moment::read_clocks(),
            suspended: Arc::default(),
            checks: Arc::default(),
        }
    }

    /// Suspends the machine: the wall clock jumps, and the monotonic clock does not.
    fn suspend(&self, time: Duration) {
        *self.suspended.lock().unwrap() += time;
    }

    fn client(&self, server: &EmulatorServer) -> LongPollClient<Self> {
        let token = AccessToken::new(TOKEN).unwrap();
        builder(server).build(self.clone(), token).unwrap()
    }
}

#[async_trait]
impl HttpTransport for Machine {
    async fn send(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        self.transport.send(request).await
    }

    async fn sleep(&self, duration: Duration) -> Result<(), TransportError> {
        if duration <= CLOCK_CHECK_INTERVAL {
            let until = self.now().monotonic + duration;
            self.checks.lock().unwrap().push(until);
        }
        self.transport.sleep(duration / SPEED).await
    }

    fn now(&self) -> Moment {
        let passed = Moment::read_clocks().monotonic - self.started.monotonic;
        Moment {
            monotonic: self.started.monotonic + passed * SPEED,
            wall: self.started.wall + passed * SPEED + *self.suspended.lock().unwrap(),
        }
    }

    fn block_on(
        &self,
        work: Pin<Box<dyn Future<Output = ()> + Send + '_>>,
    ) -> Result<(), TransportError> {
        self.transport.block_on(work)
    }
}

#[tokio::test]
async fn events_during_a_suspension_arrive_soon_after_waking() {
    let server = fake_box(|_| {});
    server.queue_fault(Endpoint::Realtime, Fault::Silence, 1);
    let machine = Machine::new();
    let mut events = machine.client(&server).events(StartAt::Now);
    let mut handle = events.handle();
    let listening =
        async { while !matches!(handle.changed().await, Some(Status::Listening { .. })) {} };
    tokio::select! {
        event = events.next() => panic!("unexpected event: {event:?}"),
        () = in_time(listening) => {}
    }

    server.append(TOKEN, 1);
    machine.suspend(Duration::from_secs(3_600));
    let woken = machine.now().monotonic;
    let event = next_event(&mut events).await;
    let delay = machine.now().monotonic - woken;
    assert_eq!(vec![id(&event)], server.event_ids(TOKEN));
    // The silent poll would end by itself after 615 s.
    assert!(delay < Duration::from_secs(600), "{delay:?}");
}

#[tokio::test]
async fn poll_that_outlives_the_attempt_to_connect_is_listening() {
    let unreachable = "http://127.0.0.1:1".to_owned();
    let server = fake_box(|settings| {
        settings.realtime_origins = vec![unreachable];
        settings.retry_timeout = 1_200.into();
    });
    let machine = Machine::new();
    let mut events = machine.client(&server).events(StartAt::Now);
    let mut handle = events.handle();
    let listening = async {
        // The first poll could not connect.
        holds(&server, |emulator| emulator.counters().options.requests > 1).await;
        server.change_settings(|settings| settings.realtime_origins.clear());
        while !matches!(handle.changed().await, Some(Status::Listening { .. })) {}
    };
    tokio::select! {
        event = events.next() => panic!("unexpected event: {event:?}"),
        () = in_time(listening) => {}
    }
    assert_eq!(server.counters().realtime.requests, 1);
}

#[tokio::test]
async fn streams_of_a_client_check_the_clocks_at_the_same_moments() {
    let server = fake_box(|_| {});
    let machine = Machine::new();
    let client = machine.client(&server);
    let mut streams = tokio::task::JoinSet::new();
    for n in 1..=20 {
        let mut events = client.events(StartAt::Now);
        streams.spawn(async move { events.next().await.is_some() });
        let begun = move |emulator: &Emulator| emulator.counters().open_polls == n;
        in_time(holds(&server, begun)).await;
        machine.sleep(CLOCK_CHECK_INTERVAL / 7).await.unwrap();
    }
    machine.checks.lock().unwrap().clear();
    machine.sleep(CLOCK_CHECK_INTERVAL * 2).await.unwrap();

    let checks = machine.checks.lock().unwrap();
    assert!(checks.len() >= 20, "{}", checks.len());
    let since_the_interval_began = |check: &Instant| {
        let since = (*check - machine.started.monotonic).as_secs_f64();
        since % CLOCK_CHECK_INTERVAL.as_secs_f64()
    };
    let first = checks
        .iter()
        .map(since_the_interval_began)
        .fold(f64::MAX, f64::min);
    let last = checks
        .iter()
        .map(since_the_interval_began)
        .fold(0.0, f64::max);
    // A busy machine delays the checks a little.
    assert!(
        last - first < 5.0,
        "from {first} s to {last} s after the interval began"
    );
}

#[tokio::test]
async fn consecutive_requests_share_a_check_of_the_clocks() {
    let server = fake_box(|_| {});
    let machine = Machine::new();
    let mut events = machine.client(&server).events(StartAt::Now);
    let held = |emulator: &Emulator| emulator.counters().open_polls == 1;
    tokio::select! {
        event = events.next() => panic!("unexpected event: {event:?}"),
        () = in_time(holds(&server, held)) => {}
    }

    let checks = machine.checks.lock().unwrap().len();
    assert!(server.requests().len() >= 3);
    // The client checks at the start. A busy machine adds a check for each interval that passes.
    let passed = (machine.now().monotonic - machine.started.monotonic).as_secs()
        / CLOCK_CHECK_INTERVAL.as_secs();
    assert!(checks as u64 <= 2 + passed, "{checks} checks");
}
