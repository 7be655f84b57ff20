//! One connection of a scripted server, over TCP or TLS.
//!
//! A script reads requests and writes bytes as it likes, so it can violate HTTP on purpose. It can
//! also end a connection in each way that a transport must handle: close it, reset it, or end TCP
//! without TLS. Start from [`Connection`].

use std::fs;
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::SockRef;
use tokio::sync::mpsc::UnboundedSender;

use super::captured_request::CapturedRequest;
use super::server::Note;
use super::transcript::{Act, Recorder};

/// One connection, as its script sees it. The server closes it in order when the script returns.
pub(super) struct Connection {
    /// The number of the connection at its server, from 0.
    pub(super) number: usize,
    stream: BufReader<Stream>,
    requests: UnboundedSender<CapturedRequest>,
    notes: UnboundedSender<Note>,
    recorder: Recorder,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
    /// The script has closed or reset the connection.
    Gone,
}

impl Connection {
    pub(super) fn new(
        number: usize,
        socket: TcpStream,
        config: Option<Arc<ServerConfig>>,
        requests: UnboundedSender<CapturedRequest>,
        notes: UnboundedSender<Note>,
        recorder: Recorder,
    ) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        let stream = match config {
            None => Stream::Plain(socket),
            Some(config) => {
                let session = ServerConnection::new(config).map_err(io::Error::other)?;
                Stream::Tls(Box::new(StreamOwned::new(session, socket)))
            }
        };
        Ok(Self {
            number,
            stream: BufReader::new(stream),
            requests,
            notes,
            recorder,
        })
    }

    /// Reads one complete request and reports it. Returns `None` if the client ended the connection
    /// first.
    pub(super) fn read_request(&mut self) -> Option<CapturedRequest> {
        let Ok(Some(received)) = CapturedRequest::read(&mut self.stream) else {
            self.recorder.record(Act::ReadNothing);
            return None;
        };
        self.recorder.record(Act::Read(received.line.clone()));
        let _ = self.requests.send(received.clone());
        Some(received)
    }

    /// Reads once and returns the number of bytes. Over TLS, these are the decrypted bytes.
    pub(super) fn read_first(&mut self) -> usize {
        self.stream.read(&mut [0; 1024]).unwrap_or(0)
    }

    /// Writes and flushes the bytes. Returns `false` if the client no longer takes them.
    pub(super) fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let (stream, bytes) = (self.stream.get_mut(), bytes.as_ref());
        // The client may act on the bytes, and so end the case, before this thread runs again.
        self.recorder.record(Act::wrote(bytes));
        let written = stream.write_all(bytes).and_then(|()| stream.flush());
        if written.is_err() {
            self.recorder.record(Act::CouldNotWrite);
        }
        written.is_ok()
    }

    /// Writes a response with this body, after which the connection can be used again. Returns
    /// `false` if the client no longer takes it.
    pub(super) fn respond(&mut self, body: &str) -> bool {
        let length = body.len();
        self.write(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    }

    /// Writes these bytes repeatedly while the client takes them, until `most` bytes are written.
    /// Returns the number of bytes.
    pub(super) fn flood(&mut self, bytes: &[u8], most: usize) -> usize {
        let mut written = 0;
        while written < most && self.write(bytes) {
            written += bytes.len();
        }
        written
    }

    pub(super) fn note(&self, note: Note) {
        let _ = self.notes.send(note);
    }

    /// Notes whether the client ends the connection within this time. Bytes that it sends before
    /// that are ignored.
    pub(super) fn note_end(&mut self, within: Duration) {
        self.set_read_timeout(within);
        let end = io::copy(&mut self.stream, &mut io::sink());
        let open = end.is_err_and(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            )
        });
        self.note(if open { Note::Open } else { Note::Closed });
    }

    /// Ends the connection with a reset.
    pub(super) fn reset(&mut self) {
        if let Some(socket) = self.stream.get_ref().socket() {
            let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
        }
        self.recorder.record(Act::Reset);
        *self.stream.get_mut() = Stream::Gone;
    }

    /// Closes the connection. The kernel rejects bytes that the client sends from now on, and those
    /// not yet read.
    pub(super) fn close(&mut self) {
        self.recorder.record(Act::Closed);
        *self.stream.get_mut() = Stream::Gone;
    }

    /// Ends TCP in order with a FIN. Over TLS, no `close_notify` announces the end.
    pub(super) fn cut(&mut self) {
        if let Some(socket) = self.stream.get_ref().socket() {
            self.recorder.record(Act::EndedItsSide);
            let _ = socket.shutdown(Shutdown::Write);
        }
    }

    /// Ends the connection in order: over TLS with a `close_notify`, then with a FIN.
    pub(super) fn finish(&mut self) {
        if let Stream::Tls(stream) = self.stream.get_mut() {
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
        self.cut();
        // If a socket is closed while bytes are unread, the kernel resets the connection, and bytes
        // that were written may be lost. So the unread bytes are read first.
        self.set_read_timeout(Duration::from_secs(1));
        let _ = io::copy(&mut self.stream, &mut io::sink());
    }

    /// Returns `true` if the client's kernel will probe the connection within this time while it is
    /// idle.
    ///
    /// Client and server share a kernel, whose table `/proc/net/tcp` lists the timer of each
    /// connection.
    pub(super) fn client_will_probe(&self, within: Duration) -> bool {
        // The kind of the keep-alive timer in the table.
        const KEEP_ALIVE: &str = "02";
        let ports = self.stream.get_ref().socket().and_then(|socket| {
            Some([socket.peer_addr().ok()?, socket.local_addr().ok()?].map(|end| end.port()))
        });
        let Some(ports) = ports else {
            return false;
        };
        let ends = ports.map(|port| format!("0100007F:{port:04X}"));
        let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
        table.lines().any(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let [_, from, to, _, _, timer, ..] = fields[..] else {
                return false;
            };
            let timer = timer.split_once(':');
            let centiseconds = timer
                .filter(|(kind, _)| *kind == KEEP_ALIVE)
                .and_then(|(_, due)| u64::from_str_radix(due, 16).ok());
            [from, to] == ends
                && centiseconds.is_some_and(|due| u128::from(due) * 10 <= within.as_millis())
        })
    }

    fn set_read_timeout(&self, limit: Duration) {
        if let Some(socket) = self.stream.get_ref().socket() {
            let _ = socket.set_read_timeout(Some(limit));
        }
    }
}

impl Stream {
    fn socket(&self) -> Option<&TcpStream> {
        match self {
            Stream::Plain(socket) => Some(socket),
            Stream::Tls(stream) => Some(&stream.sock),
            Stream::Gone => None,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
            Stream::Gone => Ok(0),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
            Stream::Gone => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Tls(stream) => stream.flush(),
            Stream::Plain(_) | Stream::Gone => Ok(()),
        }
    }
}
