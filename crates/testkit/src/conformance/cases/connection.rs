//! Connections that fail, that are shared, and that are given up.

use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::time::Duration;

use box_longpoll::transport::TransportErrorKind;
use futures_util::future::{Either, join_all, select};
use http::Method;
use socket2::{Domain, Socket, Type};

use crate::conformance::connection::Connection;
use crate::conformance::expect::{differs, expect_eq, expect_one_of};
use crate::conformance::server::{Note, Server};
use crate::conformance::subject::{Subject, failure, request, text};

/// A minute, and a minute more for a busy machine: one that waits without end is to be found.
const MOST_TO_CONNECT: Duration = Duration::from_secs(120);

/// A refused connection is [`TransportErrorKind::Connect`].
pub fn required_a_refused_connection_is_an_error_of_connecting(subject: &Subject) {
    // Bound, and not listening: nobody else can get the port.
    let (_socket, address) = bound();
    let kind = subject.failure(&format!("http://{address}/canary?canary"));
    expect_eq!(kind, TransportErrorKind::Connect);
}

/// A connection that nobody answers is [`TransportErrorKind::Connect`] within a minute, however long the request may take.
///
/// Not every system lets a listener be full: on others the case is left out.
pub fn required_a_connection_that_nobody_answers_is_given_up(subject: &Subject) {
    let (socket, address) = bound();
    socket.listen(0).expect("a listener");
    let soon = Duration::from_millis(50);
    let connect = || TcpStream::connect_timeout(&address, soon).ok();
    let waiting: Vec<_> = std::iter::from_fn(connect).take(100).collect();
    if waiting.len() == 100 {
        Subject::is_not_shown("a listener takes any number of connections");
    }
    subject.may_take(MOST_TO_CONNECT);
    let kind = subject.failure(&format!("http://{address}/canary?canary"));
    expect_eq!(kind, TransportErrorKind::Connect);
}

/// A socket with an address of its own.
fn bound() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).expect("a free port");
    let address = socket.local_addr().expect("the address");
    (socket, address.as_socket().expect("an address of IP"))
}

/// A connection that ends before the answer, in good order or by a reset, is [`TransportErrorKind::Interrupted`].
pub fn required_an_end_before_the_answer_is_an_interruption(subject: &Subject) {
    for end in [Connection::cut, Connection::reset] {
        ends_with(subject, "", end, &[TransportErrorKind::Interrupted]);
    }
}

/// A connection that ends inside the headers, in good order or by a reset, is [`TransportErrorKind::Interrupted`].
pub fn required_an_end_inside_the_headers_is_an_interruption(subject: &Subject) {
    for head in ["HTTP/1.1 20", "HTTP/1.1 200 OK\r\nX-Canary: canary"] {
        for end in [Connection::cut, Connection::reset] {
            ends_with(subject, head, end, &[TransportErrorKind::Interrupted]);
        }
    }
}

/// A connection that ends inside the body is [`TransportErrorKind::Body`]. A reset may overtake the headers, and then is
/// [`TransportErrorKind::Interrupted`].
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
    answer: &'static str,
    end: fn(&mut Connection),
    kinds: &[TransportErrorKind],
) {
    let server = Server::start(subject, move |connection| {
        connection.read_request();
        connection.write(answer);
        end(connection);
    });
    let kind = subject.failure(&server.url("/canary?canary"));
    expect_one_of(&kind, kinds, &format!("after {answer:?}"));
}

/// A request that was dropped, at whatever stage, never lends its response to the next one, nor a connection on which its
/// response is still due.
pub fn required_a_cancelled_request_never_answers_the_next(subject: &Subject) {
    let dropped = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\ndropped";
    // The second part comes when the request is dropped.
    for at in [0, 9, dropped.len() - 3] {
        for late in [Late::BeforeTheNextRequest, Late::AfterTheNextRequest] {
            late_answer(subject, &dropped[..at], &dropped[at..], late);
        }
    }
}

/// When the rest of the response to a dropped request comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Late {
    BeforeTheNextRequest,
    AfterTheNextRequest,
}

