//! A raw HTTP client on one connection, and what the tests wait for with it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use box_longpoll_testkit::EmulatorServer;
use serde_json::Value;

/// The time limit of a wait, which only a test that hangs reaches.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// A raw HTTP client on one connection.
pub(crate) struct Client<S = TcpStream>(pub(crate) S);

/// A response, as it was received.
pub(crate) struct Response {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn new(server: &EmulatorServer) -> Self {
        Self(connect(server))
    }
}

/// Connects to the address of a server, over http or https.
pub(crate) fn connect(server: &EmulatorServer) -> TcpStream {
    let (_, address) = server.origin().split_once("://").expect("an origin");
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
    stream
}

impl<S: Read + Write> Client<S> {
    /// Sends a request without waiting for its response.
    pub(crate) fn send(&mut self, method: &str, target: &str, body: &str) {
        self.send_with("", method, target, body);
    }

    fn send_with(&mut self, headers: &str, method: &str, target: &str, body: &str) {
        let length = body.len();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer token\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        );
        let sent = self.0.write_all(request.as_bytes());
        sent.expect("the request is sent");
    }

    /// Sends a request with this `Accept-Encoding`, without waiting for its response.
    pub(crate) fn send_accepting(&mut self, codings: &str, method: &str, target: &str) {
        self.send_with(
            &format!("accept-encoding: {codings}\r\n"),
            method,
            target,
            "",
        );
    }

    /// Receives a response with a length.
    pub(crate) fn receive(&mut self) -> Response {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).expect("a head");
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).expect("text");
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .expect("a length");
        let mut body = vec![0; length.parse().expect("a number")];
        self.0.read_exact(&mut body).expect("a body");
        Response { head, body }
    }

    pub(crate) fn page(&mut self) -> Response {
        self.send("GET", "/2.0/events?limit=500", "");
        self.receive()
    }

    /// Receives all bytes until the connection ends, and the error if it was no regular close.
    pub(crate) fn rest(&mut self) -> (Vec<u8>, Option<ErrorKind>) {
        let mut received = Vec::new();
        let error = self.0.read_to_end(&mut received).err();
        (received, error.map(|error| error.kind()))
    }
}

impl Response {
    pub(crate) fn says(&self, header: &str) -> bool {
        self.head.lines().any(|line| line == header)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// Opens a poll, and returns its connection when the emulator holds it.
pub(crate) fn held_poll(server: &EmulatorServer) -> Client {
    let url = realtime_url(server);
    let before = server.counters().open_polls;
    let mut client = Client::new(server);
    client.send("GET", &url, "");
    let held = server.wait_until(TIMEOUT, |emulator| {
        emulator.counters().open_polls == before + 1
    });
    assert!(held);
    client
}

pub(crate) fn realtime_url(server: &EmulatorServer) -> String {
    let mut client = Client::new(server);
    client.send("OPTIONS", "/2.0/events", "");
    let list = client.receive().json();
    list["entries"][0]["url"].as_str().expect("a URL").into()
}

/// Does the work, which must take at least this long.
#[expect(clippy::disallowed_methods, reason = "bytes travel in real time")]
#[track_caller]
pub(crate) fn takes_at_least<T>(least: Duration, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = work();
    let took = started.elapsed();
    assert!(took >= least, "{took:?} is shorter than {least:?}");
    result
}
