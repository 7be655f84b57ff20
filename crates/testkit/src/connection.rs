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
use crate::{Answer, HoldId, Request};

/// How much of a refused request is discarded, in bytes, and for how long, so that its client reads the refusal.
const MAX_UNREAD: u64 = 64 << 20;
const REFUSAL_TIME: Duration = Duration::from_secs(2);

pub(crate) async fn accept(listener: TcpListener, shared: &Arc<Shared>, max_connections: usize) {
    let room = Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS)));
    loop {
        match listener.accept().await {
            Ok((mut stream, _)) => {
                let place = Arc::clone(&room).try_acquire_owned();
                let shared = Arc::clone(shared);
                tokio::spawn(async move {
                    let Ok(_place) = place else {
                        let reason = format!("{max_connections} connections are open, the most");
                        let answer = control::refusal(503, &reason).closing();
                        let _ = refuse(&mut stream, &answer).await;
                        return;
                    };
                    let connection = Connection {
                        stream,
                        received: Vec::new(),
                        shared,
                    };
                    // A client that goes away is no concern of anybody else's.
                    let _ = connection.serve().await;
                });
            }
            // There are no file descriptors left. Some may come back.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Refuses a request that isn't read to its end. If it were cut off at once, many a client would see a broken connection
/// and no refusal.
async fn refuse(stream: &mut TcpStream, refusal: &Answer) -> io::Result<()> {
    wire::deliver(stream, refusal).await?;
    stream.shutdown().await?;
    let mut rest = stream.take(MAX_UNREAD);
    let mut nowhere = tokio::io::sink();
    let discarded = tokio::io::copy(&mut rest, &mut nowhere);
    let _ = tokio::time::timeout(REFUSAL_TIME, discarded).await;
    Ok(())
}

/// One connection, from its first request to its last.
struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    shared: Arc<Shared>,
}

impl Connection {
    async fn serve(mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        loop {
            let Some((request, keep_alive)) = self.read_request().await? else {
                return Ok(());
            };
            let Some(mut answer) = self.answer(&request).await? else {
                return Ok(());
            };
            answer.close |= !keep_alive;
            let reusable = wire::deliver(&mut self.stream, &answer).await?;
            if let Some(page) = &answer.dripping {
                self.shared.lock().page_has_dripped(page);
            }
            if !reusable {
                return Ok(());
            }
        }
    }

    /// `None` when the client has closed the connection.
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
                    refuse(&mut self.stream, &Answer::empty(status).closing()).await?;
                    return Ok(None);
                }
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// `None` when the client went away before there was an answer.
    async fn answer(&mut self, request: &Request) -> io::Result<Option<Answer>> {
        let first = {
            let mut emulator = self.shared.lock();
            let reply = emulator.respond(request, now());
            emulator.follow(reply)
        };
        let mut wait = match first {
            Next::Answer(answer) => return Ok(Some(answer)),
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
                () = gone(&self.stream, &mut self.received) => return Ok(None),
            }
            let mut emulator = self.shared.lock();
            let Some(reply) = emulator.resume(held.id, now()) else {
                return Ok(None);
            };
            match emulator.follow(reply) {
                Next::Answer(answer) => return Ok(Some(answer)),
                Next::Wait(again) => wait = again,
            }
        }
    }
}

/// Hangs a held request up when its connection ends, in whichever way.
struct Held {
    id: HoldId,
    shared: Arc<Shared>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared.lock().give_up(self.id);
    }
}

/// Refuses what the head alone forbids. The body isn't read, so the connection is closed.
fn refusal(request: &Request, body: u64) -> Option<Answer> {
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
    refusal.map(|answer| answer.closing().to(request))
}

/// Resolves when the client has closed its side, or sends more than a request's head meanwhile. What it sends before is
/// kept for later.
async fn gone(stream: &TcpStream, received: &mut Vec<u8>) {
    while received.len() <= MAX_HEAD_BYTES && stream.readable().await.is_ok() {
        match stream.try_read_buf(received) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
