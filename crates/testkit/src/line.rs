//! The line between a client and the server, which can be as long as the settings say.
//!
//! Loopback has neither latency nor a limited bandwidth, so the line adds both, below TLS and HTTP.
//! Without distance, a line is its socket and costs nothing. With distance, a task carries the
//! bytes of the connection between the socket and a pipe. Start from [`Line`].

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, sleep_until};

use crate::Settings;
use crate::server::now;

/// The number of bytes that the server may write ahead of the line in each direction.
const PIPE_BYTES: usize = 64 << 10;
/// The greatest number of bytes that travel together.
const CHUNK_BYTES: usize = 16 << 10;
/// The number of chunks in flight in one direction: up to 16 MiB, as with the large windows of TCP.
/// Above it, the sender waits.
const CHUNKS_IN_FLIGHT: usize = 1024;
/// The number of chunks in a second if the bandwidth is limited. It keeps chunks small enough for a
/// slow line to be smooth.
const CHUNKS_PER_SECOND: u64 = 100;

/// The network that the settings describe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    /// The time that a byte takes, in either direction.
    latency: Duration,
    /// The time that a new connection takes before the first byte of its client departs.
    connect: Duration,
    /// The bandwidth of the bytes to a client, for each connection.
    bytes_per_second: Option<u64>,
    /// The time after which the server closes a connection without a request in progress.
    pub(crate) idle_close: Option<Duration>,
}

impl Network {
    pub(crate) fn of(settings: &Settings) -> Self {
        let latency_ms = settings.latency_ms;
        let connect_ms = settings.connect_ms.unwrap_or(latency_ms.saturating_mul(2));
        Self {
            latency: Duration::from_millis(latency_ms),
            connect: Duration::from_millis(connect_ms),
            bytes_per_second: settings.bytes_per_second,
            idle_close: settings.idle_close_ms.map(Duration::from_millis),
        }
    }

    /// Returns `true` if bytes take time.
    pub(crate) fn has_distance(&self) -> bool {
        !self.latency.is_zero() || !self.connect.is_zero() || self.bytes_per_second.is_some()
    }
}

/// The server's end of a connection.
///
/// It follows the settings while it is open: bytes that are sent after a change travel as the
/// change says.
pub(crate) struct Line {
    end: End,
    network: watch::Receiver<Network>,
    /// The time at which the connection was accepted. `None` if the line never has a distance.
    opened: Option<Instant>,
}

enum End {
    /// The client's socket itself.
    Near(TcpStream),
    /// A pipe to the task that has the client's socket.
    Far {
        pipe: DuplexStream,
        /// Lets the connection end with a reset after the bytes in the pipe.
        reset: Option<oneshot::Sender<()>>,
    },
}

/// The server's end of a connection, below or above TLS.
pub(crate) trait Connected: AsyncRead + AsyncWrite + Unpin + Send {
    /// The scheme of its URLs.
    const SCHEME: &'static str;

    /// Lets the connection end with a reset (RST) when this is dropped.
    fn reset_at_the_end(&mut self) -> io::Result<()>;
}

impl Line {
    /// Makes the line of a connection that was accepted at `opened`.
    pub(crate) fn new(
        socket: TcpStream,
        opened: Instant,
        network: watch::Receiver<Network>,
    ) -> Self {
        Self {
            end: End::Near(socket),
            network,
            opened: Some(opened),
        }
    }

    /// Makes a line that has no distance, regardless of the settings.
    pub(crate) fn without_distance(socket: TcpStream, network: watch::Receiver<Network>) -> Self {
        Self {
            end: End::Near(socket),
            network,
            opened: None,
        }
    }

    /// Returns the present end, after the task has started if the line has a distance by now.
    fn end(&mut self) -> &mut End {
        if let (End::Near(_), Some(opened)) = (&self.end, self.opened)
            && self.network.borrow().has_distance()
        {
            let (pipe, far) = tokio::io::duplex(PIPE_BYTES);
            let (reset, ended) = oneshot::channel();
            let reset = Some(reset);
            let near = std::mem::replace(&mut self.end, End::Far { pipe, reset });
            if let End::Near(socket) = near {
                tokio::spawn(carry(socket, far, ended, opened, self.network.clone()));
            }
        }
        &mut self.end
    }
}

