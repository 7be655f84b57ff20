//! Where a body ends, and what is no body.

use box_longpoll::transport::TransportErrorKind;

use crate::conformance::expect::{expect_eq, expect_one_of};
use crate::conformance::server::Server;
use crate::conformance::subject::{Subject, failure, text};

const OK: &str = "HTTP/1.1 200 OK\r\n";

/// What `answer` is taken for, by a server that then ends the connection.
#[track_caller]
fn body_of(subject: &Subject, answer: &str) -> Result<String, TransportErrorKind> {
    let server = Server::answering(subject, answer);
    match subject.get(&server.url("/canary?canary")) {
        Ok(answer) => Ok(text(&answer)),
        error => Err(failure(error)),
    }
}

/// Asserts that a body is either this or an error: which one, is the library's choice.
#[track_caller]
fn is_never_wrong(subject: &Subject, answer: &str, right: &str) {
    if let Ok(body) = body_of(subject, answer) {
        expect_eq!(body, right, "of {answer:?}");
    }
}

/// A body is as long as its `Content-Length` says.
pub fn required_a_body_with_a_length_is_whole(subject: &Subject) {
    let body = "0123456789".repeat(1_000);
    let answer = format!("{OK}Content-Length: 10000\r\n\r\n{body}");
    expect_eq!(body_of(subject, &answer), Ok(body));
    let empty = format!("{OK}Content-Length: 0\r\n\r\n");
    expect_eq!(body_of(subject, &empty), Ok(String::new()));
}

/// A body shorter than its `Content-Length` is [`TransportErrorKind::Body`].
pub fn required_a_body_shorter_than_its_length_is_an_error(subject: &Subject) {
    for body in ["", "12345678"] {
        let answer = format!("{OK}Content-Length: 9\r\n\r\n{body}");
        expect_eq!(
            body_of(subject, &answer),
            Err(TransportErrorKind::Body),
            "{body:?}"
        );
    }
}

/// What comes after a body's `Content-Length` belongs to nothing: neither to this answer nor to the next one.
pub fn required_bytes_after_an_answer_are_no_answer(subject: &Subject) {
    let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 204 No Content\r\n\r\n",
    ];
    for answer in answers {
        let server = Server::start(subject, move |connection| {
            while let Some(request) = connection.read_request() {
                if request.target() == "/next" {
                    connection.answer("right");
                } else {
                    connection.write(format!(
                        "{answer}HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"
                    ));
                }
            }
        });
        let (first, next) = (server.url("/"), server.url("/next"));
        subject.drive(|client| async move {
            if let Ok(answer) = client.get(&first).await {
                expect_one_of(&&*text(&answer), &["hi", ""], "the first response");
            }
            // The connection may be found broken, but never be taken for whole.
            if let Ok(answer) = client.get(&next).await {
                expect_eq!(text(&answer), "right");
            }
        });
    }
}

/// A body in chunks is whole, and its framing does not show.
pub fn required_a_chunked_body_is_whole(subject: &Subject) {
    let chunks = "2\r\nhi\r\n00B\r\n, there\r\n\r\n\r\n0\r\n\r\n";
    is_chunked(subject, chunks, "hi, there\r\n\r\n");
}

/// A body in chunks may have extensions and trailers.
pub fn required_chunks_may_have_extensions_and_trailers(subject: &Subject) {
    let chunks = "2;name=value\r\nhi\r\n0\r\nX-Trailer: 1\r\n\r\n";
    is_chunked(subject, chunks, "hi");
}

#[track_caller]
fn is_chunked(subject: &Subject, chunks: &str, body: &str) {
    let answer = format!("{OK}Transfer-Encoding: chunked\r\n\r\n{chunks}");
    expect_eq!(body_of(subject, &answer), Ok(body.to_owned()));
}

