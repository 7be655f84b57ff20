//! Connections that can't be opened, that end early, and that several requests share.
//!
//! A request must never get the response of another one, and a `POST` must never be sent twice.
//! Kept connections that end between two requests have more cases in `kept_connections.rs`.

use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::time::Duration;

use box_longpoll::transport::TransportErrorKind;
use futures_util::future::{Either, join_all, select};
use http::Method;
use socket2::{Domain, Socket, Type};

use crate::conformance::connection::Connection;
use crate::conformance::driver::{Subject, failure, request, text};
use crate::conformance::expect::{differs, expect_eq, expect_one_of};
use crate::conformance::server::{Note, Server};

/// The time limit for a failed connect: the allowed minute, and a minute more for a busy machine.
/// It only has to find a transport that waits forever.
const MAX_CONNECT_TIME: Duration = Duration::from_secs(120);

/// A refused connection is [`TransportErrorKind::Connect`].
pub fn required_a_refused_connection_is_an_error_of_connecting(subject: &Subject) {
    // The socket is bound and does not listen, so no other program can listen on the port.
    let (_socket, address) = bound();
    let kind = subject.failure(&format!("http://{address}/canary?canary"));
    expect_eq!(kind, TransportErrorKind::Connect);
}

/// A connection attempt without a response is [`TransportErrorKind::Connect`] within a minute, even
/// if the timeout of the request is longer.
///
/// On a system whose listeners accept any number of connections, the case is not tested.
pub fn required_a_silent_connection_is_given_up(subject: &Subject) {
    let (socket, address) = bound();
    socket.listen(0).expect("a listener");
    let soon = Duration::from_millis(50);
    let connect = || TcpStream::connect_timeout(&address, soon).ok();
    let waiting: Vec<_> = std::iter::from_fn(connect).take(100).collect();
    if waiting.len() == 100 {
        Subject::is_not_shown("a listener accepts any number of connections");
    }
    subject.may_take(MAX_CONNECT_TIME);
    let kind = subject.failure(&format!("http://{address}/canary?canary"));
    expect_eq!(kind, TransportErrorKind::Connect);
}

/// Returns a socket that is bound to a free port, and its address.
fn bound() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).expect("a free port");
    let address = socket.local_addr().expect("the address");
    (socket, address.as_socket().expect("an IP address"))
}

/// If a connection ends before the response, by a FIN or a reset, the error is
/// [`TransportErrorKind::Interrupted`].
pub fn required_an_end_before_the_response_is_an_interruption(subject: &Subject) {
    for end in [Connection::cut, Connection::reset] {
        ends_with(subject, "", end, &[TransportErrorKind::Interrupted]);
    }
}

/// If a connection ends inside the headers, by a FIN or a reset, the error is
/// [`TransportErrorKind::Interrupted`].
pub fn required_an_end_inside_the_headers_is_an_interruption(subject: &Subject) {
    for head in ["HTTP/1.1 20", "HTTP/1.1 200 OK\r\nX-Canary: canary"] {
        for end in [Connection::cut, Connection::reset] {
            ends_with(subject, head, end, &[TransportErrorKind::Interrupted]);
        }
    }
}

/// If a connection ends inside the body, the error is [`TransportErrorKind::Body`]. A reset may
/// arrive before the headers are read; the error is then [`TransportErrorKind::Interrupted`].
pub fn required_an_end_inside_the_body_is_an_error(subject: &Subject) {
    let cut = "HTTP/1.1 200 OK\r\nX-Canary: canary\r\nContent-Length: 9\r\n\r\nhi";
    let either = [TransportErrorKind::Body, TransportErrorKind::Interrupted];
    ends_with(subject, cut, Connection::cut, &either[..1]);
    ends_with(subject, cut, Connection::reset, &either);
    let without_length = "HTTP/1.1 200 OK\r\n\r\nhi";
    ends_with(subject, without_length, Connection::reset, &either);
}

#[track_caller]
fn ends_with(
    subject: &Subject,
    response: &'static str,
    end: fn(&mut Connection),
    kinds: &[TransportErrorKind],
) {
    let server = Server::start(subject, move |connection| {
        connection.read_request();
        connection.write(response);
        end(connection);
    });
    let kind = subject.failure(&server.url("/canary?canary"));
    expect_one_of(&kind, kinds, &format!("after {response:?}"));
}

/// The response to a dropped request is never returned for the next request. The next request never
/// goes out on a connection on which that response is still due.
pub fn required_a_canceled_request_leaves_the_next_alone(subject: &Subject) {
    let dropped = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\ndropped";
    // The server writes the second part after the request is dropped.
    for at in [0, 9, dropped.len() - 3] {
        for late in [Late::BeforeTheNextRequest, Late::AfterTheNextRequest] {
            late_response(subject, &dropped[..at], &dropped[at..], late);
        }
    }
}

/// The time at which the rest of the response to a dropped request arrives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Late {
    BeforeTheNextRequest,
    AfterTheNextRequest,
}

