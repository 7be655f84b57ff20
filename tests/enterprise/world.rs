//! A fake Box without a network, on a virtual clock, and an enterprise in it.
//!
//! Start at [`World`], which is also the transport of its clients.

use std::future::{Future, pending};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use box_longpoll::auth::token_fn;
use box_longpoll::checkpoint::{Checkpoint, CheckpointError, CheckpointStore};
use box_longpoll::transport::{Moment, TransportError, TransportErrorKind, TransportRequest};
use box_longpoll::{
    AccessToken, EventStream, HttpTransport, LongPollClient, LongPollClientBuilder,
};
use box_longpoll_testkit::{Config, Delivery, Emulator, Reply, Request, Settings};
use bytes::Bytes;
use http::{Method, Response};

use crate::clock::Clock;

/// The account of the admin. It has the events of the enterprise.
pub(crate) const ADMIN: &str = "admin";

/// The time that a response takes.
const LATENCY: Duration = Duration::from_millis(20);

/// The longest virtual time that a test waits for something: a day.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// The enterprise, the clock and the transport. Clones share them.
#[derive(Clone)]
pub(crate) struct World {
    clock: Clock,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    emulator: Emulator,
    /// The times of the requests.
    sent: Vec<Instant>,
    /// The number of tokens that clients have requested.
    tokens: u32,
}

impl World {
    /// Returns an enterprise with `count` past events.
    pub(crate) fn with_events(count: usize, change: impl FnOnce(&mut Settings)) -> Self {
        let clock = Clock::new();
        let mut settings = Settings::default();
        change(&mut settings);
        let config = Config {
            started_unix: Some(unix(clock.now().wall)),
            ..Config::from(settings)
        };
        let mut emulator = Emulator::new(config, clock.now().monotonic);
        emulator.append(ADMIN, count, clock.now().monotonic);
        Self {
            clock,
            inner: Arc::new(Mutex::new(Inner {
                emulator,
                sent: Vec::new(),
                tokens: 0,
            })),
        }
    }

    /// Returns a client of the admin, with a token source that always has a newer token.
    pub(crate) fn client(&self) -> LongPollClient<Self> {
        self.client_with(LongPollClient::builder())
    }

    /// Returns a client with these settings, and the same tokens.
    pub(crate) fn client_with(&self, builder: LongPollClientBuilder) -> LongPollClient<Self> {
        let world = self.clone();
        let tokens = token_fn(move || {
            let mut inner = world.lock();
            inner.tokens += 1;
            let token = AccessToken::new(inner.token()).unwrap();
            async { Ok(token) }
        });
        let client = builder.build(self.clone(), tokens).unwrap();
        client.as_user(ADMIN).unwrap()
    }

    /// Appends `count` new events.
    pub(crate) fn append(&self, count: usize) {
        let now = self.clock.now().monotonic;
        self.lock().emulator.append(ADMIN, count, now);
    }

    /// Appends events with the given JSON.
    pub(crate) fn append_json(&self, events: impl IntoIterator<Item = String>) {
        let now = self.clock.now().monotonic;
        self.lock().emulator.append_json(ADMIN, events, now);
    }

    /// Revokes the current token: Box responds to it with 401.
    pub(crate) fn revoke_token(&self) {
        let mut inner = self.lock();
        let token = inner.token();
        inner.emulator.change_settings(|settings| {
            settings.revoked_tokens.insert(token);
        });
    }

    /// Returns the number of tokens that clients have requested.
    pub(crate) fn tokens(&self) -> u32 {
        self.lock().tokens
    }

    /// Returns the ids of all events, in order.
    pub(crate) fn event_ids(&self) -> Vec<String> {
        self.lock().emulator.event_ids(ADMIN)
    }

    /// Returns the position after the last event.
    pub(crate) fn newest_position(&self) -> String {
        self.lock().emulator.newest_position(ADMIN)
    }

    /// Gives the emulator to a closure.
    pub(crate) fn emulator<R>(&self, change: impl FnOnce(&mut Emulator) -> R) -> R {
        change(&mut self.lock().emulator)
    }

    /// Returns the number of requests so far.
    pub(crate) fn calls(&self) -> usize {
        self.lock().sent.len()
    }

    /// Returns the times between consecutive requests, in seconds, starting at the request `from`.
    pub(crate) fn gaps(&self, from: usize) -> Vec<f64> {
        let sent = self.lock().sent.clone();
        let gaps = sent[from..].windows(2).map(|pair| pair[1] - pair[0]);
        gaps.map(|gap| gap.as_secs_f64()).collect()
    }

