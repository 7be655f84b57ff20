//! A proxy in front of a realtime server that ends each poll after a fixed time.
//!
//! Start at [`Relay`].

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use box_longpoll::transport::Moment;
use box_longpoll_testkit::EmulatorServer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::time::sleep;

/// The way in which the proxy ends a poll.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cut {
    /// The proxy closes the connection.
    Fin,
    /// The proxy resets the connection.
    Reset,
    /// The proxy sends its own 504 and keeps the connection.
    GatewayTimeout,
    /// The proxy sends a 200 without a body and keeps the connection.
    EmptyOk,
}

/// All ways to end a poll.
pub(super) const CUTS: [Cut; 4] = [Cut::Fin, Cut::Reset, Cut::GatewayTimeout, Cut::EmptyOk];

impl Cut {
    /// Ends a poll. Returns `true` if the connection can be used again.
    async fn end(self, client: &mut TcpStream) -> io::Result<bool> {
        let response = match self {
            Self::Fin => return Ok(false),
            Self::Reset => {
                client.set_zero_linger()?;
                return Ok(false);
            }
            Self::GatewayTimeout => {
                "HTTP/1.1 504 Gateway Time-out\r\ncontent-type: text/html\r\ncontent-length: 21\r\n\r\n\
                 <html>Timeout</html>\n"
            }
            Self::EmptyOk => "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        };
        client.write_all(response.as_bytes()).await?;
        Ok(true)
    }
}

/// A poll that the proxy relayed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Poll {
    /// The time at which the request arrived.
    pub(super) opened: Instant,
    /// The time at which the poll ended, or `None` while it is open.
    pub(super) ended: Option<Instant>,
    /// `true` if the proxy ended the poll.
    pub(super) cut: bool,
}

/// The polls of a proxy, in the order in which they were opened.
#[derive(Clone, Default)]
pub(super) struct Polls(Arc<Mutex<Vec<Poll>>>);

/// A proxy that serves one stream.
pub(super) struct Relay {
    pub(super) origin: String,
    pub(super) polls: Polls,
}

impl Relay {
    /// Starts a proxy on a runtime. It runs as long as the runtime.
    pub(super) fn start(
        runtime: &Handle,
        server: &EmulatorServer,
        cut: Cut,
        after: Duration,
    ) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let server: SocketAddr = server.origin()["http://".len()..].parse().unwrap();
        let polls = Polls::default();
        let kept = polls.clone();
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let connection = Connection {
                    client,
                    server,
                    cut,
                    after,
                    polls: kept.clone(),
                };
                tokio::spawn(async move {
                    // An error ends the connection like a regular close.
                    let _ = connection.serve().await;
                });
            }
        });
        Self { origin, polls }
    }
}

/// A connection of a client to the proxy.
struct Connection {
    client: TcpStream,
    server: SocketAddr,
    cut: Cut,
    after: Duration,
    polls: Polls,
}

impl Connection {
    /// Relays one poll after the other until a side closes the connection.
    async fn serve(mut self) -> io::Result<()> {
        let mut head = Vec::new();
        loop {
            while !head.ends_with(b"\r\n\r\n") {
                if self.client.read_buf(&mut head).await? == 0 {
                    return Ok(());
                }
            }
            let open = self.polls.open();
            let mut server = TcpStream::connect(self.server).await?;
            server.write_all(&head).await?;
            head.clear();
            let mut signal = Vec::new();
            tokio::select! {
                // The realtime server closes its connection after each signal.
                read = server.read_to_end(&mut signal) => {
                    read?;
                    drop(open);
                    return self.client.write_all(&signal).await;
                }
                // The client closes the connection. It sends nothing while a poll is held.
                read = self.client.read_buf(&mut head) => return read.map(drop),
                () = sleep(self.after) => open.cut(),
            }
            if !self.cut.end(&mut self.client).await? {
                return Ok(());
            }
        }
    }
}

impl Polls {
    /// Returns all polls so far.
    pub(super) fn list(&self) -> Vec<Poll> {
        self.lock().clone()
    }

    /// Returns the number of polls that the proxy has ended.
    pub(super) fn cuts(&self) -> usize {
        self.lock().iter().filter(|poll| poll.cut).count()
    }

    /// Returns `true` if a poll is open.
    pub(super) fn is_open(&self) -> bool {
        self.lock().iter().any(|poll| poll.ended.is_none())
    }

    /// Returns the share of the time since the first poll in which a poll was open, from 0 to 1.
    pub(super) fn share_open(&self, now: Instant) -> f64 {
        let polls = self.lock();
        let total = now - polls[0].opened;
        let open: Duration = polls
            .iter()
            .map(|poll| poll.ended.unwrap_or(now) - poll.opened)
            .sum();
        open.div_duration_f64(total)
    }

    /// Returns the longest time without an open poll between two polls.
    pub(super) fn longest_gap(&self) -> Duration {
        let polls = self.lock();
        let gaps = polls.windows(2).map(|pair| {
            let ended = pair[0].ended.unwrap_or(pair[1].opened);
            pair[1].opened.saturating_duration_since(ended)
        });
        gaps.max().unwrap_or_default()
    }

    /// Records a poll that begins now.
    fn open(&self) -> OpenPoll<'_> {
        let mut polls = self.lock();
        polls.push(Poll {
            opened: Moment::read_clocks().monotonic,
            ended: None,
            cut: false,
        });
        OpenPoll {
            polls: self,
            number: polls.len() - 1,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Poll>> {
        self.0.lock().unwrap()
    }
}

/// An open poll. Its drop records the end of the poll.
struct OpenPoll<'a> {
    polls: &'a Polls,
    number: usize,
}

impl OpenPoll<'_> {
    /// Records that the proxy ends the poll.
    fn cut(self) {
        self.polls.lock()[self.number].cut = true;
    }
}

impl Drop for OpenPoll<'_> {
    fn drop(&mut self) {
        self.polls.lock()[self.number].ended = Some(Moment::read_clocks().monotonic);
    }
}
