//! Proves the limit of concurrent API calls of a client and the clients derived from it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::transport::{TransportError, TransportRequest};
use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{HttpTransport, StartAt, StreamMap};
use box_longpoll_testkit::{Emulator, EmulatorServer, Endpoint, Fault};
use bytes::Bytes;
use http::Response;
use rstest::rstest;
use tokio::task::JoinSet;

use crate::fake_box::{TOKEN, builder, fake_box};
use crate::world::{account, build, holds, in_time, token};

/// Longer than the client takes to send a call.
const A_WHILE: Duration = Duration::from_millis(300);

#[track_caller]
fn assert_sends_nothing_more(server: &EmulatorServer, sent: u64) {
    let more = server.wait_until(A_WHILE, |emulator| {
        emulator.counters().total.requests > sent
    });
    assert!(!more && server.counters().total.requests == sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn derived_clients_share_a_limit_of_64_concurrent_calls() {
    let server = fake_box(|_| ());
    server.queue_fault(Endpoint::Events, Fault::Silence, 64);
    let client = build(builder(&server));
    let mut calls = JoinSet::new();
    let mut silent = Vec::new();
    for n in 0..200 {
        let client = client.with_tokens(token(&account(n)));
        let call = async move { client.fetch(StartAt::Now).await.map(drop) };
        let call = calls.spawn(call);
        if n < 64 {
            silent.push(call);
            // The wait makes sure that these calls meet the silence.
            let sent = n as u64 + 1;
            let begun = move |emulator: &Emulator| emulator.counters().total.requests == sent;
            holds(&server, begun).await;
        }
    }
    assert_sends_nothing_more(&server, 64);
    // A dropped call lets another one through.
    for call in silent {
        call.abort();
    }
    let mut completed = 0;
    while let Some(outcome) = in_time(calls.join_next()).await {
        completed += usize::from(outcome.is_ok_and(|result| result.is_ok()));
    }
    assert_eq!(completed, 136);
    assert_eq!(server.counters().total.requests, 200);
}

/// A reqwest transport that counts the API calls in flight.
#[derive(Clone)]
struct Counting {
    transport: ReqwestTransport,
    in_flight: Arc<AtomicUsize>,
    /// The largest number of calls that were in flight at once.
    most: Arc<AtomicUsize>,
}

impl Counting {
    fn new() -> Self {
        Self {
            transport: ReqwestTransport::new().unwrap(),
            in_flight: Arc::default(),
            most: Arc::default(),
        }
    }
}

/// A call that counts as in flight until it is dropped.
struct InFlight<'a>(&'a AtomicUsize);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl HttpTransport for Counting {
    async fn send(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        if request.request().uri().path() != "/2.0/events" {
            return self.transport.send(request).await;
        }
        let in_flight = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        let _call = InFlight(&self.in_flight);
        self.most.fetch_max(in_flight, Ordering::SeqCst);
        self.transport.send(request).await
    }

    async fn sleep(&self, duration: Duration) -> Result<(), TransportError> {
        self.transport.sleep(duration).await
    }

    fn block_on(
        &self,
        work: Pin<Box<dyn Future<Output = ()> + Send + '_>>,
    ) -> Result<(), TransportError> {
        self.transport.block_on(work)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn held_polls_do_not_count_toward_the_limit_of_calls() {
    const STREAMS: usize = 100;
    let server = fake_box(|_| ());
    let transport = Counting::new();
    let client = builder(&server)
        .max_api_calls(3)
        .build(transport.clone(), token(TOKEN))
        .unwrap();
    let mut streams = StreamMap::new();
    for n in 0..STREAMS {
        let client = client.with_tokens(token(&account(n)));
        streams.insert(n, client.batches(StartAt::Now));
    }
    let listening = holds(&server, |emulator| {
        emulator.counters().open_polls == STREAMS
    });
    tokio::select! {
        item = streams.next() => panic!("{item:?}"),
        () = listening => {}
    }
    assert_eq!(transport.most.load(Ordering::SeqCst), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn call_is_sent_when_other_streams_are_no_longer_polled() {
    let server = fake_box(|_| ());
    server.queue_fault(Endpoint::Events, Fault::Silence, 2);
    let client = builder(&server)
        .max_api_calls(2)
        .api_timeout(Duration::from_secs(2))
        .build(ReqwestTransport::new().unwrap(), token(TOKEN))
        .unwrap();
    let mut left: Vec<_> = (0..2).map(|_| client.batches(StartAt::Now)).collect();
    for (n, stream) in left.iter_mut().enumerate() {
        let sent = n as u64 + 1;
        let begun = holds(&server, move |emulator| {
            emulator.counters().total.requests == sent
        });
        tokio::select! {
            batch = stream.next() => panic!("{batch:?}"),
            () = begun => {}
        }
    }
    in_time(client.fetch(StartAt::Now)).await.unwrap();
}

/// The consumer of the map hangs while it handles the first batch. If the map has one stream, its
/// next page has the only permit. Otherwise the other streams wait for that permit.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn consumer_that_hangs_does_not_starve_other_streams(#[values(1, 100)] accounts: usize) {
    let server = fake_box(|settings| settings.latency_ms = 10);
    let client = build(builder(&server).max_api_calls(1).page_limit(2));
    let mut streams = StreamMap::new();
    for n in 0..accounts {
        server.append(&account(n), 10);
        let client = client.with_tokens(token(&account(n)));
        streams.insert(n, client.batches(StartAt::Oldest));
    }
    let (_, batch) = in_time(streams.next()).await.unwrap();
    assert_eq!(batch.unwrap().len(), 2);

    server.append(TOKEN, 6);
    let mut live = client.batches(StartAt::Oldest);
    for _ in 0..3 {
        in_time(live.next()).await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wait_for_the_call_limit_does_not_count_toward_the_timeout() {
    const TIMEOUT: Duration = Duration::from_secs(3);
    let server = fake_box(|_| ());
    // Each call takes about half a second, one after the other.
    server.queue_fault(Endpoint::Events, Fault::Drip { interval_ms: 2 }, 10);
    let client = build(builder(&server).max_api_calls(1).api_timeout(TIMEOUT));
    let mut calls = JoinSet::new();
    let began = tokio::time::Instant::now();
    for _ in 0..10 {
        let client = client.clone();
        calls.spawn(async move { client.fetch(StartAt::Now).await });
    }
    for call in in_time(calls.join_all()).await {
        call.unwrap();
    }
    let took = began.elapsed();
    assert!(took > TIMEOUT, "the calls took {took:?}, and prove nothing");
}

#[test]
fn blocking_client_has_the_same_limit_of_calls() {
    let server = fake_box(|_| ());
    let transport = Counting::new();
    let client = builder(&server)
        .max_api_calls(2)
        .build_blocking(transport.clone(), token(TOKEN))
        .unwrap();
    server.append("7", 1);
    std::thread::scope(|scope| {
        for n in 0..10 {
            let derived = client.with_tokens(token(&account(n)));
            scope.spawn(move || derived.fetch(StartAt::Now).unwrap());
        }
        let seven = client.as_user("7").unwrap();
        let event = seven.events(StartAt::Oldest).next().unwrap().unwrap();
        assert_eq!(event.id(), Some(&*server.event_ids("7")[0]));
    });
    assert_eq!(transport.most.load(Ordering::SeqCst), 2);
}
