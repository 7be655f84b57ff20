//! The certificates that a transport trusts, and the ends of TLS connections.
//!
//! A transport must send nothing to a server that it can't authenticate. It must also notice a body
//! that somebody on the way has truncated. The certificates are made by
//! [`Setup`](crate::conformance::Setup).

use std::sync::Arc;

use box_longpoll::transport::TransportErrorKind;
use rustls::ServerConfig;

use crate::conformance::connection::Connection;
use crate::conformance::driver::{Subject, failure, text};
use crate::conformance::expect::{expect_eq, expect_one_of};
use crate::conformance::server::{Note, Server};
use crate::conformance::setup::Certificate;

/// A server whose certificate the given authority has issued is trusted.
pub fn required_a_given_root_is_trusted(subject: &Subject) {
    let config = subject.setup.server_config(Certificate::Good);
    let server = Server::tls(subject, config, |connection| {
        while let Some(request) = connection.read_request() {
            connection.respond(&request.line);
        }
    });
    let response = subject
        .get(&server.tls_url("/a?b"))
        .expect("expected a response, got the error");
    expect_eq!(text(&response), "GET /a?b HTTP/1.1");
}

/// A certificate of an unknown authority is [`TransportErrorKind::Tls`], before a byte of the
/// request is sent.
pub fn required_an_unknown_authority_is_refused(subject: &Subject) {
    is_refused(subject, Certificate::OfUnknownAuthority);
}

/// A certificate that has expired is [`TransportErrorKind::Tls`], before a byte of the request is
/// sent.
pub fn required_an_expired_certificate_is_refused(subject: &Subject) {
    is_refused(subject, Certificate::Expired);
}

/// A certificate of another name is [`TransportErrorKind::Tls`], before a byte of the request is
/// sent.
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

/// If a server does not speak TLS, the error is [`TransportErrorKind::Tls`].
pub fn required_a_server_without_tls_is_an_error_of_tls(subject: &Subject) {
    let server = Server::start(subject, |connection| {
        connection.write("HTTP/1.1 400 Bad Request\r\nContent-Length: 6\r\n\r\ncanary");
    });
    let kind = subject.failure(&server.tls_url("/canary?canary"));
    expect_eq!(kind, TransportErrorKind::Tls);
}

/// If the server ends the connection during the handshake, the error is [`TransportErrorKind::Tls`]
/// or [`TransportErrorKind::Connect`], because no part of the request was sent.
pub fn required_a_handshake_cut_short_is_no_interruption(subject: &Subject) {
    for end in [Connection::cut, Connection::reset] {
        let server = Server::start(subject, end);
        let kind = subject.failure(&server.tls_url("/canary?canary"));
        let kinds = [TransportErrorKind::Tls, TransportErrorKind::Connect];
        expect_one_of(&kind, &kinds, "the handshake was cut short");
    }
}

/// Failures over TLS have the same kinds as over plain TCP.
pub fn required_failures_over_tls_have_the_same_kinds(subject: &Subject) {
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi";
    let config = subject.setup.server_config(Certificate::Good);
    for (response, kind) in [
        ("", TransportErrorKind::Interrupted),
        ("HTTP/1.1 200 OK\r\nConte", TransportErrorKind::Interrupted),
        (length, TransportErrorKind::Body),
    ] {
        let failed = response_over_tls(subject, &config, response, Connection::finish);
        expect_eq!(failed, Err(kind), "after {response:?}");
    }
}

/// A body over TLS is complete when it is as long as its `Content-Length`.
pub fn required_complete_bodies_over_tls_are_read(subject: &Subject) {
    let config = subject.setup.server_config(Certificate::Good);
    let body = response_over_tls(subject, &config, WITH_LENGTH, Connection::finish);
    expect_eq!(body.as_deref(), Ok("hi"));
}

/// A body without a length is complete when the server has ended TLS with a `close_notify`.
pub fn required_a_body_may_end_with_tls(subject: &Subject) {
    let config = subject.setup.server_config(Certificate::Good);
    let body = response_over_tls(subject, &config, WITHOUT_LENGTH, Connection::finish);
    expect_eq!(body.as_deref(), Ok("hi"));
}

/// A body as long as its `Content-Length` is complete even if the server ends TCP without ending
/// TLS.
pub fn required_a_complete_body_needs_no_end_of_tls(subject: &Subject) {
    let config = subject.setup.server_config(Certificate::Good);
    let body = response_over_tls(subject, &config, WITH_LENGTH, Connection::cut);
    expect_eq!(body.as_deref(), Ok("hi"));
}

/// If TCP ends before TLS does, a body without a length is an error, because somebody on the way
/// could have truncated it.
pub fn optional_a_body_cut_out_of_tls_is_an_error(subject: &Subject) {
    let config = subject.setup.server_config(Certificate::Good);
    let cut = response_over_tls(subject, &config, WITHOUT_LENGTH, Connection::cut);
    expect_eq!(cut, Err(TransportErrorKind::Body));
}

const WITH_LENGTH: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const WITHOUT_LENGTH: &str = "HTTP/1.1 200 OK\r\n\r\nhi";

#[track_caller]
/// Returns the body that `response` is taken for, by a server that then ends the connection with
/// `end`.
fn response_over_tls(
    subject: &Subject,
    config: &Arc<ServerConfig>,
    response: &'static str,
    end: fn(&mut Connection),
) -> Result<String, TransportErrorKind> {
    let server = Server::tls(subject, Arc::clone(config), move |connection| {
        connection.read_request();
        connection.write(response);
        end(connection);
    });
    match subject.get(&server.tls_url("/canary?canary")) {
        Ok(response) => Ok(text(&response)),
        error => Err(failure(error)),
    }
}