/// A body in chunks without its last chunk is [`TransportErrorKind::Body`], wherever it was cut.
pub fn required_a_chunked_body_cut_short_is_an_error(subject: &Subject) {
    let chunks = "2\r\nhi\r\n9\r\n, there!!\r\n";
    for end in [0, 1, 3, 4, 7, 8, 10, 15, chunks.len()] {
        let answer = format!("{OK}Transfer-Encoding: chunked\r\n\r\n{}", &chunks[..end]);
        expect_eq!(
            body_of(subject, &answer),
            Err(TransportErrorKind::Body),
            "after {:?}",
            &chunks[..end]
        );
    }
}

/// A chunk's size that is no number is [`TransportErrorKind::Body`].
pub fn required_a_chunk_of_no_size_is_an_error(subject: &Subject) {
    let answer = format!("{OK}Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nno\r\nhi\r\n0\r\n\r\n");
    expect_eq!(body_of(subject, &answer), Err(TransportErrorKind::Body));
}

/// A body without a length ends with the connection, and is whole.
pub fn required_a_body_may_end_with_the_connection(subject: &Subject) {
    for head in [OK, "HTTP/1.1 200 OK\r\nConnection: close\r\n"] {
        let answer = format!("{head}\r\nhi, there");
        expect_eq!(
            body_of(subject, &answer),
            Ok("hi, there".to_owned()),
            "{head:?}"
        );
    }
}

/// 204 and 304 have no body, whatever length they mention, and are not waited for.
pub fn required_204_and_304_have_no_body(subject: &Subject) {
    for head in [
        "204 No Content\r\n",
        "304 Not Modified\r\n",
        "304 Not Modified\r\nContent-Length: 5\r\n",
    ] {
        let server = Server::start(subject, move |connection| {
            connection.read_request();
            connection.write(format!("HTTP/1.1 {head}\r\n"));
            // The connection stays open: nobody has to wait for its end.
            connection.read_request();
        });
        let answer = subject
            .get(&server.url("/"))
            .expect("expected a response, got the error");
        expect_eq!(answer.status().as_str(), &head[..3]);
        expect_eq!(text(&answer), "");
    }
}

/// The same length twice is that length, or an error.
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

/// Lengths that contradict each other, or are no numbers, are an error: nobody knows where the body ends.
pub fn required_a_length_that_cannot_be_is_an_error(subject: &Subject) {
    for lengths in [
        "Content-Length: 2\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 2\r\n",
        "Content-Length: -2\r\n",
        "Content-Length: two\r\n",
    ] {
        let answer = format!("{OK}{lengths}\r\nhi, it");
        let kind = body_of(subject, &answer).expect_err(lengths);
        let kinds = [TransportErrorKind::Interrupted, TransportErrorKind::Body];
        expect_one_of(&kind, &kinds, lengths);
    }
}

/// A body in chunks with a length as well is what the chunks say, or an error.
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

/// An answer that comes a byte at a time is the same answer.
pub fn required_an_answer_in_single_bytes_is_whole(subject: &Subject) {
    let with_length = format!("{OK}X-Header: yes\r\nContent-Length: 9\r\n\r\nhi, there");
    let chunked = format!(
        "{OK}X-Header: yes\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhi, \r\n5\r\nthere\r\n0\r\n\r\n"
    );
    for answer in [with_length, chunked] {
        let server = Server::start(subject, move |connection| {
            connection.read_request();
            for byte in answer.as_bytes().chunks(1) {
                connection.write(byte);
            }
        });
        let answer = subject
            .get(&server.url("/"))
            .expect("expected a response, got the error");
        expect_eq!(answer.headers()["x-header"], "yes");
        expect_eq!(text(&answer), "hi, there");
    }
}

/// Interim answers, 1xx, come before the answer and are none.
pub fn optional_interim_answers_are_passed_over(subject: &Subject) {
    let answer = format!(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n{OK}Content-Length: 2\r\n\r\nhi"
    );
    expect_eq!(body_of(subject, &answer), Ok("hi".to_owned()));
}
