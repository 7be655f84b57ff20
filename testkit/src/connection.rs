use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::server::{Next, Shared, now};
use crate::wire::{self, Head};
use crate::{Answer, HoldId, Request};

/// The largest request the emulator reads. A body of events to append may be large.
const MOST_BYTES: usize = 1 << 30;

pub(crate) async fn accept(listener: TcpListener, shared: &Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = Connection {
                    stream,
                    received: Vec::new(),
                    shared: Arc::clone(shared),
                };
                tokio::spawn(async move {
                    // A client that goes away is no concern of anybody else's.
                    let _ = connection.serve().await;
                });
            }
            // There are no file descriptors left. Some may come back.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
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
                    wire::deliver(&mut self.stream, &Answer::empty(status).closing()).await?;
                    return Ok(None);
                }
            }
            if self.received.len() > MOST_BYTES
                || self.stream.read_buf(&mut self.received).await? == 0
            {
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

/// Resolves when the client has closed its side. What it sends before is kept for later.
async fn gone(stream: &TcpStream, received: &mut Vec<u8>) {
    while stream.readable().await.is_ok() {
        match stream.try_read_buf(received) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
