//! How much of a body is taken.

use std::io::Write;

use box_longpoll::transport::{TransportErrorKind, TransportRequest};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::Method;

use crate::conformance::connection::Connection;
use crate::conformance::expect::{differs, expect_eq, expect_one_of};
use crate::conformance::server::Server;
use crate::conformance::subject::{MAX_BODY, Subject, failure, text};

/// What a server would send, in bytes, if the client took it.
const ENDLESS: usize = 64 << 20;

/// What may have been sent, in bytes, when the client has had enough: socket buffers hold several megabytes.
const FEW: usize = 32 << 20;

/// A body as long as the cap is taken, framed either way.
pub fn required_a_body_of_the_greatest_length_is_taken(subject: &Subject) {
    let body = "x".repeat(MAX_BODY);
    for answer in [
        format!("HTTP/1.1 200 OK\r\nContent-Length: {MAX_BODY}\r\n\r\n{body}"),
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{MAX_BODY:x}\r\n{body}\r\n0\r\n\r\n"
        ),
    ] {
        let server = Server::answering(subject, answer);
        let answer = subject
            .get(&server.url("/"))
            .expect("expected a response, got the error");
        expect_eq!(answer.body().len(), MAX_BODY);
    }
}

/// A body whose length says that it is over the cap is [`TransportErrorKind::BodyTooLarge`], however great the length, and
/// is not read.
pub fn required_the_cap_holds_for_a_length(subject: &Subject) {
    is_refused_early(subject, |connection| {
        connection.write(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {ENDLESS}\r\n\r\n"
        ));
        connection.flood(&[b'x'; 16 * 1024], ENDLESS)
    });
    is_refused_early(subject, |connection| {
        let greatest = i64::MAX;
        connection.write(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {greatest}\r\n\r\n"
        ));
        connection.flood(&[b'x'; 16 * 1024], ENDLESS)
    });
}

/// A body in chunks is [`TransportErrorKind::BodyTooLarge`] as soon as it is over the cap.
pub fn required_the_cap_holds_for_chunks(subject: &Subject) {
    is_refused_early(subject, |connection| {
        connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
        connection.flood(chunk.as_bytes(), ENDLESS)
    });
}

/// A body that ends with the connection is [`TransportErrorKind::BodyTooLarge`] as soon as it is over the cap.
pub fn required_the_cap_holds_for_a_body_without_a_length(subject: &Subject) {
    is_refused_early(subject, |connection| {
        connection.write("HTTP/1.1 200 OK\r\n\r\n");
        connection.flood(&[b'x'; 16 * 1024], ENDLESS)
    });
}

#[track_caller]
fn is_refused_early(subject: &Subject, flood: fn(&mut Connection) -> usize) {
    let (kind, written) = flooded(subject, flood);
    expect_eq!(kind, TransportErrorKind::BodyTooLarge);
    is_few(written, "of a body above its cap");
}

/// Asserts that the server could not write much more than the socket buffers hold.
#[track_caller]
fn is_few(written: usize, situation: &str) {
    if written >= FEW {
        let expected = format!("fewer than {FEW} bytes are taken from the server");
        differs(&expected, &written, situation);
    }
}

/// What kind of failure such an answer is, and how many bytes of it were written.
#[track_caller]
fn flooded(
    subject: &Subject,
    flood: impl Fn(&mut Connection) -> usize + Send + Sync + 'static,
) -> (TransportErrorKind, usize) {
    let (sent, written) = std::sync::mpsc::channel();
    let server = Server::start(subject, move |connection| {
        connection.read_request();
        let _ = sent.send(flood(connection));
    });
    let kind = subject.failure(&server.url("/canary?canary"));
    (kind, written.recv().expect("the server runs"))
}

/// Headers without an end are given up: what is taken of them is not stored for as long as a server likes to send.
pub fn required_headers_without_end_are_an_error(subject: &Subject) {
    let begun = [
        "HTTP/1.1 200 ",
        "HTTP/1.1 200 OK\r\nX-Canary: ",
        "HTTP/1.1 200 OK\r\n\r\r\nX-Canary: ",
    ];
    for begun in begun {
        let (kind, written) = flooded(subject, move |connection| {
            connection.write(begun);
            connection.flood(&[b'x'; 16 * 1024], ENDLESS)
        });
        let kinds = [
            TransportErrorKind::Interrupted,
            TransportErrorKind::Body,
            // A library may take a bare line end for the end of the headers.
            TransportErrorKind::BodyTooLarge,
        ];
        expect_one_of(&kind, &kinds, &format!("after {begun:?}"));
        is_few(written, &format!("after {begun:?}"));
    }
}

/// The cap of a request is its own, one byte or many.
pub fn required_the_cap_is_that_of_the_request(subject: &Subject) {
    let server = Server::start(subject, |connection| {
        while connection.read_request().is_some() {
            connection.answer("hi, there");
        }
    });
    let url = server.url("/");
    subject.drive(|client| async move {
        for (cap, whole) in [(9, true), (8, false), (1, false), (0, false)] {
            let answer = client.send(capped(&url, cap)).await;
            if whole {
                expect_eq!(
                    text(&answer.expect("expected a response, got the error")),
                    "hi, there"
                );
            } else {
                expect_eq!(failure(answer), TransportErrorKind::BodyTooLarge, "{cap}");
            }
        }
    });
}

fn capped(url: &str, max_body: usize) -> TransportRequest {
    let one = crate::conformance::subject::request(Method::GET, url, "");
    TransportRequest::new(one.request().clone(), one.timeout(), max_body)
}

/// The cap counts what comes out of a decompression. A request that does not ask for compression gets none, and the cap
/// holds all the same.
pub fn required_the_cap_counts_after_decompression(subject: &Subject) {
    let large = Bytes::from(vec![b'x'; 100 * MAX_BODY]);
    let small = gzip(&large);
    assert!(small.len() < MAX_BODY, "the case is none");
    let server = compressing(subject, large, small);
    let kind = subject.failure(&server.url("/canary?canary"));
    expect_eq!(kind, TransportErrorKind::BodyTooLarge);
}

/// A transport that asks for compressed answers hands out what was compressed.
pub fn required_a_compression_that_was_asked_for_is_undone(subject: &Subject) {
    let plain = Bytes::from("hi, there ".repeat(1_000));
    let small = gzip(&plain);
    let server = compressing(subject, plain.clone(), small);
    let answer = subject
        .get(&server.url("/"))
        .expect("expected a response, got the error");
    expect_eq!(*answer.body(), plain);
}

/// A compression that was not asked for is undone, or left as it is: within the cap either way.
pub fn required_a_compression_that_was_not_asked_for_does_no_harm(subject: &Subject) {
    let large = vec![b'x'; 100 * MAX_BODY];
    let small = gzip(&large);
    let mut answer = compressed_head(small.len()).into_bytes();
    answer.extend_from_slice(&small);
    let server = Server::answering(subject, answer);
    match subject.get(&server.url("/canary?canary")) {
        Ok(answer) => expect_eq!(*answer.body(), small, "neither undone nor left as it is"),
        error => {
            failure(error);
        }
    }
}

fn compressing(subject: &Subject, plain: Bytes, small: Vec<u8>) -> Server {
    Server::start(subject, move |connection| {
        let allowed = connection
            .read_request()
            .is_some_and(|request| request.allows_gzip());
        if allowed {
            connection.write(compressed_head(small.len()));
            connection.write(&small);
        } else {
            let length = plain.len();
            connection.write(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
            ));
            connection.write(&plain);
        }
    })
}

fn compressed_head(length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}
