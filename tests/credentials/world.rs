//! A fake Box in memory with a virtual clock, and the application that is registered with it.
//! [`World`] is also the transport of the clients.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use box_longpoll::config::RealtimeHosts;
use box_longpoll::transport::{Moment, TransportError, TransportErrorKind, TransportRequest};
use box_longpoll::{HttpTransport, LongPollClient};
use box_longpoll_testkit::{
    Application, Config, Delivery, Emulator, Endpoint, FakeResponse, Reply, Request, Settings,
};
use bytes::Bytes;
use event_listener::Event;
use http::Response;

use crate::clock::Clock;

pub(crate) const CLIENT_ID: &str = "the-client-id";
pub(crate) const SECRET: &str = "the secret & nothing else";
pub(crate) const ENTERPRISE: &str = "801234";
pub(crate) const USER: &str = "12345678";
pub(crate) const ORIGIN: &str = "http://127.0.0.1:1";

/// The time that a request takes to the fake Box, and that a response takes back.
const LATENCY: Duration = Duration::from_millis(10);

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) clock: Clock,
    emulator: Arc<Mutex<Emulator>>,
    changed: Arc<Event>,
    /// The time for which the machine was suspended. The monotonic clock doesn't count it.
    suspended: Arc<Mutex<Duration>>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let clock = Clock::new();
        let now = clock.now();
        let since_1970 = now.wall.duration_since(std::time::UNIX_EPOCH).unwrap();
        let mut settings = Settings {
            issued_tokens_only: true,
            ..Settings::default()
        };
        change(&mut settings);
        let config = Config {
            settings,
            started_unix: Some(i64::try_from(since_1970.as_secs()).unwrap()),
            ..Config::default()
        };
        let mut emulator = Emulator::new(config, now.monotonic);
        emulator.register(application());
        Self {
            clock,
            emulator: Arc::new(Mutex::new(emulator)),
            changed: Arc::new(Event::new()),
            suspended: Arc::default(),
        }
    }

    pub(crate) fn emulator(&self) -> MutexGuard<'_, Emulator> {
        self.emulator.lock().unwrap()
    }

    pub(crate) fn append(&self, account: &str, count: usize) {
        self.emulator()
            .append(account, count, self.clock.now().monotonic);
        self.changed.notify(usize::MAX);
    }

    pub(crate) fn client(&self, tokens: impl box_longpoll::TokenSource) -> LongPollClient<World> {
        LongPollClient::builder()
            .api_origin(ORIGIN)
            .realtime_hosts(RealtimeHosts::default().allow_loopback())
            .build(self.clone(), tokens)
            .unwrap()
    }

    /// Drives the work until `end`, and returns its output if it finishes by then.
    pub(crate) fn drive<R>(&self, work: impl Future<Output = R>, end: Instant) -> Option<R> {
        let time = end.saturating_duration_since(self.clock.now().monotonic);
        self.clock.run(time, work)
    }

    /// Drives the work, and panics if it takes longer than `time`.
    #[track_caller]
    pub(crate) fn within<R>(&self, time: Duration, work: impl Future<Output = R>) -> R {
        self.clock.run(time, work).expect("the work takes too long")
    }

    pub(crate) fn suspend_machine(&self, time: Duration) {
        *self.suspended.lock().unwrap() += time;
    }

    /// Returns the number of requests that the token endpoint has received.
    pub(crate) fn token_requests(&self) -> usize {
        let emulator = self.emulator();
        let requests = emulator.requests();
        requests
            .filter(|request| request.endpoint == Endpoint::Token)
            .count()
    }
}

pub(crate) fn application() -> Application {
    Application::new(CLIENT_ID, SECRET, ENTERPRISE).public_key("k1", &crate::keys::PUBLIC_KEY)
}

fn emulator_request(request: &TransportRequest) -> Request {
    let request = request.request();
    let target = request.uri().path_and_query().unwrap().as_str();
    let mut copy = Request::new(request.method().as_str(), target).header("host", "127.0.0.1:1");
    for (name, value) in request.headers() {
        copy = copy.header(name.as_str(), value.to_str().unwrap());
    }
    copy.body(request.body().to_vec())
}

fn transport_result(fake: FakeResponse) -> Result<Response<Bytes>, TransportError> {
    if fake.delivery != Delivery::Complete {
        return Err(TransportError::new(TransportErrorKind::Interrupted));
    }
    let mut response = Response::builder().status(fake.status);
    let headers: BTreeMap<_, _> = fake.headers.into_iter().collect();
    for (name, value) in headers {
        response = response.header(name, value);
    }
    Ok(response.body(fake.body.into()).unwrap())
}

#[async_trait]
impl HttpTransport for World {
    async fn send(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        self.clock.wait(LATENCY).await;
        let mut reply = {
            let now = self.clock.now().monotonic;
            self.emulator().respond(&emulator_request(&request), now)
        };
        let response = loop {
            let (id, until) = match reply {
                Reply::Respond(response) => break response,
                Reply::Hold { id, until } => (id, until),
            };
            let mut changed = pin!(self.changed.listen());
            let now = self.clock.now().monotonic;
            let rest = until.map_or(Duration::from_secs(10_000), |until| until - now);
            let mut rest = pin!(self.clock.wait(rest));
            reply = poll_fn(|cx| {
                if changed.as_mut().poll(cx).is_pending() && rest.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                let now = self.clock.now().monotonic;
                Poll::Ready(self.emulator().resume(id, now).expect("it is held"))
            })
            .await;
        };
        self.clock.wait(LATENCY).await;
        transport_result(response)
    }

    async fn sleep(&self, duration: Duration) -> Result<(), TransportError> {
        self.clock.wait(duration).await;
        Ok(())
    }

    fn now(&self) -> Moment {
        let mut now = self.clock.now();
        now.wall += *self.suspended.lock().unwrap();
        now
    }
}
