//! Box's API, or a realtime server, behind a firewall that ends kept connections without a notice.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use box_longpoll::config::RetryPolicy;
use box_longpoll_testkit::EmulatorServer;
use rstest::rstest;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::backend::Backend;
use crate::fake_box::{builder, fake_box};
use crate::follower::Facade;
use crate::pace::quick;
use crate::trial::{Trial, append};

/// The number of events that arrive while the firewall ends connections.
const EVENTS: usize = 6;

/// The number of requests that may be cut at the start, in addition to those for each event. Before
/// the first event the client fetches twice and lists the servers. After it, the client fetches
/// twice more, to find out whether the server honors positions. The first of these requests opens a
/// connection.
const CUTS_AT_THE_START: usize = 5;

/// The time between a response and the close by [`Firewall::ClosesSoon`].
const SOON: Duration = Duration::from_millis(20);

/// The pause before a retry: an hour. A client that pauses after a cut, instead of resending the
/// request at once, still pauses when the test times out.
const PAUSE: Duration = Duration::from_secs(3_600);

/// The moment at which the firewall ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Firewall {
    /// 20 ms after the first response, even if another request has arrived.
    ClosesSoon,
    /// At the second request.
    ResetsSecond,
    /// At the first request after the connection was idle for too long. The test decides when.
    ResetsIdle,
}

/// The host that is behind the firewall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host {
    Api,
    Realtime,
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn events_arrive_when_kept_connections_die(
    #[case] backend: Backend,
    #[values(Firewall::ClosesSoon, Firewall::ResetsSecond, Firewall::ResetsIdle)]
    firewall: Firewall,
) {
    every_cut_request_is_resent_once(backend, firewall, Host::Api);
}

/// While a poll is held, no connection to the realtime server is idle, so [`Firewall::ResetsIdle`]
/// is left out.
#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn polls_are_resent_when_kept_connections_die(
    #[case] backend: Backend,
    #[values(Firewall::ClosesSoon, Firewall::ResetsSecond)] firewall: Firewall,
) {
    every_cut_request_is_resent_once(backend, firewall, Host::Realtime);
}

/// Asserts that a stream resends each request that the firewall has cut once, without a pause, and
/// delivers every event.
#[track_caller]
fn every_cut_request_is_resent_once(backend: Backend, firewall: Firewall, behind: Host) {
    let server = fake_box(|_| ());
    let relay = Relay::start(&server, firewall);
    // As with Box, polls go to another host than the API calls.
    let direct = server.origin().to_owned();
    let (api, realtime) = match behind {
        Host::Api => (relay.origin(), direct),
        Host::Realtime => (direct, relay.origin()),
    };
    server.change_settings(|settings| settings.realtime_origins = vec![realtime]);
    let builder = builder(&server)
        .api_origin(api)
        .pace(quick())
        .retry(RetryPolicy::default().first(PAUSE).longest(PAUSE));
    let mut trial = Trial::begin(backend, Facade::Async, &server, builder);
    for _ in 0..EVENTS {
        trial.listens();
        match firewall {
            Firewall::ClosesSoon if behind == Host::Api => {
                trial.until("the close of each connection", |_| relay.open() == 0);
            }
            Firewall::ResetsIdle => relay.forget_idle(),
            Firewall::ClosesSoon | Firewall::ResetsSecond => {}
        }
        append(&server, 1);
        trial.brings_all();
    }
    trial.listens();
    trial.until("a response to each request", |_| {
        let received = relay.received();
        let mut cuts = (0..received.len()).filter(|&n| received[n].was_cut);
        cuts.all(|n| resent(&received, n).is_some())
    });

    let received = relay.received();
    let cuts = (0..received.len()).filter(|&n| received[n].was_cut);
    for n in cuts.clone() {
        let is_cut_twice = resent(&received, n).is_some_and(|resent| resent.was_cut);
        assert!(!is_cut_twice, "request {n}: {received:?}");
    }
    let (cuts, most) = (cuts.count(), most_cuts(backend));
    assert!(
        cuts <= EVENTS * most + CUTS_AT_THE_START,
        "more than {most} for each event: {received:?}"
    );
    // On a slow machine each connection may be closed before the next request.
    let may_cut_none = most == 0 || firewall == Firewall::ClosesSoon;
    assert!(may_cut_none || cuts > 0, "{received:?}");
}