    /// Asserts that there were at most `most` requests in any minute, all of them for pages.
    #[track_caller]
    pub(crate) fn assert_calls_per_minute(&self, most: usize) {
        let inner = self.lock();
        for (n, first) in inner.sent.iter().enumerate() {
            let minute = inner.sent[n..].iter();
            let within = minute
                .take_while(|sent| **sent - *first <= Duration::from_secs(60))
                .count();
            assert!(within <= most, "{within} requests in a minute");
        }
        let counters = inner.emulator.counters();
        assert_eq!(counters.total.requests, counters.events.requests);
    }

    /// Returns the output of a future. Virtual time passes as needed, up to [`PATIENCE`].
    #[track_caller]
    pub(crate) fn run<R>(&self, future: impl Future<Output = R>) -> R {
        self.run_for(PATIENCE, future)
            .expect("the future completes within a day")
    }

    /// Returns the output of a future, or drops it and returns `None` if it takes longer than
    /// `time`.
    pub(crate) fn run_for<R>(&self, time: Duration, future: impl Future<Output = R>) -> Option<R> {
        self.clock.run(time, future)
    }

    /// Returns the ids of the next `count` events.
    #[track_caller]
    pub(crate) fn next_ids(&self, events: &mut EventStream<Self>, count: usize) -> Vec<String> {
        self.run(async {
            let mut ids = Vec::new();
            while ids.len() < count {
                let event = events
                    .next()
                    .await
                    .expect("the stream continues")
                    .expect("an event");
                ids.push(event.id().expect("an id").to_owned());
            }
            ids
        })
    }

    /// Returns the ids of all events until the stream ends.
    #[track_caller]
    pub(crate) fn ids_to_the_end(&self, events: &mut EventStream<Self>) -> Vec<String> {
        self.run(async {
            let mut ids = Vec::new();
            while let Some(event) = events.next().await {
                ids.push(event.expect("an event").id().expect("an id").to_owned());
            }
            ids
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }
}

/// Returns a time in seconds since 1970.
fn unix(time: SystemTime) -> i64 {
    let since_1970 = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(since_1970.as_secs()).unwrap()
}

impl Inner {
    /// Returns the current token.
    fn token(&self) -> String {
        format!("token-of-the-admin-{}", self.tokens)
    }

    /// Returns the outcome of a request, or `None` if it never gets a response.
    fn respond(&mut self, request: &TransportRequest, now: Instant) -> Option<Outcome> {
        let most = request.max_body();
        let request = request.request();
        assert_eq!(request.method(), Method::GET);
        let mut sent = Request::get(&request.uri().to_string());
        for (name, value) in request.headers() {
            sent = sent.header(name.as_str(), value.to_str().unwrap());
        }
        self.sent.push(now);
        self.emulator.advance(now);
        let Reply::Respond(response) = self.emulator.respond(&sent, now) else {
            return None;
        };
        Some(match response.delivery {
            _ if response.body.len() > most => {
                Err(TransportError::new(TransportErrorKind::BodyTooLarge))
            }
            Delivery::Complete | Delivery::NeverClose | Delivery::Drip { .. } => {
                let mut received = Response::builder().status(response.status);
                for (name, value) in response.headers {
                    received = received.header(name, value);
                }
                Ok(received.body(response.body.into()).unwrap())
            }
            Delivery::Endless => Err(TransportError::new(TransportErrorKind::BodyTooLarge)),
            _ => Err(TransportError::new(TransportErrorKind::Interrupted)),
        })
    }
}

/// The outcome of a request, as the client sees it.
type Outcome = Result<Response<Bytes>, TransportError>;

#[async_trait]
impl HttpTransport for World {
    async fn send(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        let now = self.now().monotonic;
        let outcome = self.lock().respond(&request, now);
        match outcome {
            Some(outcome) => {
                self.clock.wait(LATENCY).await;
                outcome
            }
            None => pending().await,
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

/// A store that outlives the program. It keeps a checkpoint as JSON, as a file would.
#[derive(Clone, Default)]
pub(crate) struct Store(Arc<Mutex<Option<String>>>);

impl Store {
    /// Replaces the checkpoint with this JSON.
    pub(crate) fn keep(&self, checkpoint: String) {
        *self.0.lock().unwrap() = Some(checkpoint);
    }

    /// Returns the checkpoint, if there is one.
    pub(crate) fn kept(&self) -> Option<Checkpoint> {
        let kept = self.0.lock().unwrap().clone()?;
        Some(serde_json::from_str(&kept).unwrap())
    }
}

#[async_trait]
impl CheckpointStore for Store {
    async fn load(&self, _key: &str) -> Result<Option<Checkpoint>, CheckpointError> {
        Ok(self.kept())
    }

    async fn save(&self, _key: &str, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        self.keep(serde_json::to_string(checkpoint).map_err(CheckpointError::new)?);
        Ok(())
    }
}