#[track_caller]
fn late_response(subject: &Subject, first: &'static str, rest: &'static str, late: Late) {
    let (dropped, awaited) = mpsc::channel();
    let awaited = Mutex::new(awaited);
    let mut server = Server::start(subject, move |connection| {
        connection.read_request();
        if connection.number > 0 {
            connection.respond("next");
            return;
        }
        connection.write(first);
        connection.note(Note::Done);
        if late == Late::BeforeTheNextRequest {
            let awaited = awaited.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = awaited.recv();
            connection.write(rest);
            connection.note(Note::Done);
        }
        // The next request may still arrive on this connection.
        if connection.read_request().is_some() && late == Late::AfterTheNextRequest {
            connection.write(rest);
        }
        connection.respond("next, reused");
    });
    let url = server.url("/");
    let response = subject.drive(|client| async move {
        let sending = client.get(&url);
        let written = Box::pin(server.note());
        if let Either::Left((response, _)) = select(Box::pin(sending), written).await {
            differs("no response yet", &response, "the server waits");
        }
        let _ = dropped.send(());
        if late == Late::BeforeTheNextRequest {
            server.note().await;
        }
        client.text(&url).await
    });
    match (&*response, late) {
        // After its response was read, a connection may be reused.
        ("next", _) | ("next, reused", Late::BeforeTheNextRequest) => {}
        ("next, reused", Late::AfterTheNextRequest) => differs(
            "the next request on another connection",
            "its own response on the connection of the dropped request",
            &format!(
                "a reused connection: the dropped request's response was due, after {first:?}"
            ),
        ),
        (other, _) => differs(
            "the next request's own response",
            other,
            &format!("a mix-up: the request before was dropped after {first:?} of its response"),
        ),
    }
}

/// The unread rest of a body that is too large is never returned as the response to the next
/// request.
pub fn required_the_rest_of_a_refused_body_is_dropped(subject: &Subject) {
    let server = Server::start(subject, |connection| {
        while let Some(request) = connection.read_request() {
            if request.target() == "/large" {
                connection.write("HTTP/1.1 200 OK\r\nContent-Length: 4100000\r\n\r\n");
                let wrong = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong";
                connection.flood(wrong.repeat(100).as_bytes(), 4_100_000);
            } else {
                connection.respond("right");
            }
        }
    });
    let (large, small) = (server.url("/large"), server.url("/small"));
    let response = subject.drive(|client| async move {
        let kind = failure(client.get(&large).await);
        expect_eq!(kind, TransportErrorKind::BodyTooLarge);
        client.text(&small).await
    });
    expect_eq!(response, "right");
}

/// A `POST` is sent once. If a reused connection ends after the request was sent, the server may
/// have processed it, so the error is [`TransportErrorKind::Interrupted`].
pub fn required_a_post_is_never_sent_twice(subject: &Subject) {
    for end in [Connection::cut, Connection::reset] {
        let mut server = Server::start(subject, move |connection| {
            while let Some(request) = connection.read_request() {
                if request.line.starts_with("POST") {
                    end(connection);
                    return;
                }
                connection.respond("hi");
            }
        });
        let url = server.url("/");
        let kind = subject.drive(|client| {
            let url = url.clone();
            async move {
                client.text(&url).await;
                failure(client.send(request(Method::POST, &url, "once")).await)
            }
        });
        let requests = server.requests_so_far();
        let posts = requests.iter().filter(|sent| sent.line.starts_with("POST"));
        expect_eq!(posts.count(), 1, "the number of POSTs");
        expect_eq!(kind, TransportErrorKind::Interrupted);
    }
}

/// If the server has ended a connection since its last response, the next request gets a response
/// on another connection or is [`TransportErrorKind::Interrupted`]. The request after that gets a
/// response.
pub fn required_a_stale_connection_is_replaced(subject: &Subject) {
    for end in [Connection::cut, Connection::reset] {
        let mut server = Server::start(subject, move |connection| {
            connection.read_request();
            connection.respond("hi");
            end(connection);
            connection.note(Note::Done);
        });
        let url = server.url("/");
        subject.drive(|client| async move {
            // A reset may discard the response as well.
            let _ = client.get(&url).await;
            server.note().await;
            match client.get(&url).await {
                Ok(response) => expect_eq!(text(&response), "hi"),
                Err(error) => expect_eq!(error.kind(), TransportErrorKind::Interrupted),
            }
        });
    }
}

/// If a server closes the connection after each response and announces it, no request fails.
pub fn required_a_server_may_close_after_each_response(subject: &Subject) {
    let server = Server::responding(
        subject,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
    );
    let url = server.url("/");
    subject.drive(|client| async move {
        for _ in 0..30 {
            expect_eq!(client.text(&url).await, "hi");
        }
    });
    expect_eq!(server.connections(), 30);
}

/// Consecutive requests share connections.
pub fn optional_reuses_connections(subject: &Subject) {
    const REUSED: usize = 5;
    const MOST: usize = 100;
    let server = Server::start(subject, |connection| {
        while connection.read_request().is_some() {
            connection.respond("hi");
        }
    });
    let url = server.url("/");
    subject.drive(|client| async move {
        // On a busy machine a connection may return to its pool too late, but not every time.
        for requests in 1..=MOST {
            expect_eq!(client.text(&url).await, "hi");
            if requests - server.connections() == REUSED {
                return;
            }
        }
        differs(
            &format!("{REUSED} requests on reused connections"),
            &(MOST - server.connections()),
            &format!("{MOST} consecutive requests"),
        );
    });
}

/// Two hundred requests can be held at the same time, and each gets its own response.
pub fn required_two_hundred_requests_are_held_at_once(subject: &Subject) {
    const HELD: usize = 200;
    /// The tests of several transports take turns, so that they don't exhaust the file descriptors.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    subject.may_take(Duration::from_secs(120));

    let held = Arc::new((Mutex::new(0), Condvar::new()));
    let server = Server::start(subject, move |connection| {
        let Some(request) = connection.read_request() else {
            return;
        };
        let (count, changed) = &*held;
        let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
        *count += 1;
        changed.notify_all();
        drop(changed.wait_while(count, |count| *count < HELD));
        connection.respond(request.target());
    });
    let urls: Vec<_> = (0..HELD).map(|n| server.url(&format!("/{n}"))).collect();
    let responses = subject.drive(|client| async move {
        let requests = urls.iter().map(|url| client.text(url));
        join_all(requests).await
    });
    for (n, response) in responses.into_iter().enumerate() {
        expect_eq!(response, format!("/{n}"));
    }
}
