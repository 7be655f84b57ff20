//! The end of a response body: by its length, its last chunk, or the end of the connection.
//!
//! A truncated body must never pass as complete, because it could hide events. If framing
//! contradicts itself, an error is right as well. The greatest size of a body is tested in
//! `limits.rs`.

use box_longpoll::transport::TransportErrorKind;

use crate::conformance::driver::{Subject, failure, text};
use crate::conformance::expect::{expect_eq, expect_one_of};
use crate::conformance::server::Server;

const OK: &str = "HTTP/1.1 200 OK\r\n";

/// Returns the body that the transport reads from `response`, after which the server ends the
/// connection.
#[track_caller]
fn body_of(subject: &Subject, response: &str) -> Result<String, TransportErrorKind> {
    let server = Server::responding(subject, response);
    match subject.get(&server.url("/canary?canary")) {
        Ok(response) => Ok(text(&response)),
        error => Err(failure(error)),
    }
}

/// Asserts that the transport returns either this body or an error.
#[track_caller]
fn is_never_wrong(subject: &Subject, response: &str, right: &str) {
    if let Ok(body) = body_of(subject, response) {
        expect_eq!(body, right, "of {response:?}");
    }
}

/// A body is as long as its `Content-Length` says.
pub fn required_a_body_with_a_length_is_whole(subject: &Subject) {
    let body = "0123456789".repeat(1_000);
    let response = format!("{OK}Content-Length: 10000\r\n\r\n{body}");
    expect_eq!(body_of(subject, &response), Ok(body));
    let empty = format!("{OK}Content-Length: 0\r\n\r\n");
    expect_eq!(body_of(subject, &empty), Ok(String::new()));
}

/// If a body is shorter than its `Content-Length`, the error is [`TransportErrorKind::Body`].
pub fn required_a_body_shorter_than_its_length_is_an_error(subject: &Subject) {
    for body in ["", "12345678"] {
        let response = format!("{OK}Content-Length: 9\r\n\r\n{body}");
        expect_eq!(
            body_of(subject, &response),
            Err(TransportErrorKind::Body),
            "{body:?}"
        );
    }
}

/// Bytes beyond a body's `Content-Length` are part of no response, neither of this one nor of the
/// next.
pub fn required_bytes_after_a_response_are_no_response(subject: &Subject) {
    let responses = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 204 No Content\r\n\r\n",
    ];
    for response in responses {
        let server = Server::start(subject, move |connection| {
            while let Some(request) = connection.read_request() {
                if request.target() == "/next" {
                    connection.respond("right");
                } else {
                    connection.write(format!(
                        "{response}HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"
                    ));
                }
            }
        });
        let (first, next) = (server.url("/"), server.url("/next"));
        subject.drive(|client| async move {
            if let Ok(response) = client.get(&first).await {
                expect_one_of(&&*text(&response), &["hi", ""], "the first response");
            }
            // The transport may report a broken connection, but must not return the wrong body.
            if let Ok(response) = client.get(&next).await {
                expect_eq!(text(&response), "right");
            }
        });
    }
}

/// A chunked body is returned complete and without its framing.
pub fn required_a_chunked_body_is_whole(subject: &Subject) {
    let chunks = "2\r\nhi\r\n00B\r\n, there\r\n\r\n\r\n0\r\n\r\n";
    is_chunked(subject, chunks, "hi, there\r\n\r\n");
}

/// A chunked body may have extensions and trailers.
pub fn required_chunks_may_have_extensions_and_trailers(subject: &Subject) {
    let chunks = "2;name=value\r\nhi\r\n0\r\nX-Trailer: 1\r\n\r\n";
    is_chunked(subject, chunks, "hi");
}

#[track_caller]
fn is_chunked(subject: &Subject, chunks: &str, body: &str) {
    let response = format!("{OK}Transfer-Encoding: chunked\r\n\r\n{chunks}");
    expect_eq!(body_of(subject, &response), Ok(body.to_owned()));
}

/// If a chunked body ends before its last chunk, wherever it is cut, the error is
/// [`TransportErrorKind::Body`].
pub fn required_a_chunked_body_cut_short_is_an_error(subject: &Subject) {
    let chunks = "2\r\nhi\r\n9\r\n, there!!\r\n";
    for end in [0, 1, 3, 4, 7, 8, 10, 15, chunks.len()] {
        let response = format!("{OK}Transfer-Encoding: chunked\r\n\r\n{}", &chunks[..end]);
        expect_eq!(
            body_of(subject, &response),
            Err(TransportErrorKind::Body),
            "after {:?}",
            &chunks[..end]
        );
    }
}

