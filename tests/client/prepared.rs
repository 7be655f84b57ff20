//! The request for the page after a poll, which the transport has while the poll is held.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{
    AccessToken, EventStream, HttpTransport, LongPollClient, Pace, StartAt, TokenError,
    TokenSource, TransportError, TransportRequest,
};
use box_longpoll_testkit::{EmulatorServer, Endpoint, Fault, Settings};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Method, Response};

use crate::world::{builder, fake_box, holds, in_time, next_event, transport};

/// reqwest, which notes the pages it is to get, each with the number of its token.
#[derive(Clone)]
struct Noting {
    transport: ReqwestTransport,
    notes: Arc<Mutex<Vec<Note>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Note {
    Given(u8),
    Sent(u8),
}

impl Noting {
    fn note(&self, note: Note) {
        self.notes.lock().unwrap().push(note);
    }

    /// What was noted since the last time.
    fn take(&self) -> Vec<Note> {
        std::mem::take(&mut *self.notes.lock().unwrap())
    }
}

type Answer<'a> =
    Pin<Box<dyn Future<Output = Result<Response<Bytes>, TransportError>> + Send + 'a>>;

#[async_trait]
impl HttpTransport for Noting {
    fn send<'a, 'b>(&'a self, request: TransportRequest) -> Answer<'b>
    where
        'a: 'b,
    {
        let asked = request.request();
        let page = *asked.method() == Method::GET && asked.uri().path() == "/2.0/events";
        if !page {
            return self.transport.send(request);
        }
        let token = *asked.headers()[AUTHORIZATION].as_bytes().last().unwrap() - b'0';
        self.note(Note::Given(token));
        let answer = self.transport.send(request);
        Box::pin(async move {
            self.note(Note::Sent(token));
            answer.await
        })
    }

    /// The time runs from the call on, and not from the first poll.
    fn sleep<'a, 'b>(
        &'a self,
        duration: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<(), TransportError>> + Send + 'b>>
    where
        'a: 'b,
    {
        let slept = tokio::time::sleep(duration);
        Box::pin(async move {
            slept.await;
            Ok(())
        })
    }
}

/// Tokens with numbers, all of the same account.
#[derive(Clone, Default)]
struct Numbered(Arc<AtomicUsize>);

fn one_account(settings: &mut Settings) {
    for number in 0..10 {
        let token = format!("token-{number}");
        settings.token_accounts.insert(token, "account".into());
    }
}

#[async_trait]
impl TokenSource for Numbered {
    async fn token(&self) -> Result<AccessToken, TokenError> {
        let number = self.0.load(Ordering::SeqCst);
        Ok(AccessToken::new(format!("token-{number}"))?)
    }

    async fn refresh(&self, _rejected: &AccessToken) -> Result<AccessToken, TokenError> {
        self.token().await
    }
}

/// Long enough for a busy machine, and for a test to wait.
const API_TIMEOUT: Duration = Duration::from_secs(3);

struct World {
    server: Arc<EmulatorServer>,
    transport: Noting,
    tokens: Numbered,
    client: LongPollClient<Noting>,
    events: EventStream<Noting>,
}

impl World {
    fn new() -> Self {
        let server = fake_box(one_account);
        let (notes, tokens) = (Arc::default(), Numbered::default());
        let transport = Noting {
            transport: transport(),
            notes,
        };
        // So high that it is never in the way.
        let pace = Pace::default()
            .per_second(1_000)
            .per_minute(60_000)
            .small_pages_per_minute(60_000);
        let builder = builder(&server)
            .pace(pace)
            .api_timeout(API_TIMEOUT)
            .max_api_calls(1);
        let client = builder.build(transport.clone(), tokens.clone()).unwrap();
        Self {
            events: client.events(StartAt::Now),
            server,
            transport,
            tokens,
            client,
        }
    }

    /// Follows until a poll is held.
    async fn listen(&mut self) {
        let held = holds(&self.server, |emulator| emulator.counters().open_polls == 1);
        tokio::select! {
            event = self.events.next() => panic!("this came: {event:?}"),
            () = held => {}
        }
    }

    /// Something happens, and is told.
    async fn event(&mut self) {
        self.server.append("account", 1);
        next_event(&mut self.events).await;
    }
}

#[tokio::test]
async fn the_page_after_a_poll_is_prepared_while_the_poll_is_held() {
    let mut world = World::new();
    world.listen().await;
    let first = [Note::Given(0), Note::Sent(0)];
    assert_eq!(world.transport.take(), first, "nothing happened so far");
    world.event().await;
    assert_eq!(world.transport.take(), first);
    let drained = [Note::Given(0), Note::Sent(0), Note::Given(0)];
    world.listen().await;
    // Two polls after the first event find out whether the server honors positions, and a page is fetched after each.
    let drained_and_probed = [&drained[..], &drained[1..], &drained[1..]].concat();
    assert_eq!(world.transport.take(), drained_and_probed);
    world.event().await;
    assert_eq!(world.transport.take(), [Note::Sent(0)]);
    for _ in 0..3 {
        world.listen().await;
        assert_eq!(world.transport.take(), drained);
        world.event().await;
        assert_eq!(world.transport.take(), [Note::Sent(0)]);
    }
}

#[tokio::test]
async fn a_page_prepared_with_a_token_of_before_is_not_sent() {
    let mut world = prepared().await;
    world.tokens.0.store(1, Ordering::SeqCst);
    world.event().await;
    assert_eq!(world.transport.take(), [Note::Given(1), Note::Sent(1)]);
}

/// Follows an event, and holds the poll after it.
async fn prepared() -> World {
    let mut world = World::new();
    world.listen().await;
    world.event().await;
    world.listen().await;
    assert_eq!(world.transport.take().last(), Some(&Note::Given(0)));
    world
}

#[tokio::test]
async fn its_time_runs_from_when_it_is_sent() {
    let mut world = prepared().await;
    let held = tokio::time::timeout(API_TIMEOUT * 3 / 2, world.events.next()).await;
    assert!(held.is_err(), "{held:?}");
    world.event().await;
    assert_eq!(world.transport.take(), [Note::Sent(0)]);
}

#[tokio::test]
async fn it_waits_for_its_turn_when_it_is_due() {
    let mut world = prepared().await;
    world
        .server
        .queue_fault(Endpoint::Events, Fault::Silence, 1);
    let client = world.client.clone();
    let before = world.server.counters().events.requests;
    let silent = tokio::spawn(async move { client.fetch(StartAt::Now).await });
    let asked = holds(&world.server, move |emulator| {
        emulator.counters().events.requests > before
    });
    asked.await;
    world.event().await;
    assert!(in_time(silent).await.unwrap().is_err());
    let other = [Note::Given(0), Note::Sent(0)];
    assert_eq!(
        world.transport.take(),
        [&other[..], &[Note::Sent(0)]].concat()
    );
}

#[tokio::test]
async fn a_stream_that_is_stopped_never_sends_it() {
    let mut world = prepared().await;
    world.events.handle().stop();
    assert!(in_time(world.events.next()).await.is_none());
    assert_eq!(world.transport.take(), []);
}
