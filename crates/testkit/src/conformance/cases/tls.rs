//! Who is trusted.

use std::sync::Arc;

use box_longpoll::transport::TransportErrorKind;
use rustls::ServerConfig;

use crate::conformance::connection::Connection;
use crate::conformance::expect::{expect_eq, expect_one_of};
use crate::conformance::server::{Note, Server};
use crate::conformance::setup::Certificate;
use crate::conformance::subject::{Subject, failure, text};

/// A server with a certificate of the given authority is answered.
pub fn required_a_given_root_is_trusted(subject: &Subject) {
    let config = subject.setup.server_config(Certificate::Good);
    let server = Server::tls(subject, config, |connection| {
        while let Some(request) = connection.read_request() {
            connection.answer(&request.line);
        }
    });
    let answer = subject
        .get(&server.tls_url("/a?b"))
        .expect("expected a response, got the error");
    expect_eq!(text(&answer), "GET /a?b HTTP/1.1");
}

/// A certificate of an authority that nobody knows is [`TransportErrorKind::Tls`], before a byte of the request is sent.
pub fn required_an_unknown_authority_is_refused(subject: &Subject) {
    is_refused(subject, Certificate::OfUnknownAuthority);
}

/// A certificate that has expired is [`TransportErrorKind::Tls`], before a byte of the request is sent.
pub fn required_an_expired_certificate_is_refused(subject: &Subject) {
    is_refused(subject, Certificate::Expired);
}

/// A certificate of another name is [`TransportErrorKind::Tls`], before a byte of the request is sent.
pub fn required_a_certificate_of_another_name_is_refused(subject: &Subject) {
    is_refused(subject, Certificate::OfAnotherName);
}

#[track_caller]
fn is_refused(subject: &Subject, certificate: Certificate) {
    let config = subject.setup.server_config(certificate);
    let mut server = Server::tls(subject, config, |connection| {
        let received = connection.read_first();
        connection.note(Note::Plaintext(received));
    });
    let url = server.tls_url("/canary?canary");
    subject.drive(|client| async move {
        expect_eq!(failure(client.get(&url).await), TransportErrorKind::Tls);
        expect_eq!(server.note().await, Note::Plaintext(0));
    });
}

/// A server that speaks no TLS is [`TransportErrorKind::Tls`].
pub fn required_a_server_without_tls_is_an_error_of_tls(subject: &Subject) {
    let server = Server::start(subject, |connection| {
        connection.write("HTTP/1.1 400 Bad Request\r\nContent-Length: 6\r\n\r\ncanary");
    });
    let kind = subject.failure(&server.tls_url("/canary?canary"));
    expect_eq!(kind, TransportErrorKind::Tls);
}

/// A handshake that the server cuts short is [`TransportErrorKind::Tls`] or [`TransportErrorKind::Connect`]: nothing of
/// the request was sent.
pub fn required_a_handshake_cut_short_is_no_interruption(subject: &Subject) {
    for end in [Connection::cut, Connection::reset] {
        let server = Server::start(subject, end);
        let kind = subject.failure(&server.tls_url("/canary?canary"));
        let kinds = [TransportErrorKind::Tls, TransportErrorKind::Connect];
        expect_one_of(&kind, &kinds, "the handshake was cut short");
    }
}

/// Failures over TLS are called as they are without it.
pub fn required_failures_over_tls_have_the_same_kinds(subject: &Subject) {
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi";
    let config = subject.setup.server_config(Certificate::Good);
    for (answer, kind) in [
        ("", TransportErrorKind::Interrupted),
        ("HTTP/1.1 200 OK\r\nConte", TransportErrorKind::Interrupted),
        (length, TransportErrorKind::Body),
    ] {
        let failed = answered(subject, &config, answer, Connection::finish);
        expect_eq!(failed, Err(kind), "after {answer:?}");
    }
}

/// A body over TLS is whole when it is as long as its length.
pub fn required_whole_bodies_over_tls_are_whole(subject: &Subject) {
    let config = subject.setup.server_config(Certificate::Good);
    let body = answered(subject, &config, WITH_LENGTH, Connection::finish);
    expect_eq!(body.as_deref(), Ok("hi"));
}

/// A body without a length is whole when TLS has ended.
pub fn required_a_body_may_end_with_tls(subject: &Subject) {
    let config = subject.setup.server_config(Certificate::Good);
    let body = answered(subject, &config, WITHOUT_LENGTH, Connection::finish);
    expect_eq!(body.as_deref(), Ok("hi"));
}

/// A body as long as its length is whole though the server ends TCP and not TLS.
pub fn required_a_whole_body_needs_no_end_of_tls(subject: &Subject) {
    let config = subject.setup.server_config(Certificate::Good);
    let body = answered(subject, &config, WITH_LENGTH, Connection::cut);
    expect_eq!(body.as_deref(), Ok("hi"));
}

/// A body without a length has not ended when TCP ends and TLS does not: anybody on the way could have cut it.
pub fn optional_a_body_cut_out_of_tls_is_an_error(subject: &Subject) {
    let config = subject.setup.server_config(Certificate::Good);
    let cut = answered(subject, &config, WITHOUT_LENGTH, Connection::cut);
    expect_eq!(cut, Err(TransportErrorKind::Body));
}

const WITH_LENGTH: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const WITHOUT_LENGTH: &str = "HTTP/1.1 200 OK\r\n\r\nhi";

#[track_caller]
fn answered(
    subject: &Subject,
    config: &Arc<ServerConfig>,
    answer: &'static str,
    end: fn(&mut Connection),
) -> Result<String, TransportErrorKind> {
    let server = Server::tls(subject, Arc::clone(config), move |connection| {
        connection.read_request();
        connection.write(answer);
        end(connection);
    });
    match subject.get(&server.tls_url("/canary?canary")) {
        Ok(answer) => Ok(text(&answer)),
        error => Err(failure(error)),
    }
}
