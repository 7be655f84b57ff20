use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustls::ServerConfig;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::connection::Connection;
use super::received::Received;
use super::subject::Subject;
use super::transcript::Act;

/// The stack of a server's thread, which does little and of which there may be hundreds.
const STACK: usize = 256 * 1024;

/// A server that follows a script, on threads of its own, and reports the requests it reads.
///
/// Reports can be awaited under any executor, so that a test never blocks the thread that drives its transport.
pub(super) struct Server {
    address: SocketAddr,
    requests: UnboundedReceiver<Received>,
    notes: UnboundedReceiver<Note>,
    connections: Arc<AtomicUsize>,
    stopping: Arc<AtomicBool>,
}

/// What a script tells beside the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// The client has ended the connection.
    Closed,
    /// The client had not ended the connection when the time was over.
    Open,
    /// The server has written what it had to write, or has ended the connection.
    Done,
    /// So many bytes came out of the TLS session, after a handshake or without one.
    Plaintext(usize),
}

impl Server {
    /// Runs `script` for each connection, on a thread of the connection's own.
    pub(super) fn start(
        subject: &Subject,
        script: impl Fn(&mut Connection) + Send + Sync + 'static,
    ) -> Self {
        Self::listen(subject, None, script)
    }

    /// The same over TLS.
    pub(super) fn tls(
        subject: &Subject,
        config: Arc<ServerConfig>,
        script: impl Fn(&mut Connection) + Send + Sync + 'static,
    ) -> Self {
        Self::listen(subject, Some(config), script)
    }

    /// Reads a request on each connection, writes these bytes, and closes.
    pub(super) fn answering(subject: &Subject, answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(subject, move |connection| {
            connection.read_request();
            connection.write(&answer);
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

    /// The URL of this path and query, over plain HTTP.
    pub(super) fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }

    /// The same over TLS, by the name that a [`Setup`](super::Setup)'s certificates are for.
    pub(super) fn tls_url(&self, target: &str) -> String {
        format!("https://localhost:{}{target}", self.address.port())
    }

    /// How many connections were made so far.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The next request that was read whole.
    pub(super) async fn request(&mut self) -> Received {
        self.requests.recv().await.expect("the server runs")
    }

    /// The next note of a script.
    pub(super) async fn note(&mut self) -> Note {
        self.notes.recv().await.expect("the server runs")
    }

    /// The requests that were read and not yet asked for.
    pub(super) fn requests_so_far(&mut self) -> Vec<Received> {
        std::iter::from_fn(|| self.requests.try_recv().ok()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
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
