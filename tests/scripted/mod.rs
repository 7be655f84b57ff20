//! Servers that follow a script, for tests of a single transport.
//!
//! The rules for all transports are in the testkit's conformance suite, which has its own servers.
//! Start at [`serve`].

#![allow(dead_code, reason = "each test uses only a part of it")]

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use box_longpoll::transport::{TransportError, TransportRequest};
use bytes::Bytes;
use http::{Method, Request};

/// Starts a server that runs `script` for each connection, on a thread, until the test ends.
pub(crate) fn serve(script: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for connection in listener.incoming() {
            script(connection.unwrap());
        }
    });
    address
}

/// Starts a server that reads a request, writes these bytes, and closes the connection.
pub(crate) fn responding(response: impl Into<String>) -> SocketAddr {
    let response = response.into();
    serve(move |mut connection| {
        read_head(&mut connection);
        // The client may close the connection before the end.
        let _ = connection.write_all(response.as_bytes());
    })
}

/// Reads the head of a request, or as much as comes before the end of the connection.
pub(crate) fn read_head(connection: &mut impl Read) -> String {
    let mut head = String::new();
    let mut reader = BufReader::new(connection);
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap_or(0) > 0 {}
    head
}

pub(crate) fn request(method: Method, url: &str) -> TransportRequest {
    request_within(method, url, Duration::from_secs(60))
}

pub(crate) fn request_of(method: Method, url: &str, body: &'static str) -> TransportRequest {
    let mut request = request(method, url).into_request();
    *request.body_mut() = body.into();
    TransportRequest::new(request, Duration::from_secs(60), 1_000)
}

pub(crate) fn request_within(method: Method, url: &str, timeout: Duration) -> TransportRequest {
    let request = Request::builder()
        .method(method)
        .uri(url)
        .header("authorization", "Bearer canary")
        .body(Bytes::new())
        .unwrap();
    TransportRequest::new(request, timeout, 1_000)
}

/// Returns the texts of an error and of all its causes.
pub(crate) fn texts(error: &TransportError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(" {error} {error:?}");
        cause = error.source();
    }
    text
}

/// Runs a test again in a child process with these environment variables. Returns `None` inside
/// that process.
pub(crate) fn in_environment(test: &str, variables: &[(&str, &str)]) -> Option<()> {
    const INSIDE: &str = "BOX_LONGPOLL_TEST_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        return None;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    Some(())
}
