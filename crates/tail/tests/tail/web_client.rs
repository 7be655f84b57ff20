//! [`WebClient`]: a client of the program's web server that sends any request.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use box_longpoll_testkit::EmulatorServer;
use tokio::time::Instant;

use crate::program::{PATIENCE, Tail};

/// The web server of a running program.
#[derive(Clone, Debug)]
pub(crate) struct WebClient {
    /// The address and the port.
    pub(crate) authority: String,
}

/// A response, with its body as text.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// The headers, as they came.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl WebClient {
    /// Starts the program with an account of the emulator and a web server on any port.
    pub(crate) fn start(server: &EmulatorServer, arguments: &[&str]) -> (Tail, Self) {
        let mut tail = Tail::of(server, &[&["--metrics", "0"], arguments].concat());
        let web = Self::of(&mut tail);
        (tail, web)
    }

    /// Waits until the program prints the address of its web server.
    pub(crate) fn of(tail: &mut Tail) -> Self {
        let mut authority = None;
        while authority.is_none() {
            let line = tail.read_report();
            let url = line.strip_prefix("page and metrics at http://");
            authority = url.and_then(|url| url.strip_suffix('/')).map(Into::into);
        }
        Self {
            authority: authority.unwrap(),
        }
    }

    /// Returns the URL of the page.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.authority)
    }

    /// Sends a regular request.
    pub(crate) fn get(&self, path: &str) -> Response {
        self.get_as(path, &format!("host: {}\r\n", self.authority))
    }

    /// Sends a request with these headers.
    pub(crate) fn get_as(&self, path: &str, headers: &str) -> Response {
        let request = format!("GET {path} HTTP/1.1\r\n{headers}connection: close\r\n\r\n");
        let mut connection = self.connect();
        connection.write_all(request.as_bytes()).unwrap();
        let mut connection = BufReader::new(connection);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let count = connection.read_line(&mut head).unwrap();
            assert_ne!(count, 0, "the response is cut: {head}");
        }
        let mut body = String::new();
        // A feed does not end.
        if !head.contains("text/event-stream") {
            connection.read_to_string(&mut body).unwrap();
        }
        Response {
            status: head[9..12].parse().unwrap(),
            head,
            body,
        }
    }

    /// Waits until the server takes connections again.
    #[track_caller]
    pub(crate) fn wait_until_it_responds(&self) {
        let started = Instant::now();
        let responds = || {
            let mut connection = self.connect();
            let request = b"GET /live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
            let sent = connection.write_all(request);
            sent.is_ok() && connection.read(&mut [0]).is_ok_and(|count| count > 0)
        };
        while !responds() {
            assert!(started.elapsed() < PATIENCE, "it never responds again");
        }
    }

    /// Returns a connection.
    pub(crate) fn connect(&self) -> TcpStream {
        let connection = TcpStream::connect(&self.authority).unwrap();
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        connection
    }

    /// Sends requests until a response is as wanted.
    #[track_caller]
    pub(crate) fn wait_for(&self, path: &str, is_wanted: impl Fn(&Response) -> bool) -> Response {
        let started = Instant::now();
        loop {
            let response = self.get(path);
            if is_wanted(&response) {
                return response;
            }
            assert!(started.elapsed() < PATIENCE, "{response:?}");
        }
    }
}
