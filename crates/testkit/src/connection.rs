//! The connections of the server: each serves one request after another.
//!
//! A connection waits while the emulator holds its request, and notices when the client
//! disconnects. It limits the bytes that it reads. Requests and responses are written in `wire`,
//! and travel over a `line`. Start from [`accept`].

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::control;
use crate::limits::{self, MAX_HEAD_BYTES};
use crate::line::{Connected, Line};
use crate::server::{Next, Shared, now};
use crate::wire::{self, Head};
use crate::{FakeResponse, HoldId, Request};

/// The greatest number of bytes of a refused request that are read and discarded, so that its
/// client can read the refusal: 64 MiB.
const MAX_DISCARDED: u64 = 64 << 20;
/// The greatest time for which a refused request is read and discarded.
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// The start of the path of a control request.
const CONTROL: &[u8] = b"/_emulator";
/// The number of bytes that show if a connection begins with a control request. The longest method
/// has 7 letters.
const CONTROL_LENGTH: usize = "OPTIONS /_emulator".len();

/// Accepts connections forever and serves each in a task of its own. Refuses those above
/// `max_connections`.
pub(crate) async fn accept(listener: TcpListener, shared: &Arc<Shared>, max_connections: usize) {
    let permits = Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS)));
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                let permit = Arc::clone(&permits).try_acquire_owned();
                let opened = now();
                let shared = Arc::clone(shared);
                tokio::spawn(async move {
                    // An I/O error ends only this connection, and the client sees it too.
                    let _ = match &permit {
                        Ok(_) => serve(socket, opened, shared).await,
                        Err(_) => turn_away(socket, opened, &shared, max_connections).await,
                    };
                });
            }
            // The process has no file descriptor left. Connections that close free some.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Serves a new connection until it ends.
async fn serve(socket: TcpStream, opened: Instant, shared: Arc<Shared>) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut first = [0; CONTROL_LENGTH];
    let idle_close = shared.network.borrow().idle_close;
    // The first bytes stay in the socket, so a distance delays them too.
    let Some(length) = within(idle_close, socket.peek(&mut first)).await else {
        return Ok(());
    };
    let is_control = is_control(&first[..length?]);
    let network = shared.network.subscribe();
    let line = if is_control {
        Line::without_distance(socket, network)
    } else {
        Line::new(socket, opened, network)
    };
    match &shared.tls {
        Some(tls) if !is_control => {
            // In a `Box`, the state of TLS takes no memory in connections without TLS.
            let over_tls = Box::pin(async {
                let stream = tls.accept(line).await?;
                let mut connection = Connection::new(stream, Arc::clone(&shared), is_control);
                connection.serve().await
            });
            over_tls.await
        }
        _ => Connection::new(line, shared, is_control).serve().await,
    }
}

/// Refuses a connection above the limit.
async fn turn_away(
    socket: TcpStream,
    opened: Instant,
    shared: &Shared,
    max_connections: usize,
) -> io::Result<()> {
    if shared.tls.is_some() {
        return Ok(());
    }
    socket.set_nodelay(true)?;
    let reason = format!(
        "the limit of {max_connections} connections is reached: close some, or raise \
         Config::max_connections"
    );
    let refusal = control::refusal(503, &reason).closing();
    let mut line = Line::new(socket, opened, shared.network.subscribe());
    refuse(&mut line, &refusal).await
}

/// Returns `true` if these first bytes of a connection begin a control request.
fn is_control(first: &[u8]) -> bool {
    let target = first.splitn(2, |&byte| byte == b' ').nth(1);
    target.is_some_and(|target| target.starts_with(CONTROL))
}

/// Waits for a future, at most for as long as the limit says.
async fn within<F: Future>(limit: Option<Duration>, future: F) -> Option<F::Output> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, future).await.ok(),
        None => Some(future.await),
    }
}

/// Refuses a request without reading it completely.
///
/// If the connection were closed at once, some clients would report a broken connection and not the
/// refusal. So the rest of the request is read and discarded, within limits.
async fn refuse(stream: &mut impl Connected, refusal: &FakeResponse) -> io::Result<()> {
    wire::deliver(stream, refusal).await?;
    let mut rest = stream.take(MAX_DISCARDED);
    let mut nowhere = tokio::io::sink();
    let discarded = tokio::io::copy(&mut rest, &mut nowhere);
    let _ = tokio::time::timeout(DISCARD_TIME, discarded).await;
    Ok(())
}

/// One connection, from its first request to its last.
struct Connection<S> {
    stream: S,
    /// The bytes that were read and not yet parsed.
    received: Vec<u8>,
    shared: Arc<Shared>,
    /// `true` if the first request is a control request, so the line has neither TLS nor a
    /// distance.
    is_control: bool,
}

impl<S: Connected> Connection<S> {
    fn new(stream: S, shared: Arc<Shared>, is_control: bool) -> Self {
        Self {
            stream,
            received: Vec::new(),
            shared,
            is_control,
        }
    }

