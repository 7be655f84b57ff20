//! The greatest body that a transport reads.
//!
//! A hostile or broken server must not be able to fill the client's memory, neither with a body,
//! compressed or not, nor with headers. Correct framing is tested in `framing.rs`.

use std::io::Write;

use box_longpoll::transport::{TransportErrorKind, TransportRequest};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::Method;

use crate::conformance::connection::Connection;
use crate::conformance::driver::{MAX_BODY, Subject, failure, text};
use crate::conformance::expect::{differs, expect_eq, expect_one_of};
use crate::conformance::server::Server;

/// The bytes that a server would send if the client read them: 64 MiB.
const ENDLESS: usize = 64 << 20;

/// The bytes that a server may have written when the client stops reading: 32 MiB, because socket
/// buffers hold several megabytes.
const FEW: usize = 32 << 20;

/// A body that is exactly as long as the limit is returned, with a length and in chunks.
pub fn required_a_body_of_the_greatest_length_is_taken(subject: &Subject) {
    let body = "x".repeat(MAX_BODY);
    for response in [
        format!("HTTP/1.1 200 OK\r\nContent-Length: {MAX_BODY}\r\n\r\n{body}"),
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{MAX_BODY:x}\r\n{body}\r\n0\r\n\r\n"
        ),
    ] {
        let server = Server::responding(subject, response);
        let response = subject
            .get(&server.url("/"))
            .expect("expected a response, got the error");
        expect_eq!(response.body().len(), MAX_BODY);
    }
}

/// If the `Content-Length` of a body is over the limit, however large it is, the error is
/// [`TransportErrorKind::BodyTooLarge`], and the body is not read.
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

/// A chunked body is [`TransportErrorKind::BodyTooLarge`] as soon as it is over the limit.
pub fn required_the_cap_holds_for_chunks(subject: &Subject) {
    is_refused_early(subject, |connection| {
        connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
        connection.flood(chunk.as_bytes(), ENDLESS)
    });
}

/// A body that ends with the connection is [`TransportErrorKind::BodyTooLarge`] as soon as it is
/// over the limit.
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
    is_few(written, "of a body above the limit");
}

/// Asserts that the server could not write much more than the socket buffers hold.
#[track_caller]
fn is_few(written: usize, situation: &str) {
    if written >= FEW {
        let expected = format!("the client reads fewer than {FEW} bytes");
        differs(&expected, &written, situation);
    }
}

/// Returns the kind of failure of such a response, and the number of bytes that the server wrote.
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

/// If headers never end, the request fails, and the transport stops reading them.
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
            // A library may accept a bare line feed as the end of the headers.
            TransportErrorKind::BodyTooLarge,
        ];
        expect_one_of(&kind, &kinds, &format!("after {begun:?}"));
        is_few(written, &format!("after {begun:?}"));
    }
}

/// Each request has a limit of its own, even of 0 bytes.
pub fn required_the_cap_is_that_of_the_request(subject: &Subject) {
    let server = Server::start(subject, |connection| {
        while connection.read_request().is_some() {
            connection.respond("hi, there");
        }
    });
    let url = server.url("/");
    subject.drive(|client| async move {
        for (cap, fits) in [(9, true), (8, false), (1, false), (0, false)] {
            let response = client.send(capped(&url, cap)).await;
            if fits {
                expect_eq!(
                    text(&response.expect("expected a response, got the error")),
                    "hi, there"
                );
            } else {
                expect_eq!(failure(response), TransportErrorKind::BodyTooLarge, "{cap}");
            }
        }
    });
}

fn capped(url: &str, max_body: usize) -> TransportRequest {
    let one = crate::conformance::driver::request(Method::GET, url, "");
    TransportRequest::new(one.request().clone(), one.timeout(), max_body)
}

/// The limit applies to the decompressed body. If a request does not accept compression, the body
/// is sent uncompressed, and the limit applies as well.
pub fn required_the_cap_counts_after_decompression(subject: &Subject) {
    let large = Bytes::from(vec![b'x'; 100 * MAX_BODY]);
    let small = gzip(&large);
    assert!(
        small.len() < MAX_BODY,
        "the compressed body is too large for this case"
    );
    let server = compressing(subject, large, small);
    let kind = subject.failure(&server.url("/canary?canary"));
    expect_eq!(kind, TransportErrorKind::BodyTooLarge);
}

/// If a transport accepts compressed responses, it returns the decompressed body.
pub fn required_a_compression_that_was_asked_for_is_undone(subject: &Subject) {
    let plain = Bytes::from("hi, there ".repeat(1_000));
    let small = gzip(&plain);
    let server = compressing(subject, plain.clone(), small);
    let response = subject
        .get(&server.url("/"))
        .expect("expected a response, got the error");
    expect_eq!(*response.body(), plain);
}

/// If a server compresses a body without a request for it, the body is returned decompressed or
/// unchanged, and the limit applies in both cases.
pub fn required_a_compression_that_was_not_asked_for_does_no_harm(subject: &Subject) {
    let large = vec![b'x'; 100 * MAX_BODY];
    let small = gzip(&large);
    let mut response = compressed_head(small.len()).into_bytes();
    response.extend_from_slice(&small);
    let server = Server::responding(subject, response);
    match subject.get(&server.url("/canary?canary")) {
        Ok(response) => expect_eq!(*response.body(), small, "neither undone nor left as it is"),
        error => {
            failure(error);
        }
    }
}

/// Starts a server that compresses its response if the request accepts gzip.
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
    encoder.write_all(bytes).expect("a vector takes every byte");
    encoder.finish().expect("a vector takes every byte")
}
