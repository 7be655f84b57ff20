//! A fake Box without a network, whose clock the test moves.

use std::future::{Future, pending};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use box_longpoll::auth::token_fn;
use box_longpoll::checkpoint::{Checkpoint, CheckpointError, CheckpointStore};
use box_longpoll::transport::{Moment, TransportError, TransportErrorKind, TransportRequest};
use box_longpoll::{AccessToken, EventStream, HttpTransport, LongPollClient};
use box_longpoll_testkit::{Config, Delivery, Emulator, Reply, Request, Settings};
use bytes::Bytes;
use http::{Method, Response};

use crate::clock::Clock;

/// The admin's account, which stands for the enterprise.
pub(crate) const ADMIN: &str = "admin";

/// How long an answer takes.
const LATENCY: Duration = Duration::from_millis(20);

/// No test lets more time pass to wait for something.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Clone)]
pub(crate) struct World {
    clock: Clock,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    emulator: Emulator,
    sent: Vec<Instant>,
    tokens: u32,
}

impl World {
    /// An enterprise whose past has so many events.
    pub(crate) fn with_events(count: usize, change: impl FnOnce(&mut Settings)) -> Self {
        let clock = Clock::new();
        let mut settings = Settings::default();
        change(&mut settings);
        let mut emulator = Emulator::new(Config::from(settings), clock.now().monotonic);
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

    /// A client of the admin, whose tokens are renewed.
    pub(crate) fn client(&self) -> LongPollClient<Self> {
        let world = self.clone();
        let tokens = token_fn(move || {
            let mut inner = world.lock();
            inner.tokens += 1;
            let token = AccessToken::new(inner.token()).unwrap();
            async { Ok(token) }
        });
        let builder = LongPollClient::builder().as_user(ADMIN);
        builder.build(self.clone(), tokens).unwrap()
    }

    /// Something happens in the enterprise.
    pub(crate) fn append(&self, count: usize) {
        let now = self.clock.now().monotonic;
        self.lock().emulator.append(ADMIN, count, now);
    }

    pub(crate) fn append_json(&self, events: impl IntoIterator<Item = String>) {
        let now = self.clock.now().monotonic;
        self.lock().emulator.append_json(ADMIN, events, now);
    }

    /// Box takes the token no more.
    pub(crate) fn revoke_token(&self) {
        let mut inner = self.lock();
        let token = inner.token();
        inner.emulator.change_settings(|settings| {
            settings.revoked_tokens.insert(token);
        });
    }

    /// How many tokens were asked for.
    pub(crate) fn tokens(&self) -> u32 {
        self.lock().tokens
    }

    pub(crate) fn event_ids(&self) -> Vec<String> {
        self.lock().emulator.event_ids(ADMIN)
    }

    pub(crate) fn newest_position(&self) -> String {
        self.lock().emulator.newest_position(ADMIN)
    }

    pub(crate) fn emulator<R>(&self, change: impl FnOnce(&mut Emulator) -> R) -> R {
        change(&mut self.lock().emulator)
    }

    /// How many calls there were.
    pub(crate) fn calls(&self) -> usize {
        self.lock().sent.len()
    }

    /// The time between each two calls, from that one on, in seconds.
    pub(crate) fn gaps(&self, from: usize) -> Vec<f64> {
        let sent = self.lock().sent.clone();
        let gaps = sent[from..].windows(2).map(|pair| pair[1] - pair[0]);
        gaps.map(|gap| gap.as_secs_f64()).collect()
    }

    /// There were no more than so many calls in any minute, and nothing but pages was asked for.
    #[track_caller]
    pub(crate) fn assert_calls_a_minute(&self, most: usize) {
        let inner = self.lock();
        for (n, first) in inner.sent.iter().enumerate() {
            let minute = inner.sent[n..].iter();
            let within = minute
                .take_while(|sent| **sent - *first <= Duration::from_secs(60))
                .count();
            assert!(within <= most, "{within} calls in a minute");
        }
        let counters = inner.emulator.counters();
        assert_eq!(counters.total.requests, counters.events.requests);
    }

    /// What comes of it, however long that takes.
    #[track_caller]
    pub(crate) fn run<R>(&self, future: impl Future<Output = R>) -> R {
        self.run_for(PATIENCE, future).expect("it comes to an end")
    }

    /// What comes of it within so long; it is dropped if nothing does.
    pub(crate) fn run_for<R>(&self, time: Duration, future: impl Future<Output = R>) -> Option<R> {
        self.clock.run(time, future)
    }

    /// The ids of the next so many events.
    #[track_caller]
    pub(crate) fn next_ids(&self, events: &mut EventStream<Self>, count: usize) -> Vec<String> {
        self.run(async {
            let mut ids = Vec::new();
            while ids.len() < count {
                let event = events.next().await.expect("it goes on").expect("an event");
                ids.push(event.id().expect("it has an id").to_owned());
            }
            ids
        })
    }

    /// The ids of all events up to the end.
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

impl Inner {
    fn token(&self) -> String {
        format!("token-of-the-admin-{}", self.tokens)
    }

    /// `None`: it is never answered.
    fn answer(&mut self, request: &TransportRequest, now: Instant) -> Option<Answer> {
        let most = request.max_body();
        let request = request.request();
        assert_eq!(request.method(), Method::GET);
        let mut asked = Request::get(&request.uri().to_string());
        for (name, value) in request.headers() {
            asked = asked.header(name.as_str(), value.to_str().unwrap());
        }
        self.sent.push(now);
        self.emulator.advance(now);
        let Reply::Answer(answer) = self.emulator.respond(&asked, now) else {
            return None;
        };
        Some(match answer.delivery {
            _ if answer.body.len() > most => {
                Err(TransportError::new(TransportErrorKind::BodyTooLarge))
            }
            Delivery::Whole | Delivery::NeverClose | Delivery::Drip { .. } => {
                let mut response = Response::builder().status(answer.status);
                for (name, value) in answer.headers {
                    response = response.header(name, value);
                }
                Ok(response.body(answer.body.into()).unwrap())
            }
            Delivery::Endless => Err(TransportError::new(TransportErrorKind::BodyTooLarge)),
            _ => Err(TransportError::new(TransportErrorKind::Interrupted)),
        })
    }
}

type Answer = Result<Response<Bytes>, TransportError>;

#[async_trait]
impl HttpTransport for World {
    async fn send(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        let now = self.now().monotonic;
        let answer = self.lock().answer(&request, now);
        match answer {
            Some(answer) => {
                self.clock.wait(LATENCY).await;
                answer
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

/// A store that outlives the program. What is in it has been written and read.
#[derive(Clone, Default)]
pub(crate) struct Store(Arc<Mutex<Option<String>>>);

impl Store {
    /// Takes a checkpoint's JSON.
    pub(crate) fn keep(&self, checkpoint: String) {
        *self.0.lock().unwrap() = Some(checkpoint);
    }

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