impl Connected for Line {
    const SCHEME: &'static str = "http";

    fn reset_at_the_end(&mut self) -> io::Result<()> {
        match self.end() {
            End::Near(socket) => socket.set_zero_linger(),
            End::Far { reset, .. } => {
                // If the task is gone, so is the connection.
                let _ = reset.take().map(|reset| reset.send(()));
                Ok(())
            }
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.end() {
            End::Near(socket) => Pin::new(socket).poll_read(cx, buffer),
            End::Far { pipe, .. } => Pin::new(pipe).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.end() {
            End::Near(socket) => Pin::new(socket).poll_write(cx, bytes),
            End::Far { pipe, .. } => Pin::new(pipe).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.end() {
            End::Near(socket) => Pin::new(socket).poll_write_vectored(cx, parts),
            End::Far { pipe, .. } => Pin::new(pipe).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.end() {
            End::Near(socket) => Pin::new(socket).poll_flush(cx),
            End::Far { pipe, .. } => Pin::new(pipe).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.end() {
            End::Near(socket) => Pin::new(socket).poll_shutdown(cx),
            End::Far { pipe, .. } => Pin::new(pipe).poll_shutdown(cx),
        }
    }
}

/// Carries the bytes of a connection in both directions, until the server has ended it and the last
/// byte has arrived.
///
/// `reset` resolves when the server drops its end: with a value if the connection is to be reset.
async fn carry(
    mut client: TcpStream,
    server: DuplexStream,
    mut reset: oneshot::Receiver<()>,
    opened: Instant,
    network: watch::Receiver<Network>,
) {
    let connect = network.borrow().connect;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let upward = Direction {
        network: network.clone(),
        free_at: opened + connect,
        is_limited: false,
    };
    let downward = Direction {
        network: network.clone(),
        free_at: opened,
        is_limited: true,
    };
    let to_the_server = async {
        let sent = forward(&mut from_client, &mut to_server, upward).await;
        if sent.is_ok() {
            let _ = to_server.shutdown().await;
        }
        // The server ends the connection, and the other direction notices that.
        std::future::pending::<()>().await;
    };
    let to_the_client = async {
        let sent = forward(&mut from_server, &mut to_client, downward).await;
        if sent.is_err() {
            // The client has reset the connection, and the server learns of it one way later.
            let latency = network.borrow().latency;
            sleep(latency).await;
            return false;
        }
        match reset.try_recv() {
            Err(oneshot::error::TryRecvError::Empty) => {
                let _ = to_client.shutdown().await;
                // The server still reads, although it has ended its side.
                reset.await.is_ok()
            }
            gone => gone.is_ok(),
        }
    };
    let resets = tokio::select! {
        resets = to_the_client => resets,
        () = to_the_server => false,
    };
    if resets {
        let _ = client.set_zero_linger();
    }
}

/// One direction of a line.
struct Direction {
    network: watch::Receiver<Network>,
    /// The time at which the last byte has departed, so that the next one can.
    free_at: Instant,
    /// `true` if [`Network::bytes_per_second`] limits this direction.
    is_limited: bool,
}

impl Direction {
    fn bytes_per_second(&self) -> Option<u64> {
        let limit = self.network.borrow().bytes_per_second;
        limit.filter(|_| self.is_limited).map(|rate| rate.max(1))
    }

    /// Returns the greatest number of bytes that travel together.
    fn chunk_bytes(&self) -> usize {
        self.bytes_per_second().map_or(CHUNK_BYTES, |rate| {
            let smooth = usize::try_from(rate / CHUNKS_PER_SECOND).unwrap_or(CHUNK_BYTES);
            smooth.clamp(1, CHUNK_BYTES)
        })
    }

    /// Lets a number of bytes depart, at `now` or later, and returns the time of their arrival.
    fn depart(&mut self, bytes: usize, now: Instant) -> Instant {
        let nanos = self
            .bytes_per_second()
            .map_or(0, |rate| bytes as u64 * 1_000_000_000 / rate);
        self.free_at = self.free_at.max(now) + Duration::from_nanos(nanos);
        self.free_at + self.network.borrow().latency
    }
}

/// Forwards bytes in one direction until their end has arrived. The error is that of the receiver,
/// which takes no more bytes.
async fn forward(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut direction: Direction,
) -> io::Result<()> {
    let (queue, mut in_flight) = mpsc::channel(CHUNKS_IN_FLIGHT);
    let send = async move {
        loop {
            // A reset by the sender ends its bytes as a FIN does.
            let bytes = read(from, direction.chunk_bytes())
                .await
                .unwrap_or_default();
            let is_end = bytes.is_empty();
            let due = direction.depart(bytes.len(), now());
            if queue.send((due, bytes)).await.is_err() || is_end {
                return;
            }
        }
    };
    let receive = async move {
        while let Some((due, bytes)) = in_flight.recv().await {
            sleep_until(due.into()).await;
            to.write_all(&bytes).await?;
        }
        Ok(())
    };
    let mut send = pin!(send);
    let mut receive = pin!(receive);
    tokio::select! {
        received = &mut receive => received,
        () = &mut send => receive.await,
    }
}

/// Reads up to `most` bytes. A reader that waits holds no memory for them.
async fn read(from: &mut (impl AsyncRead + Unpin), most: usize) -> io::Result<Vec<u8>> {
    poll_fn(|cx| {
        let mut space = [0; CHUNK_BYTES];
        let mut buffer = ReadBuf::new(&mut space[..most]);
        ready!(Pin::new(&mut *from).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().to_vec()))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Returns the direction to the client over a network that the settings describe.
    fn downward(settings: &Settings, opened: Instant) -> Direction {
        Direction {
            network: watch::Sender::new(Network::of(settings)).subscribe(),
            free_at: opened,
            is_limited: true,
        }
    }

    #[test]
    fn latency_delays_each_byte_and_none_behind_another() {
        let opened = now();
        let settings = Settings {
            latency_ms: 1000,
            ..Settings::default()
        };
        let mut direction = downward(&settings, opened);
        for _ in 0..10 {
            assert_eq!(direction.depart(1 << 20, opened), opened + SECOND);
        }
        let later = opened + SECOND / 2;
        assert_eq!(direction.depart(1, later), later + SECOND);
    }

    #[test]
    fn a_bandwidth_delays_bytes_behind_each_other() {
        let opened = now();
        let settings = Settings {
            latency_ms: 1000,
            bytes_per_second: Some(500),
            ..Settings::default()
        };
        let mut direction = downward(&settings, opened);
        assert_eq!(direction.depart(1000, opened), opened + 3 * SECOND);
        assert_eq!(direction.depart(500, opened), opened + 4 * SECOND);
        // The line has been free for a while.
        let later = opened + 60 * SECOND;
        assert_eq!(direction.depart(500, later), later + 2 * SECOND);
    }

    #[tokio::test]
    async fn bytes_depart_while_others_are_in_flight() {
        let settings = Settings {
            latency_ms: 3_600_000,
            ..Settings::default()
        };
        let (mut sender, mut from) = tokio::io::duplex(1);
        let (mut to, _receiver) = tokio::io::duplex(1);
        let sends = async {
            for _ in 0..1000 {
                sender.write_all(b"x").await?;
            }
            io::Result::Ok(())
        };
        tokio::select! {
            sent = sends => assert!(sent.is_ok()),
            _ = forward(&mut from, &mut to, downward(&settings, now())) => panic!("an end"),
        }
    }

    #[test]
    fn a_slow_line_carries_small_chunks() {
        for (bytes_per_second, bytes) in [
            (None, CHUNK_BYTES),
            (Some(u64::MAX), CHUNK_BYTES),
            (Some(10_000), 100),
            (Some(1), 1),
            (Some(0), 1),
        ] {
            let settings = Settings {
                bytes_per_second,
                ..Settings::default()
            };
            assert_eq!(downward(&settings, now()).chunk_bytes(), bytes);
        }
    }

    #[test]
    fn a_connection_takes_a_round_trip_unless_set() {
        let connect = |latency_ms, connect_ms| {
            let settings = Settings {
                latency_ms,
                connect_ms,
                ..Settings::default()
            };
            Network::of(&settings).connect
        };
        assert_eq!(connect(500, None), SECOND);
        assert_eq!(connect(500, Some(0)), Duration::ZERO);
        assert_eq!(connect(0, Some(1000)), SECOND);
    }
}
