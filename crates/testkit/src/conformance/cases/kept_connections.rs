//! Kept connections that the server ends without an announcement.
//!
//! Servers close idle connections, so a request on a pooled connection may fail through no fault of
//! its own. The client then resends the request once. Responses with `connection: close` are tested
//! in `connection.rs`.

use std::time::Duration;

use box_longpoll::transport::{TransportError, TransportErrorKind};
use http::Method;

use crate::conformance::driver::{Client, Subject, assert_no_secret, request, text};
use crate::conformance::expect::{differs, expect_eq};
use crate::conformance::server::{Note, Server};

use super::time::pause;

/// The time between a response and the close of its connection: 20 ms, so that the next request
/// meets either state.
const SOON: Duration = Duration::from_millis(20);

/// The number of rounds in a case. A transport may return a connection to its pool a moment too
/// late and open a new one, but over ten rounds it reuses some connections.
const ROUNDS: usize = 10;

/// The greatest number of resends. A transport that can't request a fresh connection may hold two
/// dying connections and resend on the second one. It holds no more, because only one request is in
/// flight at a time.
const RESENDS: usize = 2;

/// The methods that the client resends, because they change nothing.
const METHODS: [Method; 2] = [Method::OPTIONS, Method::GET];

/// A server closes each connection 20 ms after its response and doesn't announce it. A request gets
/// a response, or it is [`TransportErrorKind::Interrupted`] and gets one when the client resends
/// it. This holds for requests sent before and after the close.
pub fn required_a_kept_connection_that_closes_is_replaced(subject: &Subject) {
    let mut server = Server::start(subject, |connection| {
        if connection.read_request().is_some() {
            connection.respond("hi");
            pause(SOON);
            connection.close();
            connection.note(Note::Done);
        }
    });
    let url = server.url("/");
    subject.drive(|client| async move {
        for _ in 0..ROUNDS {
            // The second request meets a connection that is about to close, the first one a
            // connection that has just closed.
            for method in METHODS {
                resent_if_interrupted(&client, method, &url).await;
            }
            for _ in METHODS {
                server.note().await;
            }
        }
    });
}

/// A server resets a connection when a second request arrives on it. That request gets a response
/// on another connection, or it is [`TransportErrorKind::Interrupted`] and gets one when the client
/// resends it.
pub fn required_a_kept_connection_that_resets_is_replaced(subject: &Subject) {
    let server = resetting_at_the_second_request(subject);
    interruptions(subject, &server);
}

/// If a reused connection fails, the error doesn't claim that the connection was fresh, because the
/// client would then not resend the request. If a fresh connection fails, the error doesn't claim
/// that it was reused.
pub fn required_a_reused_connection_is_never_called_fresh(subject: &Subject) {
    let server = resetting_at_the_second_request(subject);
    for error in interruptions(subject, &server) {
        if error.connection_was_reused() == Some(false) {
            differs("no claim of a fresh connection", &error, "it was reused");
        }
    }
    let server = Server::start(subject, |connection| {
        connection.read_request();
        connection.reset();
    });
    let url = server.url("/");
    subject.drive(|client| async move {
        let get = request(Method::GET, &url, "");
        for request in [get.clone(), get.with_fresh_connection()] {
            let response = client.send(request).await;
            let error = response.expect_err("expected an error, got the response");
            if error.connection_was_reused() == Some(true) {
                differs("no claim of a reused connection", &error, "it was fresh");
            }
        }
    });
}

/// If a reused connection fails, the transport returns the error and lets the client resend the
/// request.
pub fn optional_a_get_is_never_sent_twice(subject: &Subject) {
    let mut server = resetting_at_the_second_request(subject);
    let url = server.url("/");
    subject.drive(|client| async move {
        for _ in 0..ROUNDS {
            for method in METHODS {
                // The server counts the requests, so their results don't matter.
                let _ = client.send(request(method, &url, "")).await;
            }
        }
    });
    let received = server.requests_so_far().len();
    expect_eq!(
        received,
        ROUNDS * METHODS.len(),
        "requests that the server read"
    );
}

/// A request with [`fresh_connection`](box_longpoll::transport::TransportRequest::fresh_connection)
/// is the first one on its connection.
pub fn optional_a_fresh_connection_is_opened_when_requested(subject: &Subject) {
    let server = Server::start(subject, |connection| {
        let mut requests = 0;
        while connection.read_request().is_some() {
            requests += 1;
            connection.respond(&format!("request {requests}"));
        }
    });
    let url = server.url("/");
    subject.drive(|client| async move {
        for _ in 0..ROUNDS {
            client.text(&url).await;
            let fresh = request(Method::GET, &url, "").with_fresh_connection();
            let response = client
                .send(fresh)
                .await
                .expect("expected a response, got the error");
            expect_eq!(text(&response), "request 1");
        }
    });
}

/// Starts a server that responds once on each connection, and resets it when a second request
/// arrives.
fn resetting_at_the_second_request(subject: &Subject) -> Server {
    Server::start(subject, |connection| {
        if connection.read_request().is_some() {
            connection.respond("hi");
            if connection.read_request().is_some() {
                connection.reset();
            }
        }
    })
}

/// Sends requests one after another, and returns the errors of the interrupted ones.
#[track_caller]
fn interruptions(subject: &Subject, server: &Server) -> Vec<TransportError> {
    let url = server.url("/");
    subject.drive(|client| async move {
        let mut errors = Vec::new();
        for _ in 0..ROUNDS {
            for method in METHODS {
                errors.extend(resent_if_interrupted(&client, method, &url).await);
            }
        }
        errors
    })
}

/// Sends a request and, if it is interrupted, resends it as the client does. Returns the error of
/// the first attempt.
async fn resent_if_interrupted(
    client: &Client,
    method: Method,
    url: &str,
) -> Option<TransportError> {
    let request = request(method, url, "");
    let mut response = client.send(request.clone()).await;
    let interruption = response.as_ref().err().cloned();
    for _ in 0..RESENDS {
        let Err(error) = &response else { break };
        assert_no_secret(error);
        expect_eq!(error.kind(), TransportErrorKind::Interrupted, "{error:?}");
        response = client.send(request.clone().with_fresh_connection()).await;
    }
    expect_eq!(
        text(&response.expect("expected a response when it is resent, got the error")),
        "hi"
    );
    interruption
}