/// Returns the request that was received in place of a cut one: the next one with its method.
fn resent(received: &[Received], cut: usize) -> Option<&Received> {
    let mut later = received[cut + 1..].iter();
    later.find(|later| later.method == received[cut].method)
}

/// Returns the most requests that a firewall may cut for each event. Each event takes two requests.
fn most_cuts(backend: Backend) -> usize {
    match backend {
        #[cfg(feature = "reqwest")]
        Backend::Reqwest => 1,
        #[cfg(feature = "surf")]
        Backend::Surf => 0,
        // curl keeps the connection on which it has resent the first request, so the second request
        // may be cut there.
        #[cfg(feature = "isahc")]
        Backend::Isahc => 2,
    }
}

/// A request that the relay has received.
#[derive(Clone, Debug)]
struct Received {
    method: String,
    /// `true` if the connection ended instead of a response.
    was_cut: bool,
}

/// Relays requests to a server, and ends connections as a firewall does.
struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

struct Shared {
    server: SocketAddr,
    firewall: Firewall,
    received: Mutex<Vec<Received>>,
    /// The number of open connections that have had a request.
    open: AtomicUsize,
    /// The number of times that the firewall has forgotten the idle connections.
    forgotten: AtomicUsize,
}

impl Relay {
    fn start(server: &EmulatorServer, firewall: Firewall) -> Self {
        let shared = Arc::new(Shared {
            server: server.origin()["http://".len()..].parse().unwrap(),
            firewall,
            received: Mutex::default(),
            open: AtomicUsize::new(0),
            forgotten: AtomicUsize::new(0),
        });
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = Arc::clone(&shared);
        runtime.spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let shared = Arc::clone(&accepting);
                tokio::spawn(async move {
                    let mut client = BufReader::new(client);
                    // reqwest opens connections that it may not need, and keeps them. A connection
                    // counts from its first request on. An error means that the client is gone.
                    if let Ok(head) = read_head(&mut client).await {
                        shared.open.fetch_add(1, Ordering::SeqCst);
                        let _ = shared.serve(client, head).await;
                        shared.open.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        Self {
            address,
            shared,
            _runtime: runtime,
        }
    }

    fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the number of open connections that have had a request.
    fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// Makes the firewall cut the next request on each open connection.
    fn forget_idle(&self) {
        self.shared.forgotten.fetch_add(1, Ordering::SeqCst);
    }

    fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }
}

impl Shared {
    /// Serves a connection from its first request on.
    async fn serve(&self, mut client: BufReader<TcpStream>, mut head: String) -> io::Result<()> {
        client.get_ref().set_nodelay(true)?;
        loop {
            // A poll gets its response later, so the request is noted when it arrives.
            self.note(&head, false);
            let mut server = BufReader::new(TcpStream::connect(self.server).await?);
            server.write_all(head.as_bytes()).await?;
            let response = read_response(&mut server).await?;
            let forgotten = self.forgotten.load(Ordering::SeqCst);
            client.write_all(&response).await?;

            head = match self.firewall {
                Firewall::ClosesSoon => return self.close_soon(client).await,
                Firewall::ResetsSecond | Firewall::ResetsIdle => read_head(&mut client).await?,
            };
            let forgotten_since = self.forgotten.load(Ordering::SeqCst) > forgotten;
            if self.firewall == Firewall::ResetsSecond || forgotten_since {
                self.note(&head, true);
                return client.get_ref().set_zero_linger();
            }
        }
    }

    async fn close_soon(&self, mut client: BufReader<TcpStream>) -> io::Result<()> {
        let closes = Instant::now() + SOON;
        if let Ok(head) = timeout_at(closes, read_head(&mut client)).await {
            self.note(&head?, true);
            sleep_until(closes).await;
        }
        Ok(())
    }

    fn note(&self, head: &str, was_cut: bool) {
        let method = head.split(' ').next().unwrap_or_default().to_owned();
        let mut received = self.received.lock().unwrap();
        received.push(Received { method, was_cut });
    }
}

/// Reads a request without a body, or the head of a response.
async fn read_head(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if from.read_line(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

/// Reads a response. The server closes its connection after a poll, and this does not report that
/// to the client, as if a proxy kept the client's connection.
async fn read_response(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Vec<u8>> {
    let head = read_head(from).await?.replace("connection: close\r\n", "");
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .expect("each response of the emulator has a length");
    let body = length.parse().unwrap();
    let mut response = head.into_bytes();
    from.take(body).read_to_end(&mut response).await?;
    Ok(response)
}
