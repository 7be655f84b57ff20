//! Streams on a machine that sleeps.

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

/// So much faster than the real clocks are those of the test.
const SPEED: u32 = 20;

/// reqwest, on a machine whose clocks run fast, and that can sleep.
#[derive(Clone)]
struct Machine {
    transport: ReqwestTransport,
    started: Moment,
    slept: Arc<Mutex<Duration>>,
    /// When the sleeps of no more than a tick are to end.
    ticks: Arc<Mutex<Vec<Instant>>>,
}

impl Machine {
    fn new() -> Self {
        Self {
            transport: transport(),
            started: Moment::read_clocks(),
            slept: Arc::default(),
            ticks: Arc::default(),
        }
    }

    fn sleeps(&self, time: Duration) {
        *self.slept.lock().unwrap() += time;
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
            self.ticks.lock().unwrap().push(until);
        }
        self.transport.sleep(duration / SPEED).await
    }

    fn now(&self) -> Moment {
        let passed = Moment::read_clocks().monotonic - self.started.monotonic;
        Moment {
            monotonic: self.started.monotonic + passed * SPEED,
            wall: self.started.wall + passed * SPEED + *self.slept.lock().unwrap(),
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
async fn what_happened_while_the_machine_slept_comes_soon_after_it_wakes() {
    let server = fake_box(|_| {});
    server.queue_fault(Endpoint::Realtime, Fault::Silence, 1);
    let machine = Machine::new();
    let mut events = machine.client(&server).events(StartAt::Now);
    let mut handle = events.handle();
    let listening =
        async { while !matches!(handle.changed().await, Some(Status::Listening { .. })) {} };
    tokio::select! {
        event = events.next() => panic!("this came: {event:?}"),
        () = in_time(listening) => {}
    }

    server.append(TOKEN, 1);
    machine.sleeps(Duration::from_secs(3_600));
    let woken = machine.now().monotonic;
    let event = next_event(&mut events).await;
    let noticed_after = machine.now().monotonic - woken;
    assert_eq!(vec![id(&event)], server.event_ids(TOKEN));
    // The silent poll ends by itself after 615 s.
    assert!(
        noticed_after < Duration::from_secs(600),
        "{noticed_after:?}"
    );
}

#[tokio::test]
async fn poll_that_outlives_the_attempt_to_connect_is_listening() {
    let nobody = "http://127.0.0.1:1".to_owned();
    let server = fake_box(|settings| {
        settings.realtime_origins = vec![nobody];
        settings.retry_timeout = 1_200.into();
    });
    let machine = Machine::new();
    let mut events = machine.client(&server).events(StartAt::Now);
    let mut handle = events.handle();
    let listening = async {
        // The first poll found nobody.
        holds(&server, |emulator| emulator.counters().options.requests > 1).await;
        server.change_settings(|settings| settings.realtime_origins.clear());
        while !matches!(handle.changed().await, Some(Status::Listening { .. })) {}
    };
    tokio::select! {
        event = events.next() => panic!("this came: {event:?}"),
        () = in_time(listening) => {}
    }
    assert_eq!(server.counters().realtime.requests, 1);
}

#[tokio::test]
async fn all_streams_of_a_client_look_at_the_clocks_at_the_same_moments() {
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
    machine.ticks.lock().unwrap().clear();
    machine.sleep(CLOCK_CHECK_INTERVAL * 2).await.unwrap();

    let ticks = machine.ticks.lock().unwrap();
    assert!(ticks.len() >= 20, "{}", ticks.len());
    let into_the_tick = |tick: &Instant| {
        let since = (*tick - machine.started.monotonic).as_secs_f64();
        since % CLOCK_CHECK_INTERVAL.as_secs_f64()
    };
    let first = ticks.iter().map(into_the_tick).fold(f64::MAX, f64::min);
    let last = ticks.iter().map(into_the_tick).fold(0.0, f64::max);
    // A machine that is busy between two readings of the clock shifts them a little.
    assert!(last - first < 5.0, "{first} s to {last} s into the tick");
}

#[tokio::test]
async fn requests_that_follow_each_other_share_a_look() {
    let server = fake_box(|_| {});
    let machine = Machine::new();
    let mut events = machine.client(&server).events(StartAt::Now);
    let held = |emulator: &Emulator| emulator.counters().open_polls == 1;
    tokio::select! {
        event = events.next() => panic!("this came: {event:?}"),
        () = in_time(holds(&server, held)) => {}
    }

    let looks = machine.ticks.lock().unwrap().len();
    assert!(server.requests().len() >= 3);
    // The first, and one after each moment to look that has passed on a busy machine.
    let passed = (machine.now().monotonic - machine.started.monotonic).as_secs()
        / CLOCK_CHECK_INTERVAL.as_secs();
    assert!(looks as u64 <= 2 + passed, "{looks} looks");
}
