//! Responses of a machine between the client and Box: a proxy, a firewall, a hotel's login page.
//! None of them ends a stream.
//!
//! Start at [`World`], a fake Box without a network, on a virtual clock.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use box_longpoll::transport::{Moment, TransportError, TransportErrorKind, TransportRequest};
use box_longpoll::{AccessToken, EventStream, HttpTransport, LongPollClient, StartAt};
use box_longpoll_testkit::{
    Config, Delivery, Emulator, Endpoint, FakeResponse, Fault, Reply, Request, Settings,
};
use bytes::Bytes;
use http::Response;
use rstest::rstest;

use crate::clock::Clock;
use crate::world::{TOKEN, id};

/// The time that a response takes.
const LATENCY: Duration = Duration::from_millis(20);

/// The time between two checks of a held poll.
const HELD: Duration = Duration::from_millis(500);

/// The longest time that a stream may take to recover.
const SOON: Duration = Duration::from_secs(5 * 60);

/// The time in which each endpoint gets a request: a poll ends with `reconnect` after ten minutes.
const A_WHILE: Duration = Duration::from_secs(15 * 60);

#[rstest]
#[case::events_403_html(Endpoint::Events, Fault::html(403, "<html>Request blocked</html>"))]
#[case::events_400_empty(Endpoint::Events, status(400, &[]))]
#[case::events_400_nginx(
    Endpoint::Events,
    Fault::html(400, "<html><center>nginx</center></html>")
)]
#[case::options_400_nginx(
    Endpoint::Options,
    Fault::html(400, "<html><center>nginx</center></html>")
)]
#[case::options_403_later(Endpoint::Options, later())]
#[case::events_403_later(Endpoint::Events, later())]
#[case::events_202_later(Endpoint::Events, status(202, &[("retry-after", "1")]))]
#[case::options_401_html(Endpoint::Options, login())]
#[case::events_401_html(Endpoint::Events, login())]
#[case::realtime_401_html(Endpoint::Realtime, login())]
fn a_stream_outlives_a_response_of_a_portal(#[case] endpoint: Endpoint, #[case] fault: Fault) {
    let world = World::new();
    let mut events = world.client().events(StartAt::Oldest);
    // The stream meets the fault when it starts, then while it listens, then when it fetches an
    // event.
    for happens_at_once in [false, false, true] {
        world.emulator().queue_fault(endpoint, fault.clone(), 1);
        if happens_at_once {
            world.brings_next(&mut events);
        }
        world.brings_nothing_for(A_WHILE, &mut events);
        assert_eq!(
            world.emulator().queued_faults(),
            0,
            "the stream has met the fault"
        );
        world.brings_next(&mut events);
    }
}

#[test]
fn a_stream_outlives_half_pages_for_five_minutes() {
    let world = World::new();
    let now = world.now().monotonic;
    world.emulator().append(TOKEN, 250, now);
    world.halve_pages_for(Duration::from_secs(5 * 60));
    let mut events = world.client().events(StartAt::Oldest);
    let ids = world.emulator().event_ids(TOKEN);
    let mut received = Vec::new();
    let all = async {
        while received.len() < ids.len() {
            received.push(id(&events
                .next()
                .await
                .expect("the stream continues")
                .unwrap()));
        }
    };
    let in_time = world.clock.run(SOON + SOON, all);
    assert_eq!((in_time, &received), (Some(()), &ids));
    let halves = world
        .emulator()
        .requests()
        .filter(|page| page.fault.is_some())
        .count();
    assert!(halves >= 3, "{halves}");
    world.brings_next(&mut events);
}

/// Returns a refusal with a `Retry-After`, but not in Box's form.
fn later() -> Fault {
    let mut fault = Fault::html(403, "<html>Too many requests from your network</html>");
    if let Fault::Status { headers, .. } = &mut fault {
        headers.insert("retry-after".into(), "1".into());
    }
    fault
}

/// Returns the login page of a network. The token is still valid.
fn login() -> Fault {
    Fault::html(401, "<html>Please log in to the network</html>")
}

