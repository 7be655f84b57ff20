//! A scripted server, which runs a closure for each connection and reports the requests that it
//! reads.
//!
//! The server uses blocking sockets on threads of its own, so it does not depend on the transport's
//! runtime. It knows HTTP only as far as its script writes it. Start from [`Server::start`].

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustls::ServerConfig;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::captured_request::CapturedRequest;
use super::connection::Connection;
use super::driver::Subject;
use super::transcript::Act;

/// The stack size of a server's thread, in bytes: 256 KiB. A thread does little, and there may be
/// hundreds of them.
const STACK: usize = 256 * 1024;

/// A server that follows a script on threads of its own, and reports the requests that it reads.
///
/// Reports can be awaited under any executor, so a test never blocks the thread that drives its
/// transport.
pub(super) struct Server {
    address: SocketAddr,
    requests: UnboundedReceiver<CapturedRequest>,
    notes: UnboundedReceiver<Note>,
    /// The number of connections that were accepted so far.
    connections: Arc<AtomicUsize>,
    stopping: Arc<AtomicBool>,
}

/// A report of a script, other than a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// The client has ended the connection.
    Closed,
    /// The client has not ended the connection within the time limit.
    Open,
    /// The server has written its part, or has ended the connection.
    Done,
    /// The number of bytes that the TLS session decrypted, which is 0 if the handshake failed.
    Plaintext(usize),
}

impl Server {
    /// Starts a server that runs `script` for each connection, on a thread of its own.
    pub(super) fn start(
        subject: &Subject,
        script: impl Fn(&mut Connection) + Send + Sync + 'static,
    ) -> Self {
        Self::listen(subject, None, script)
    }

    /// Starts a server that runs `script` for each connection over TLS.
    pub(super) fn tls(
        subject: &Subject,
        config: Arc<ServerConfig>,
        script: impl Fn(&mut Connection) + Send + Sync + 'static,
    ) -> Self {
        Self::listen(subject, Some(config), script)
    }

    /// Starts a server that reads one request on each connection, writes these bytes, and closes.
    pub(super) fn responding(subject: &Subject, response: impl Into<Vec<u8>>) -> Self {
        let response = response.into();
        Self::start(subject, move |connection| {
            connection.read_request();
            connection.write(&response);
        })
    }

    fn listen(
        subject: &Subject,
        config: Option<Arc<ServerConfig>>,
        script: impl Fn(&mut Connection) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let address = listener.local_addr().expect("the address that was bound");
        let (requests, requests_seen) = unbounded_channel();
        let (notes, notes_seen) = unbounded_channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let stopping = Arc::new(AtomicBool::new(false));
        let script = Arc::new(script);
        let (counter, stop) = (Arc::clone(&connections), Arc::clone(&stopping));
        let transcript = subject.transcript.clone();
        let server = transcript.add_server();
        spawn("accept", move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let number = counter.fetch_add(1, Ordering::SeqCst);
                let (script, config) = (Arc::clone(&script), config.clone());
                let (requests, notes) = (requests.clone(), notes.clone());
                let recorder = transcript.of_connection(server, number);
                recorder.record(Act::Accepted);
                spawn("serve", move || {
                    if let Ok(mut connection) =
                        Connection::new(number, stream, config, requests, notes, recorder)
                    {
                        script(&mut connection);
                        connection.finish();
                    }
                });
            }
        });
        Self {
            address,
            requests: requests_seen,
            notes: notes_seen,
            connections,
            stopping,
        }
    }

    /// Returns the URL of this path and query, over plain HTTP.
    pub(super) fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }

    /// Returns the URL of this path and query over TLS. Its host is the name in the certificates of
    /// a [`Setup`](super::Setup).
    pub(super) fn tls_url(&self, target: &str) -> String {
        format!("https://localhost:{}{target}", self.address.port())
    }

    /// Returns the number of connections that were accepted so far.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Waits for the next complete request and returns it.
    pub(super) async fn request(&mut self) -> CapturedRequest {
        self.requests.recv().await.expect("the server runs")
    }

    /// Waits for the next note of a script and returns it.
    pub(super) async fn note(&mut self) -> Note {
        self.notes.recv().await.expect("the server runs")
    }

    /// Returns the requests that were read and not yet returned by [`request`](Self::request).
    pub(super) fn requests_so_far(&mut self) -> Vec<CapturedRequest> {
        std::iter::from_fn(|| self.requests.try_recv().ok()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // A connection wakes the thread that accepts, which then sees `stopping`.
        let _ = TcpStream::connect(self.address);
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) {
    thread::Builder::new()
        .name(name.to_owned())
        .stack_size(STACK)
        .spawn(work)
        .expect("a thread for the server");
}
