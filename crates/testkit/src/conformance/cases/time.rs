//! Answers that take long, and requests that are given up.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::{Either, join, join_all, select};
use http::Method;

use crate::conformance::connection::Connection;
use crate::conformance::expect::{differs, expect_eq};
use crate::conformance::server::{Note, Server};
use crate::conformance::subject::{Client, MAX_BODY, Subject, limited, request, text};

/// Longer than the default timeout of any library that is known: 60 s.
const LONG: Duration = Duration::from_secs(65);

/// As long as Box holds a poll.
const VERY_LONG: Duration = Duration::from_secs(610);

/// An answer may be held for minutes before it begins, and between its headers and its body.
pub fn required_answers_may_be_held_for_minutes(subject: &Subject) {
    let hold = match std::env::var_os("BOX_LONGPOLL_SLOW") {
        Some(slow) if slow != "0" => VERY_LONG,
        _ => LONG,
    };
    subject.may_take(hold + Duration::from_secs(60));
    let server = Server::start(subject, move |connection| {
        let Some(request) = connection.read_request() else {
            return;
        };
        if request.target() == "/before-headers" {
            pause(hold);
            connection.answer("hi");
        } else {
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
            pause(hold);
            connection.write("hi");
        }
    });
    let urls = ["/before-headers", "/before-body"].map(|target| server.url(target));
    let bodies = subject
        .drive(|client| async move { join_all(urls.iter().map(|url| client.text(url))).await });
    expect_eq!(bodies, ["hi", "hi"]);
}

/// An answer that comes slowly is waited for.
pub fn required_a_slow_answer_is_whole(subject: &Subject) {
    let server = Server::start(subject, |connection| {
        connection.read_request();
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi, there".chunks(4) {
            connection.write(byte);
            pause(Duration::from_millis(200));
        }
    });
    let answer = subject
        .get(&server.url("/"))
        .expect("expected a response, got the error");
    expect_eq!(text(&answer), "hi, there");
}

/// The pace of a server is what these cases are about.
#[expect(clippy::disallowed_methods, reason = "a script takes its time")]
pub(super) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// Where a server begins an answer and says no more.
const SILENCES: [&str; 3] = [
    "",
    "HTTP/1.1 200 OK\r\nContent-Len",
    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi",
];

/// While a server is silent, in whatever part of its answer, the transport's timer goes on: a request can be given up.
pub fn required_silence_does_not_stop_the_timer(subject: &Subject) {
    for begun in SILENCES {
        let server = Server::start(subject, move |connection| {
            connection.read_request();
            connection.write(begun);
            connection.read_request();
        });
        let url = server.url("/");
        subject.drive(|client| async move {
            let asked = Box::pin(client.get(&url));
            let slept = Box::pin(client.sleep(Duration::from_millis(300)));
            if let Either::Left((answer, _)) = select(asked, slept).await {
                differs("no response", &answer, &format!("silence after {begun:?}"));
            }
        });
    }
}

/// TCP asks after a minute of silence, or earlier, whether the other end is there: a dead network is noticed while an
/// answer is awaited.
///
/// Only Linux tells: elsewhere the case is left out.
pub fn optional_a_silent_connection_is_probed(subject: &Subject) {
    if !cfg!(target_os = "linux") {
        Subject::is_not_shown("only Linux tells");
    }
    let server = Server::start(subject, |connection| {
        connection.read_request();
        // A client may turn it on a moment after it has connected, and the moment is long on a busy machine.
        let probed = (0..300).any(|_| {
            pause(Duration::from_millis(100));
            connection.client_will_probe(Duration::from_secs(60))
        });
        connection.answer(if probed { "probed" } else { "not probed" });
    });
    let answer = subject
        .get(&server.url("/"))
        .expect("expected a response, got the error");
    expect_eq!(text(&answer), "probed");
}

/// A request that was dropped is over when its [`timeout`](box_longpoll::transport::TransportRequest::timeout) has passed, at the latest:
/// its connection is closed.
pub fn required_a_dropped_request_ends_with_its_timeout(subject: &Subject) {
    // Longer than it takes to send a request on a busy machine.
    const TIMEOUT: Duration = Duration::from_secs(15);
    connections_close_after_drop(subject, TIMEOUT, TIMEOUT + AT_LAST);
}

