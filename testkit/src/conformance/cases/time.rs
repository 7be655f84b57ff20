//! Answers that take long, and requests that are given up.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::{Either, join, join_all, select};
use http::Method;

use crate::conformance::connection::Connection;
use crate::conformance::server::{Note, Server};
use crate::conformance::subject::{MAX_BODY, Subject, limited, request, text};

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
    let server = Server::start(move |connection| {
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
    assert_eq!(bodies, ["hi", "hi"]);
}

/// An answer that comes slowly is waited for.
pub fn required_a_slow_answer_is_whole(subject: &Subject) {
    let server = Server::start(|connection| {
        connection.read_request();
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi, there".chunks(4) {
            connection.write(byte);
            pause(Duration::from_millis(200));
        }
    });
    let answer = subject.get(&server.url("/")).expect("an answer");
    assert_eq!(text(&answer), "hi, there");
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
        let server = Server::start(move |connection| {
            connection.read_request();
            connection.write(begun);
            connection.read_request();
        });
        let url = server.url("/");
        subject.drive(|client| async move {
            let asked = Box::pin(client.get(&url));
            let slept = Box::pin(client.sleep(Duration::from_millis(300)));
            if let Either::Left((answer, _)) = select(asked, slept).await {
                panic!("an answer of {begun:?}: {answer:?}");
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
    let server = Server::start(|connection| {
        connection.read_request();
        let probed = (0..100).any(|_| {
            pause(Duration::from_millis(20));
            connection.client_will_probe(Duration::from_secs(60))
        });
        connection.answer(if probed { "probed" } else { "not probed" });
    });
    let answer = subject.get(&server.url("/")).expect("an answer");
    assert_eq!(text(&answer), "probed");
}

/// A request that was given up is over when its [`timeout`](box_longpoll::TransportRequest::timeout) has passed, at the
/// latest: its connection is closed.
pub fn required_a_dropped_request_ends_with_its_timeout(subject: &Subject) {
    const TIMEOUT: Duration = Duration::from_secs(2);
    for begun in SILENCES {
        let within = TIMEOUT + Duration::from_secs(5);
        assert_eq!(
            end_after_drop(subject, begun, TIMEOUT, within),
            Note::Closed,
            "after {begun:?}"
        );
    }
}

/// Dropping the future of a request closes its connection within a second.
pub fn optional_dropping_a_request_closes_its_connection_at_once(subject: &Subject) {
    for begun in SILENCES {
        let end = end_after_drop(
            subject,
            begun,
            Duration::from_secs(60),
            Duration::from_secs(1),
        );
        assert_eq!(end, Note::Closed, "after {begun:?}");
    }
}

/// Gives a request up that was begun to be answered, and tells what becomes of its connection.
#[track_caller]
fn end_after_drop(
    subject: &Subject,
    begun: &'static str,
    timeout: Duration,
    within: Duration,
) -> Note {
    let mut server = Server::start(move |connection: &mut Connection| {
        connection.read_request();
        connection.write(begun);
        connection.note(Note::Done);
        connection.note_end(within);
    });
    let url = server.url("/");
    subject.drive(|client| async move {
        let asked = client.send(limited(Method::GET, &url, Bytes::new(), timeout, MAX_BODY));
        let written = Box::pin(server.note());
        if let Either::Left((answer, _)) = select(Box::pin(asked), written).await {
            panic!("an answer of {begun:?}: {answer:?}");
        }
        server.note().await
    })
}

/// A request is sent before anything else is awaited, and its connection's failure is noticed while other work is done.
pub fn required_a_sleep_and_a_request_go_on_together(subject: &Subject) {
    let server = Server::start(|connection| {
        connection.read_request();
        connection.answer("hi");
    });
    let url = server.url("/");
    subject.drive(|client| async move {
        let asked = Box::pin(client.send(request(Method::GET, &url, "")));
        let slept = Box::pin(client.sleep(Duration::from_secs(30)));
        match select(asked, slept).await {
            Either::Left((answer, _)) => assert_eq!(text(&answer.expect("an answer")), "hi"),
            Either::Right(_) => panic!("the answer waits for the sleep"),
        }
    });
}

/// A sleep is never early, by the operating system's clock and by the transport's own, and sleeps go on side by side.
#[expect(clippy::disallowed_methods, reason = "the clock is the judge")]
pub fn required_a_sleep_is_never_early(subject: &Subject) {
    let millis = [0, 1, 10, 99, 500, 1_100];
    subject.drive(|client| async move {
        let began = Instant::now();
        join_all(millis.map(|millis| {
            let client = client.clone();
            async move {
                let duration = Duration::from_millis(millis);
                let (system, own) = (Instant::now(), client.0.now().monotonic);
                client.sleep(duration).await;
                assert!(system.elapsed() >= duration, "{millis} ms");
                let slept = client.0.now().monotonic.saturating_duration_since(own);
                assert!(slept >= duration, "{millis} ms by the transport's clock");
            }
        }))
        .await;
        let took = began.elapsed();
        assert!(took < Duration::from_secs(30), "sleeping took {took:?}");
    });
}

/// A sleep that is dropped is no trouble, nor is a very long one.
pub fn required_a_sleep_can_be_given_up(subject: &Subject) {
    subject.drive(|client| async move {
        for duration in [Duration::from_secs(86_400), Duration::MAX] {
            let long = Box::pin(client.0.sleep(duration));
            let short = Box::pin(client.sleep(Duration::from_millis(5)));
            if let Either::Left((slept, _)) = select(long, short).await {
                panic!("{duration:?} are over: {slept:?}");
            }
        }
        join(client.sleep(Duration::ZERO), client.sleep(Duration::ZERO)).await;
    });
}