#[track_caller]
fn late_answer(subject: &Subject, first: &'static str, rest: &'static str, late: Late) {
    let (dropped, awaited) = mpsc::channel();
    let awaited = Mutex::new(awaited);
    let mut server = Server::start(subject, move |connection| {
        connection.read_request();
        if connection.number > 0 {
            connection.answer("next");
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
        // It may be that the next request comes here all the same.
        if connection.read_request().is_some() && late == Late::AfterTheNextRequest {
            connection.write(rest);
        }
        connection.answer("next, reused");
    });
    let url = server.url("/");
    let answer = subject.drive(|client| async move {
        let asked = client.get(&url);
        let written = Box::pin(server.note());
        if let Either::Left((answer, _)) = select(Box::pin(asked), written).await {
            differs("no response yet", &answer, "the server waits");
        }
        let _ = dropped.send(());
        if late == Late::BeforeTheNextRequest {
            server.note().await;
        }
        client.text(&url).await
    });
    match (&*answer, late) {
        // A connection that is free again may be reused.
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

/// What is left of a body that was too large never answers the next request.
pub fn required_the_rest_of_a_refused_body_never_answers_the_next(subject: &Subject) {
    let server = Server::start(subject, |connection| {
        while let Some(request) = connection.read_request() {
            if request.target() == "/large" {
                connection.write("HTTP/1.1 200 OK\r\nContent-Length: 4100000\r\n\r\n");
                let wrong = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong";
                connection.flood(wrong.repeat(100).as_bytes(), 4_100_000);
            } else {
                connection.answer("right");
            }
        }
    });
    let (large, small) = (server.url("/large"), server.url("/small"));
    let answer = subject.drive(|client| async move {
        let kind = failure(client.get(&large).await);
        expect_eq!(kind, TransportErrorKind::BodyTooLarge);
        client.text(&small).await
    });
    expect_eq!(answer, "right");
}

/// A POST is sent once: when a connection that was used before ends after the request has gone out, nobody knows
/// whether the server has acted on it, and it is [`TransportErrorKind::Interrupted`].
pub fn required_a_post_is_never_sent_twice(subject: &Subject) {
    for end in [Connection::cut, Connection::reset] {
        let mut server = Server::start(subject, move |connection| {
            while let Some(request) = connection.read_request() {
                if request.line.starts_with("POST") {
                    end(connection);
                    return;
                }
                connection.answer("hi");
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

/// A connection that the server has ended since its last answer is noticed, or is [`TransportErrorKind::Interrupted`];
/// the request after that is answered.
pub fn required_a_stale_connection_is_replaced(subject: &Subject) {
    for end in [Connection::cut, Connection::reset] {
        let mut server = Server::start(subject, move |connection| {
            connection.read_request();
            connection.answer("hi");
            end(connection);
            connection.note(Note::Done);
        });
        let url = server.url("/");
        subject.drive(|client| async move {
            // With a reset, the answer may be lost as well.
            let _ = client.get(&url).await;
            server.note().await;
            match client.get(&url).await {
                Ok(answer) => expect_eq!(text(&answer), "hi"),
                Err(error) => expect_eq!(error.kind(), TransportErrorKind::Interrupted),
            }
        });
    }
}

/// A server that closes after each answer, and says so, is asked again and again without a failure.
pub fn required_a_server_may_close_after_each_answer(subject: &Subject) {
    let server = Server::answering(
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

/// Requests one after the other share connections.
pub fn optional_reuses_connections(subject: &Subject) {
    const REUSED: usize = 5;
    const MOST: usize = 100;
    let server = Server::start(subject, |connection| {
        while connection.read_request().is_some() {
            connection.answer("hi");
        }
    });
    let url = server.url("/");
    subject.drive(|client| async move {
        // On a busy machine a connection may come back to its pool too late, but not each time.
        for requests in 1..=MOST {
            expect_eq!(client.text(&url).await, "hi");
            if requests - server.connections() == REUSED {
                return;
            }
        }
        differs(
            &format!("{REUSED} requests on a connection that was used before"),
            &(MOST - server.connections()),
            &format!("{MOST} requests one after the other"),
        );
    });
}

/// Two hundred requests are held at the same time, and each gets its own answer.
pub fn required_two_hundred_requests_are_held_at_once(subject: &Subject) {
    const HELD: usize = 200;
    /// The descriptors of several transports' tests must not sum up.
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
        connection.answer(request.target());
    });
    let urls: Vec<_> = (0..HELD).map(|n| server.url(&format!("/{n}"))).collect();
    let answers = subject.drive(|client| async move {
        let requests = urls.iter().map(|url| client.text(url));
        join_all(requests).await
    });
    for (n, answer) in answers.into_iter().enumerate() {
        expect_eq!(answer, format!("/{n}"));
    }
}