    /// Serves requests until the connection ends.
    async fn serve(&mut self) -> io::Result<()> {
        // The first request has begun.
        let mut idle_close = None;
        loop {
            let Some((request, keep_alive)) = self.read_request(idle_close).await? else {
                return Ok(());
            };
            let Some(mut response) = self.respond(&request).await? else {
                return Ok(());
            };
            if response.is_to_be_compressed {
                // Other connections are served meanwhile, as by a server with many cores.
                let compressed = tokio::task::spawn_blocking(|| response.compressed());
                response = compressed.await.map_err(io::Error::other)?;
            }
            response.close |= !keep_alive || self.is_control && self.shared.separates_control();
            let reusable = wire::deliver(&mut self.stream, &response).await?;
            if let Some(page) = &response.dripping {
                self.shared.lock().page_has_dripped(page);
            }
            if !reusable {
                return Ok(());
            }
            idle_close = self.shared.network.borrow().idle_close;
        }
    }

    /// Reads a request, and whether the connection may be kept afterwards. Returns `None` if the
    /// client has closed the connection or has sent nothing for `idle_close`, or if the request was
    /// refused.
    async fn read_request(
        &mut self,
        idle_close: Option<Duration>,
    ) -> io::Result<Option<(Request, bool)>> {
        let mut continued = false;
        loop {
            match wire::parse(&self.received) {
                Ok(Head::Incomplete) => {}
                Ok(Head::Complete {
                    request,
                    length,
                    keep_alive,
                    wants_continue,
                    body,
                }) => {
                    let request = request.over(S::SCHEME);
                    if let Some(refusal) = refusal(&request, body) {
                        // Few connections are refused, so the others hold no memory for it.
                        Box::pin(refuse(&mut self.stream, &refusal)).await?;
                        return Ok(None);
                    }
                    let body = usize::try_from(body).map_err(io::Error::other)?;
                    let end = length + body;
                    if self.received.len() >= end {
                        let request = request.body(&self.received[length..end]);
                        self.received.drain(..end);
                        self.received.shrink_to(4096);
                        return Ok(Some((request, keep_alive)));
                    }
                    if wants_continue && !continued {
                        self.stream
                            .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                            .await?;
                        continued = true;
                    }
                }
                Err(status) => {
                    let refusal = FakeResponse::empty(status).closing();
                    Box::pin(refuse(&mut self.stream, &refusal)).await?;
                    return Ok(None);
                }
            }
            let idle_close = idle_close.filter(|_| self.received.is_empty());
            let read = self.stream.read_buf(&mut self.received);
            let read = within(idle_close, read).await.transpose()?;
            if read.is_none_or(|bytes| bytes == 0) {
                self.stream.shutdown().await?;
                return Ok(None);
            }
        }
    }

    /// Returns the response to a request, after the wait if it is held. Returns `None` if the
    /// client disconnects before.
    async fn respond(&mut self, request: &Request) -> io::Result<Option<FakeResponse>> {
        let (first, server_time) = {
            let mut emulator = self.shared.lock();
            let reply = emulator.respond(request, now());
            let server_time = emulator.settings().server_time_ms;
            (emulator.follow(reply), server_time)
        };
        let mut wait = match first {
            Next::Respond(response) => {
                if server_time > 0 && request.is_api_call() {
                    tokio::time::sleep(Duration::from_millis(server_time)).await;
                }
                return Ok(Some(response));
            }
            Next::Wait(wait) => wait,
        };
        let held = Held {
            id: wait.id,
            shared: Arc::clone(&self.shared),
        };
        loop {
            let deadline = async {
                match wait.until {
                    Some(until) => tokio::time::sleep_until(until.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = &mut wait.woken => {}
                () = deadline => {}
                () = disconnected(&mut self.stream, &mut self.received) => return Ok(None),
            }
            let mut emulator = self.shared.lock();
            let Some(reply) = emulator.resume(held.id, now()) else {
                return Ok(None);
            };
            match emulator.follow(reply) {
                Next::Respond(response) => return Ok(Some(response)),
                Next::Wait(again) => wait = again,
            }
        }
    }
}

/// A held request. When this is dropped, the emulator forgets the request: the client disconnected,
/// or the response is complete.
struct Held {
    id: HoldId,
    shared: Arc<Shared>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared.lock().give_up(self.id);
    }
}

/// Returns the refusal of a request whose head alone shows that it is forbidden. The body isn't
/// read, so the connection is closed.
fn refusal(request: &Request, body: u64) -> Option<FakeResponse> {
    let most = limits::body_bytes(request);
    let refusal = if request.control_resource().is_some() {
        control::access_refusal(request)
    } else {
        None
    };
    let refusal = refusal.or_else(|| {
        let within = limits::at_most("content-length", body, most as u64);
        within.err().map(|reason| control::refusal(413, &reason))
    });
    refusal.map(|response| response.closing().to(request))
}

/// Resolves when the client has closed its side, or when it has sent more than a request's head may
/// hold. The bytes that it sends before are kept for the next request.
async fn disconnected(stream: &mut impl Connected, received: &mut Vec<u8>) {
    while received.len() <= MAX_HEAD_BYTES {
        match stream.read_buf(received).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}