/// If a chunk's size is not a number, the error is [`TransportErrorKind::Body`].
pub fn required_a_chunk_of_no_size_is_an_error(subject: &Subject) {
    let response =
        format!("{OK}Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nno\r\nhi\r\n0\r\n\r\n");
    expect_eq!(body_of(subject, &response), Err(TransportErrorKind::Body));
}

/// A body without a length is complete when the connection ends.
pub fn required_a_body_may_end_with_the_connection(subject: &Subject) {
    for head in [OK, "HTTP/1.1 200 OK\r\nConnection: close\r\n"] {
        let response = format!("{head}\r\nhi, there");
        expect_eq!(
            body_of(subject, &response),
            Ok("hi, there".to_owned()),
            "{head:?}"
        );
    }
}

/// Responses with status 204 or 304 have no body, even if they have a `Content-Length`. The
/// transport does not wait for one.
pub fn required_204_and_304_have_no_body(subject: &Subject) {
    for head in [
        "204 No Content\r\n",
        "304 Not Modified\r\n",
        "304 Not Modified\r\nContent-Length: 5\r\n",
    ] {
        let server = Server::start(subject, move |connection| {
            connection.read_request();
            connection.write(format!("HTTP/1.1 {head}\r\n"));
            // The connection stays open, so a transport that waits for its end hangs.
            connection.read_request();
        });
        let response = subject
            .get(&server.url("/"))
            .expect("expected a response, got the error");
        expect_eq!(response.status().as_str(), &head[..3]);
        expect_eq!(text(&response), "");
    }
}

/// A `Content-Length` that is given twice with the same value is that length or an error.
pub fn required_a_length_said_twice_is_never_a_wrong_body(subject: &Subject) {
    is_never_wrong(
        subject,
        &format!("{OK}Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi"),
        "hi",
    );
    is_never_wrong(
        subject,
        &format!("{OK}Content-Length: 2, 2\r\n\r\nhi"),
        "hi",
    );
}

/// If lengths contradict each other or are not numbers, the result is an error, because the end of
/// the body is unknown.
pub fn required_a_length_that_cannot_be_is_an_error(subject: &Subject) {
    for lengths in [
        "Content-Length: 2\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 2\r\n",
        "Content-Length: -2\r\n",
        "Content-Length: two\r\n",
    ] {
        let response = format!("{OK}{lengths}\r\nhi, it");
        let kind = body_of(subject, &response).expect_err(lengths);
        let kinds = [TransportErrorKind::Interrupted, TransportErrorKind::Body];
        expect_one_of(&kind, &kinds, lengths);
    }
}

/// If a chunked body has a `Content-Length` as well, the result is the chunks or an error.
pub fn required_chunks_win_over_a_length(subject: &Subject) {
    let chunks = "2\r\nhi\r\n0\r\n\r\n";
    is_never_wrong(
        subject,
        &format!("{OK}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"),
        "hi",
    );
    is_never_wrong(
        subject,
        &format!("{OK}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n{chunks}"),
        "hi",
    );
}

/// A response that arrives one byte at a time is read like any other.
pub fn required_a_response_in_single_bytes_is_complete(subject: &Subject) {
    let with_length = format!("{OK}X-Header: yes\r\nContent-Length: 9\r\n\r\nhi, there");
    let chunked = format!(
        "{OK}X-Header: yes\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhi, \r\n5\r\nthere\r\n0\r\n\r\n"
    );
    for response in [with_length, chunked] {
        let server = Server::start(subject, move |connection| {
            connection.read_request();
            for byte in response.as_bytes().chunks(1) {
                connection.write(byte);
            }
        });
        let response = subject
            .get(&server.url("/"))
            .expect("expected a response, got the error");
        expect_eq!(response.headers()["x-header"], "yes");
        expect_eq!(text(&response), "hi, there");
    }
}

/// Interim responses, with a status 1xx, precede the response and are skipped.
pub fn optional_interim_responses_are_skipped(subject: &Subject) {
    let response = format!(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n{OK}Content-Length: 2\r\n\r\nhi"
    );
    expect_eq!(body_of(subject, &response), Ok("hi".to_owned()));
}
