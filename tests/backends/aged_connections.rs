//! The connections that a transport keeps: for how long, how many, and when it gives one up.
//!
//! surf keeps none. Tests run in the order of their names, and some of these wait for two minutes,
//! so this module has a name that comes first.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use box_longpoll::HttpTransport;
use box_longpoll::transport::TransportRequest;
#[cfg(all(target_os = "linux", any(feature = "reqwest", feature = "surf")))]
use box_longpoll::transport::{TransportError, TransportErrorKind};
use bytes::Bytes;
use futures_util::future::join_all;
use http::{Method, Request};
use rstest::rstest;

use crate::backend::Backend;

/// Longer than an HTTP library keeps an idle connection by default: reqwest for 90 s, curl for
/// 118 s.
#[cfg(any(feature = "reqwest", feature = "isahc"))]
const QUIET: Duration = Duration::from_secs(121);

/// The number of requests that are held until all of them have arrived.
const HELD: usize = 100;

/// The greatest number of idle connections to a host.
const MOST_IDLE: usize = 32;

/// The number of further requests until few connections are open: ten seconds of them. curl closes
/// an idle connection each time that a request ends, if it has been idle for more than a second.
const FURTHER: usize = 1_000;
/// The time between two of these requests.
const A_MOMENT: Duration = Duration::from_millis(10);

/// `probed` is the time in seconds between two keep-alive probes of an idle connection.
#[cfg(any(feature = "reqwest", feature = "isahc"))]
#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest, 30))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc, 60))]
fn connection_is_used_again_after_two_quiet_minutes(#[case] backend: Backend, #[case] probed: u64) {
    let server = Server::start(1);
    let transport = backend.transport();
    backend.runtime().block_on(async {
        assert_eq!(server.get(&*transport).await, "request 1");
        transport.sleep(QUIET).await.unwrap();
        // Only Linux shows the keep-alive timer.
        if cfg!(target_os = "linux") {
            server.assert_probed(Duration::from_secs(probed));
        }
        assert_eq!(server.get(&*transport).await, "request 2");
    });
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn few_connections_stay_open_when_many_polls_end_at_once(#[case] backend: Backend) {
    let server = Server::start(HELD);
    let transport = backend.transport();
    backend.runtime().block_on(async {
        let held: Vec<_> = (0..HELD).map(|_| server.get(&*transport)).collect();
        join_all(held).await;
        for _ in 0..FURTHER {
            if server.open() <= MOST_IDLE {
                return;
            }
            server.get(&*transport).await;
            transport.sleep(A_MOMENT).await.unwrap();
        }
        panic!("{} connections are open", server.open());
    });
}

/// isahc is left out, because it can't set this time limit.
#[cfg(all(target_os = "linux", any(feature = "reqwest", feature = "surf")))]
#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
fn connection_ends_when_nobody_takes_data_for_a_minute(#[case] backend: Backend) {
    // The server never reads, and the body is larger than the buffers of both sides.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let body = Bytes::from(vec![0; 32 << 20]);
    let post = request(Method::POST, server.local_addr().unwrap(), body);
    let transport = backend.transport();
    let error = backend.runtime().block_on(async {
        let two_minutes = async {
            transport.sleep(Duration::from_secs(120)).await?;
            Err(TransportError::new(TransportErrorKind::Timeout))
        };
        futures_lite::future::or(transport.send(post), two_minutes).await
    });
    assert_eq!(error.unwrap_err().kind(), TransportErrorKind::Interrupted);
}

fn request(method: Method, server: SocketAddr, body: Bytes) -> TransportRequest {
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{server}/"))
        .body(body)
        .unwrap();
    TransportRequest::new(request, Duration::from_secs(600), 1_000)
}

/// A server that keeps connections, and responds with the number of the request on its connection.
struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// The requests and connections of a [`Server`].
struct Shared {
    /// The number of requests that are held until all of them have arrived.
    held: usize,
    /// The number of requests that have arrived.
    received: Mutex<usize>,
    arrival: Condvar,
    /// The client's ends of the open connections.
    open: Mutex<Vec<SocketAddr>>,
}

impl Server {
    /// Starts a server that holds the first requests until `held` of them have arrived.
    fn start(held: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            held,
            received: Mutex::default(),
            arrival: Condvar::new(),
            open: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for connection in listener.incoming() {
                let connection = connection.unwrap();
                let shared = Arc::clone(&serving);
                thread::spawn(move || shared.serve(connection));
            }
        });
        Self { address, shared }
    }

    /// Sends a `GET`, and returns the body of the response.
    async fn get(&self, transport: &dyn HttpTransport) -> String {
        let get = request(Method::GET, self.address, Bytes::new());
        let response = transport.send(get).await.unwrap();
        String::from_utf8(response.body().to_vec()).unwrap()
    }

    /// Returns the number of open connections.
    fn open(&self) -> usize {
        self.shared.open.lock().unwrap().len()
    }

    /// Asserts that the client's kernel probes each open connection within this time.
    ///
    /// Client and server share a kernel, whose table `/proc/net/tcp` lists the timer of each
    /// connection.
    #[cfg(any(feature = "reqwest", feature = "isahc"))]
    #[track_caller]
    fn assert_probed(&self, within: Duration) {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let open = self.shared.open.lock().unwrap();
        assert!(!open.is_empty(), "the connection is kept");
        for client in &*open {
            let ends = [client, &self.address].map(|end| format!("0100007F:{:04X}", end.port()));
            let ends = ends.join(" ");
            let line = table.lines().find(|line| line.contains(&ends)).unwrap();
            let timer = line.split_whitespace().nth(5).unwrap();
            // 02 is the keep-alive timer. Its time is in hundredths of a second.
            let due = timer.strip_prefix("02:").expect("keep-alive is on");
            let due = Duration::from_millis(10 * u64::from_str_radix(due, 16).unwrap());
            assert!(due <= within, "{due:?}");
        }
    }
}

impl Shared {
    fn serve(&self, mut connection: TcpStream) {
        let client = connection.peer_addr().unwrap();
        self.open.lock().unwrap().push(client);
        let mut lines = BufReader::new(connection.try_clone().unwrap()).lines();
        let mut number = 0;
        // A request ends with an empty line.
        while lines
            .by_ref()
            .map_while(Result::ok)
            .any(|line| line.is_empty())
        {
            number += 1;
            self.wait_for_all();
            let body = format!("request {number}");
            let length = body.len();
            let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
            connection.write_all(response.as_bytes()).unwrap();
        }
        self.open.lock().unwrap().retain(|open| *open != client);
    }

    fn wait_for_all(&self) {
        let mut received = self.received.lock().unwrap();
        *received += 1;
        self.arrival.notify_all();
        drop(
            self.arrival
                .wait_while(received, |received| *received < self.held),
        );
    }
}