/// Returns a response with an empty body.
fn status(status: u16, headers: &[(&str, &str)]) -> Fault {
    let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    Fault::Status {
        status,
        headers: headers.iter().map(own).collect::<BTreeMap<_, _>>(),
        body: String::new(),
    }
}

/// A fake Box without a network, and its virtual clock.
#[derive(Clone)]
struct World {
    clock: Clock,
    inner: Arc<Mutex<Emulator>>,
    /// The time until which only half of each page arrives.
    halves_until: Arc<Mutex<Option<Instant>>>,
}

impl World {
    fn new() -> Self {
        let clock = Clock::new();
        let settings = Settings {
            realtime_origins: vec!["https://2.realtime.services.box.net".into()],
            ..Settings::default()
        };
        let emulator = Emulator::new(Config::from(settings), clock.now().monotonic);
        Self {
            clock,
            inner: Arc::new(Mutex::new(emulator)),
            halves_until: Arc::default(),
        }
    }

    fn client(&self) -> LongPollClient<Self> {
        LongPollClient::new(self.clone(), AccessToken::new(TOKEN).unwrap())
    }

    fn emulator(&self) -> MutexGuard<'_, Emulator> {
        self.inner.lock().unwrap()
    }

    /// Sends only half of each page for this time.
    fn halve_pages_for(&self, time: Duration) {
        *self.halves_until.lock().unwrap() = Some(self.now().monotonic + time);
    }

    /// Appends an event, and asserts that the stream soon delivers it.
    #[track_caller]
    fn brings_next(&self, events: &mut EventStream<Self>) {
        let now = self.now().monotonic;
        self.emulator().append(TOKEN, 1, now);
        let newest = self.emulator().event_ids(TOKEN).pop();
        let event = self
            .clock
            .run(SOON, events.next())
            .expect("an event arrives in time");
        let event = event.expect("the stream continues").unwrap();
        assert_eq!(Some(id(&event)), newest);
    }

    /// Asserts that the stream delivers nothing for this time.
    #[track_caller]
    fn brings_nothing_for(&self, time: Duration, events: &mut EventStream<Self>) {
        let received = self.clock.run(time, events.next());
        assert!(received.is_none(), "{received:?}");
    }

    /// Passes a request to the emulator.
    fn respond(&self, request: &TransportRequest) -> Reply {
        let request = request.request();
        let mut sent = Request::new(request.method().as_str(), &request.uri().to_string());
        for (name, value) in request.headers() {
            sent = sent.header(name.as_str(), value.to_str().unwrap());
        }
        let now = self.now().monotonic;
        let halves_until = *self.halves_until.lock().unwrap();
        let mut emulator = self.emulator();
        if Endpoint::of(&sent) == Endpoint::Events && halves_until.is_some_and(|end| now < end) {
            emulator.queue_fault(Endpoint::Events, Fault::TruncatedJson, 1);
        }
        emulator.respond(&sent, now)
    }

    /// Returns the response, after waiting for it if the poll is held.
    async fn response(&self, mut reply: Reply) -> FakeResponse {
        loop {
            match reply {
                Reply::Respond(response) => return response,
                Reply::Hold { id, .. } => {
                    self.clock.wait(HELD).await;
                    let now = self.now().monotonic;
                    let Some(resumed) = self.emulator().resume(id, now) else {
                        return pending().await;
                    };
                    reply = resumed;
                }
            }
        }
    }
}

#[async_trait]
impl HttpTransport for World {
    async fn send(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        self.clock.wait(LATENCY).await;
        let reply = self.respond(&request);
        let received = self.response(reply).await;
        assert_eq!(received.delivery, Delivery::Complete);
        if received.body.len() > request.max_body() {
            return Err(TransportError::new(TransportErrorKind::BodyTooLarge));
        }
        let mut response = Response::builder().status(received.status);
        for (name, value) in received.headers {
            response = response.header(name, value);
        }
        Ok(response.body(received.body.into()).unwrap())
    }

    async fn sleep(&self, duration: Duration) -> Result<(), TransportError> {
        self.clock.wait(duration).await;
        Ok(())
    }

    fn now(&self) -> Moment {
        self.clock.now()
    }
}