/// Dropping the future of a request closes its connection, however long its
/// [`timeout`](box_longpoll::transport::TransportRequest::timeout) is.
pub fn optional_dropping_a_request_closes_its_connection_at_once(subject: &Subject) {
    const TIMEOUT: Duration = Duration::from_secs(3_600);
    connections_close_after_drop(subject, TIMEOUT, AT_LAST);
}

/// How long a connection may stay open that is to be closed: a busy machine takes a moment, and one that leaks takes for ever.
const AT_LAST: Duration = Duration::from_secs(30);

/// Drops requests to which the response has begun, and asserts that their connections are closed within this time.
#[track_caller]
fn connections_close_after_drop(subject: &Subject, timeout: Duration, within: Duration) {
    subject.may_take(within + Duration::from_secs(60));
    let servers = SILENCES.map(|begun| {
        Server::start(subject, move |connection: &mut Connection| {
            connection.read_request();
            connection.write(begun);
            connection.note(Note::Done);
            connection.note_end(within);
        })
    });
    let ends = subject.drive(|client| async move {
        join_all(servers.map(|server| end_after_drop(&client, server, timeout))).await
    });
    for (end, begun) in ends.into_iter().zip(SILENCES) {
        let situation = format!("{within:?} after a request was dropped, and {begun:?} had come");
        expect_eq!(end, Note::Closed, "{situation}");
    }
}

/// Drops a request when the server has begun its response, and tells what becomes of its connection.
async fn end_after_drop(client: &Client, mut server: Server, timeout: Duration) -> Note {
    let url = server.url("/");
    let asked = client.send(limited(Method::GET, &url, Bytes::new(), timeout, MAX_BODY));
    let written = Box::pin(server.note());
    if let Either::Left((answer, _)) = select(Box::pin(asked), written).await {
        differs("no response", &answer, "the server waits");
    }
    server.note().await
}

/// A request is sent before anything else is awaited, and its connection's failure is noticed while other work is done.
pub fn required_a_sleep_and_a_request_go_on_together(subject: &Subject) {
    let server = Server::start(subject, |connection| {
        connection.read_request();
        connection.answer("hi");
    });
    let url = server.url("/");
    subject.drive(|client| async move {
        let asked = Box::pin(client.send(request(Method::GET, &url, "")));
        let slept = Box::pin(client.sleep(Duration::from_secs(30)));
        match select(asked, slept).await {
            Either::Left((answer, _)) => {
                let answer = answer.expect("expected a response, got the error");
                expect_eq!(text(&answer), "hi");
            }
            Either::Right(_) => differs(
                "a response",
                "none",
                "a sleep of 30 s that began with the request is over",
            ),
        }
    });
}

/// A sleep is never early, by the operating system's clock and by the transport's own, and several sleeps end.
#[expect(clippy::disallowed_methods, reason = "the clock is the judge")]
pub fn required_a_sleep_is_never_early(subject: &Subject) {
    let millis = [0, 1, 10, 99, 500, 1_100];
    subject.drive(|client| async move {
        join_all(millis.map(|millis| {
            let client = client.clone();
            async move {
                let duration = Duration::from_millis(millis);
                let (system, own) = (Instant::now(), client.0.now().monotonic);
                client.sleep(duration).await;
                is_not_early(system.elapsed(), duration, "the operating system's");
                let slept = client.0.now().monotonic.saturating_duration_since(own);
                is_not_early(slept, duration, "the transport's");
            }
        }))
        .await;
    });
}

#[track_caller]
fn is_not_early(slept: Duration, duration: Duration, clock: &str) {
    if slept < duration {
        let expected = format!("a sleep of at least {duration:?}");
        differs(&expected, &slept, &format!("by {clock} clock"));
    }
}

/// A sleep that is dropped is no trouble, nor is a very long one.
pub fn required_a_sleep_can_be_given_up(subject: &Subject) {
    subject.drive(|client| async move {
        for duration in [Duration::from_secs(86_400), Duration::MAX] {
            let long = Box::pin(client.0.sleep(duration));
            let short = Box::pin(client.sleep(Duration::from_millis(5)));
            if let Either::Left((slept, _)) = select(long, short).await {
                differs("a sleep that goes on", &slept, &format!("of {duration:?}"));
            }
        }
        join(client.sleep(Duration::ZERO), client.sleep(Duration::ZERO)).await;
    });
}
