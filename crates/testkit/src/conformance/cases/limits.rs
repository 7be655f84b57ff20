//! The greatest body that a transport reads, and compressed bodies.
//!
//! A hostile or broken server must not be able to fill the client's memory, neither with a body,
//! compressed or not, nor with headers. The client decompresses a body by the headers that the
//! transport returns. Correct framing is tested in `framing.rs`.

use std::io::Write;

use box_longpoll::transport::{TransportErrorKind, TransportRequest};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderValue, Method, Response};

use crate::conformance::connection::Connection;
use crate::conformance::driver::{MAX_BODY, Subject, failure, request, text};
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
    let one = request(Method::GET, url, "");
    TransportRequest::new(one.request().clone(), one.timeout(), max_body)
}

/// A transport hands on a compressed body unchanged, with its `Content-Encoding`. Or it
/// decompresses the body, and removes `Content-Encoding` and `Content-Length`. The server
/// compresses with or without a request for that.
pub fn required_compression_and_its_header_go_together(subject: &Subject) {
    let plain = Bytes::from("hi, there ".repeat(1_000));
    let small = gzip(&plain);
    for accepted in ACCEPTED {
        for response in compressed_responses(&small) {
            let server = Server::responding(subject, response);
            let response =
                subject
                    .drive(|client| async move {
                        client.send(accepting(accepted, &server.url("/"))).await
                    })
                    .expect("expected a response, got the error");
            let situation = format!("requested with the coding {accepted:?}");
            if *response.body() != plain {
                is_handed_on(&response, &small, &situation);
                continue;
            }
            for name in ["content-encoding", "content-length"] {
                let value = response.headers().get(name);
                expect_eq!(
                    value,
                    None,
                    "the header {name} of a decompressed body, {situation}"
                );
            }
        }
    }
}

/// A compressed body that decompresses to more than the limit is handed on unchanged, or is
/// [`TransportErrorKind::BodyTooLarge`].
pub fn required_the_cap_holds_for_a_decompressed_body(subject: &Subject) {
    let small = gzip(&vec![b'x'; 100 * MAX_BODY]);
    assert!(
        small.len() < MAX_BODY,
        "the compressed body is too large for this case"
    );
    is_handed_on_or_fails(subject, &small, TransportErrorKind::BodyTooLarge);
}

/// If a compressed body ends inside its gzip stream, it is handed on unchanged, or is
/// [`TransportErrorKind::Body`].
pub fn required_a_cut_gzip_stream_is_never_a_body(subject: &Subject) {
    let numbers: String = (0..10_000).map(|n| n.to_string()).collect();
    let small = gzip(numbers.as_bytes());
    is_handed_on_or_fails(subject, &small[..small.len() / 2], TransportErrorKind::Body);
}

/// The values of `Accept-Encoding` with which the cases of compression send a request.
const ACCEPTED: [Option<&str>; 2] = [Some("gzip"), None];

/// Returns a `GET` that accepts this coding.
fn accepting(coding: Option<&'static str>, url: &str) -> TransportRequest {
    let mut request = request(Method::GET, url, "");
    if let Some(coding) = coding {
        let coding = HeaderValue::from_static(coding);
        request.headers_mut().insert(ACCEPT_ENCODING, coding);
    }
    request
}

/// Returns the responses with this compressed body, with a length and in one chunk.
fn compressed_responses(small: &[u8]) -> [Vec<u8>; 2] {
    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n";
    let length = small.len();
    let with_length = format!("{HEAD}Content-Length: {length}\r\n\r\n").into_bytes();
    let in_a_chunk = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n").into_bytes();
    [
        [&with_length, small].concat(),
        [&in_a_chunk, small, b"\r\n0\r\n\r\n"].concat(),
    ]
}

/// Asserts that a response with this compressed body is handed on, or fails with this kind of
/// error.
#[track_caller]
fn is_handed_on_or_fails(subject: &Subject, small: &[u8], kind: TransportErrorKind) {
    for accepted in ACCEPTED {
        for response in compressed_responses(small) {
            let server = Server::responding(subject, response);
            let url = server.url("/canary?canary");
            let situation = format!("requested with the coding {accepted:?}");
            let response =
                subject.drive(|client| async move { client.send(accepting(accepted, &url)).await });
            match response {
                Ok(response) => is_handed_on(&response, small, &situation),
                failed => expect_eq!(failure(failed), kind, "{situation}"),
            }
        }
    }
}

/// Asserts that a response has the compressed body, and the header that says so.
#[track_caller]
fn is_handed_on(response: &Response<Bytes>, small: &[u8], situation: &str) {
    expect_eq!(
        *response.body(),
        small,
        "a body that is neither handed on nor decompressed, {situation}"
    );
    let coding = response.headers().get(CONTENT_ENCODING);
    expect_eq!(
        coding.and_then(|coding| coding.to_str().ok()),
        Some("gzip"),
        "the content-encoding of a body that is handed on, {situation}"
    );
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("a vector takes every byte");
    encoder.finish().expect("a vector takes every byte")
}
