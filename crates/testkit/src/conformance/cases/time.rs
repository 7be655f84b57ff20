//! Slow responses, dropped requests, and sleeps.
//!
//! Box holds a poll for minutes, and the client limits the time of a request with a sleep of the
//! transport. So a transport needs correct sleeps and no timeout of its own. Dropped connections
//! that get reused are tested in `connection.rs`.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::{Either, join, join_all, select};
use http::Method;

use crate::conformance::connection::Connection;
use crate::conformance::driver::{Client, MAX_BODY, Subject, limited, request, text};
use crate::conformance::expect::{differs, expect_eq};
use crate::conformance::server::{Note, Server};

/// The time for which a response is held: 65 s, because no known library has a default timeout
/// above 60 s.
const LONG: Duration = Duration::from_secs(65);

/// The time for which a response is held if `BOX_LONGPOLL_SLOW` is set: 610 s, as long as Box holds
/// a poll.
const VERY_LONG: Duration = Duration::from_secs(610);

/// A response may be held for minutes, both before its headers and before its body.
pub fn required_responses_may_be_held_for_minutes(subject: &Subject) {
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
            connection.respond("hi");
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

/// A transport waits for a response that arrives slowly.
pub fn required_a_slow_response_is_complete(subject: &Subject) {
    let server = Server::start(subject, |connection| {
        connection.read_request();
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi, there".chunks(4) {
            connection.write(byte);
            pause(Duration::from_millis(200));
        }
    });
    let response = subject
        .get(&server.url("/"))
        .expect("expected a response, got the error");
    expect_eq!(text(&response), "hi, there");
}

/// Blocks the thread of a server's script.
#[expect(
    clippy::disallowed_methods,
    reason = "these cases test the pace of a server"
)]
pub(super) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// The beginnings of a response after which a server falls silent.
const SILENCES: [&str; 3] = [
    "",
    "HTTP/1.1 200 OK\r\nContent-Len",
    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi",
];

/// While a server is silent in any part of its response, the transport's timer still fires, so the
/// client can drop the request.
pub fn required_silence_does_not_stop_the_timer(subject: &Subject) {
    for begun in SILENCES {
        let server = Server::start(subject, move |connection| {
            connection.read_request();
            connection.write(begun);
            connection.read_request();
        });
        let url = server.url("/");
        subject.drive(|client| async move {
            let sending = Box::pin(client.get(&url));
            let slept = Box::pin(client.sleep(Duration::from_millis(300)));
            if let Either::Left((response, _)) = select(sending, slept).await {
                differs(
                    "no response",
                    &response,
                    &format!("silence after {begun:?}"),
                );
            }
        });
    }
}

/// TCP keep-alive probes a silent connection after a minute or earlier, so a dead network is
/// noticed while a response is awaited.
///
/// Only Linux shows the timer. On other systems the case is not tested.
pub fn optional_a_silent_connection_is_probed(subject: &Subject) {
    if !cfg!(target_os = "linux") {
        Subject::is_not_shown("only Linux shows the keep-alive timer");
    }
    let server = Server::start(subject, |connection| {
        connection.read_request();
        // A client may enable keep-alive only after it has connected, and on a busy machine this
        // takes time: wait up to 30 s.
        let probed = (0..300).any(|_| {
            pause(Duration::from_millis(100));
            connection.client_will_probe(Duration::from_secs(60))
        });
        connection.respond(if probed { "probed" } else { "not probed" });
    });
    let response = subject
        .get(&server.url("/"))
        .expect("expected a response, got the error");
    expect_eq!(text(&response), "probed");
}

/// The connection of a dropped request is closed when the
/// [`timeout`](box_longpoll::transport::TransportRequest::timeout) of the request has passed, or
/// earlier.
pub fn required_a_dropped_request_ends_with_its_timeout(subject: &Subject) {
    // The timeout is longer than a busy machine needs to send a request.
    const TIMEOUT: Duration = Duration::from_secs(15);
    connections_close_after_drop(subject, TIMEOUT, TIMEOUT + AT_LAST);
}

/// If the future of a request is dropped, its connection is closed at once, even if the request has
/// a long [`timeout`](box_longpoll::transport::TransportRequest::timeout).
pub fn optional_dropping_a_request_closes_its_connection_at_once(subject: &Subject) {
    const TIMEOUT: Duration = Duration::from_secs(3_600);
    connections_close_after_drop(subject, TIMEOUT, AT_LAST);
}

/// The time that a transport has to close a connection: 30 s. A busy machine takes a moment, and a
/// leaked connection stays open forever.
const AT_LAST: Duration = Duration::from_secs(30);

/// Drops requests whose response has begun, and asserts that their connections are closed within
/// this time.
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
        let situation =
            format!("{within:?} after a request was dropped, and {begun:?} had arrived");
        expect_eq!(end, Note::Closed, "{situation}");
    }
}

/// Drops a request after the server has begun its response, and returns the server's note of how
/// its connection ended.
async fn end_after_drop(client: &Client, mut server: Server, timeout: Duration) -> Note {
    let url = server.url("/");
    let sending = client.send(limited(Method::GET, &url, Bytes::new(), timeout, MAX_BODY));
    let written = Box::pin(server.note());
    if let Either::Left((response, _)) = select(Box::pin(sending), written).await {
        differs("no response", &response, "the server waits");
    }
    server.note().await
}

/// A request makes progress while a sleep is awaited together with it: it is sent at once, and its
/// response or failure is noticed before the sleep ends.
pub fn required_a_sleep_and_a_request_go_on_together(subject: &Subject) {
    let server = Server::start(subject, |connection| {
        connection.read_request();
        connection.respond("hi");
    });
    let url = server.url("/");
    subject.drive(|client| async move {
        let sending = Box::pin(client.send(request(Method::GET, &url, "")));
        let slept = Box::pin(client.sleep(Duration::from_secs(30)));
        match select(sending, slept).await {
            Either::Left((response, _)) => {
                let response = response.expect("expected a response, got the error");
                expect_eq!(text(&response), "hi");
            }
            Either::Right(_) => differs(
                "a response",
                "none",
                "a sleep of 30 s that began with the request has ended",
            ),
        }
    });
}

/// A sleep never ends early, by the operating system's clock or by the transport's own, and several
/// sleeps can run together.
#[expect(clippy::disallowed_methods, reason = "the case tests clocks")]
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

/// A sleep can be dropped, and can be as long as a `Duration` allows.
pub fn required_a_sleep_can_be_given_up(subject: &Subject) {
    subject.drive(|client| async move {
        for duration in [Duration::from_secs(86_400), Duration::MAX] {
            let long = Box::pin(client.0.sleep(duration));
            let short = Box::pin(client.sleep(Duration::from_millis(5)));
            if let Either::Left((slept, _)) = select(long, short).await {
                differs(
                    "the sleep continues",
                    &slept,
                    &format!("a sleep of {duration:?}"),
                );
            }
        }
        join(client.sleep(Duration::ZERO), client.sleep(Duration::ZERO)).await;
    });
}
