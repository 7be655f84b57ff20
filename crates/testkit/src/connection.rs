//! The connections of the server: each serves one request after another.
//!
//! A connection waits while the emulator holds its request, and notices when the client
//! disconnects. It limits the bytes that it reads. Requests and responses are written in `wire`.
//! Start from [`accept`].

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::control;
use crate::limits::{self, MAX_HEAD_BYTES};
use crate::server::{Next, Shared, now};
use crate::wire::{self, Head};
use crate::{FakeResponse, HoldId, Request};

/// The greatest number of bytes of a refused request that are read and discarded, so that its
/// client can read the refusal: 64 MiB.
const MAX_DISCARDED: u64 = 64 << 20;
/// The greatest time for which a refused request is read and discarded.
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// Accepts connections forever and serves each in a task of its own. Refuses those above
/// `max_connections`.
pub(crate) async fn accept(listener: TcpListener, shared: &Arc<Shared>, max_connections: usize) {
    let permits = Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS)));
    loop {
        match listener.accept().await {
            Ok((mut stream, _)) => {
                let permit = Arc::clone(&permits).try_acquire_owned();
                let shared = Arc::clone(shared);
                tokio::spawn(async move {
                    let Ok(_permit) = permit else {
                        let reason = format!(
                            "the limit of {max_connections} connections is reached: close some, \
                             or raise Config::max_connections"
                        );
                        let response = control::refusal(503, &reason).closing();
                        let _ = refuse(&mut stream, &response).await;
                        return;
                    };
                    let connection = Connection {
                        stream,
                        received: Vec::new(),
                        shared,
                    };
                    // An I/O error ends only this connection, and the client sees it too.
                    let _ = connection.serve().await;
                });
            }
            // The process has no file descriptor left. Connections that close free some.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Refuses a request without reading it completely.
///
/// If the connection were closed at once, some clients would report a broken connection and not the
/// refusal. So the rest of the request is read and discarded, within limits.
async fn refuse(stream: &mut TcpStream, refusal: &FakeResponse) -> io::Result<()> {
    wire::deliver(stream, refusal).await?;
    stream.shutdown().await?;
    let mut rest = stream.take(MAX_DISCARDED);
    let mut nowhere = tokio::io::sink();
    let discarded = tokio::io::copy(&mut rest, &mut nowhere);
    let _ = tokio::time::timeout(DISCARD_TIME, discarded).await;
    Ok(())
}

/// One connection, from its first request to its last.
struct Connection {
    stream: TcpStream,
    /// The bytes that were read and not yet parsed.
    received: Vec<u8>,
    shared: Arc<Shared>,
}

impl Connection {
    /// Serves requests until the connection ends.
    async fn serve(mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        loop {
            let Some((request, keep_alive)) = self.read_request().await? else {
                return Ok(());
            };
            let Some(mut response) = self.respond(&request).await? else {
                return Ok(());
            };
            response.close |= !keep_alive;
            let reusable = wire::deliver(&mut self.stream, &response).await?;
            if let Some(page) = &response.dripping {
                self.shared.lock().page_has_dripped(page);
            }
            if !reusable {
                return Ok(());
            }
        }
    }

    /// Reads a request, and whether the connection may be kept afterwards. Returns `None` if the
    /// client has closed the connection, or if the request was refused.
    async fn read_request(&mut self) -> io::Result<Option<(Request, bool)>> {
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
                    if let Some(refusal) = refusal(&request, body) {
                        refuse(&mut self.stream, &refusal).await?;
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
                    refuse(&mut self.stream, &FakeResponse::empty(status).closing()).await?;
                    return Ok(None);
                }
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Returns the response to a request, after the wait if it is held. Returns `None` if the
    /// client disconnects before.
    async fn respond(&mut self, request: &Request) -> io::Result<Option<FakeResponse>> {
        let first = {
            let mut emulator = self.shared.lock();
            let reply = emulator.respond(request, now());
            emulator.follow(reply)
        };
        let mut wait = match first {
            Next::Respond(response) => return Ok(Some(response)),
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
                () = disconnected(&self.stream, &mut self.received) => return Ok(None),
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

/// A held request, which is hung up when this is dropped: the client disconnected, or the response
/// is complete.
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
async fn disconnected(stream: &TcpStream, received: &mut Vec<u8>) {
    while received.len() <= MAX_HEAD_BYTES && stream.readable().await.is_ok() {
        match stream.try_read_buf(received) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
