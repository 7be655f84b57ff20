//! Where a transport is called.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use box_longpoll::transport::TransportErrorKind;
use futures_util::future::{Either, join_all, select};

use crate::conformance::expect::{differs, expect_eq};
use crate::conformance::places::{BLOCKING_PLACES, LIMIT, PLACES, Place};
use crate::conformance::server::{Note, Server};
use crate::conformance::subject::{Client, Subject, drive, text};

/// Under tokio, smol, a bare `block_on`, and one inside the other, a transport gives the right answer, or
/// [`TransportErrorKind::Runtime`]. It never panics and never hangs.
pub fn required_works_anywhere_or_says_where_not(subject: &Subject) {
    for place in &PLACES {
        works_or_says_so(subject, place);
    }
}

/// In a place that blocks the one thread that drives a tokio runtime, a transport gives the right answer, or
/// [`TransportErrorKind::Runtime`]. A transport that belongs to tokio can't tell, and waits for ever.
pub fn optional_works_inside_a_blocked_runtime(subject: &Subject) {
    for place in &BLOCKING_PLACES {
        works_or_says_so(subject, place);
    }
}

#[track_caller]
fn works_or_says_so(subject: &Subject, place: &Place) {
    let server = Server::answering(subject, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    subject.may_take(LIMIT * 2);
    let (client, url, name) = (Client(subject.transport()), server.url("/"), place.name);
    place.run(async move {
        match client.get(&url).await {
            Ok(answer) => expect_eq!(text(&answer), "hi"),
            Err(error) => expect_eq!(error.kind(), TransportErrorKind::Runtime, "{name}"),
        }
        if let Err(error) = client.0.sleep(Duration::from_millis(10)).await {
            expect_eq!(error.kind(), TransportErrorKind::Runtime, "{name}");
        }
    });
}

/// A transport can be made and dropped anywhere, with a request under way.
pub fn required_can_be_dropped_anywhere(subject: &Subject) {
    for place in &PLACES {
        subject.may_take(LIMIT * 2);
        let (mut server, url) = held(subject);
        let (candidate, setup) = (subject.candidate, Arc::clone(&subject.setup));
        place.run(async move {
            let client = Client(candidate.make(&setup));
            // It may be that nothing can be sent here.
            select(Box::pin(client.get(&url)), Box::pin(server.note())).await;
            drop(client);
        });
    }
}

/// A server that notes each request, and never answers.
fn held(subject: &Subject) -> (Server, String) {
    let server = Server::start(subject, |connection| {
        connection.read_request();
        connection.note(Note::Done);
        connection.read_request();
    });
    let url = server.url("/");
    (server, url)
}

/// [`block_on`](box_longpoll::HttpTransport::block_on) drives what the transport needs, and comes back when the work is
/// done, whatever else is under way.
pub fn required_block_on_drives_send_and_sleep(subject: &Subject) {
    let answering = Server::answering(subject, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    let (mut holding, held) = held(subject);
    let client = Client(subject.transport());
    let transport = Arc::clone(&client.0);
    drive(&*transport, async {
        client.sleep(Duration::from_millis(10)).await;
        expect_eq!(client.text(&answering.url("/")).await, "hi");
        let asked = Box::pin(client.get(&held));
        if let Either::Left((answer, _)) = select(asked, Box::pin(holding.note())).await {
            differs("no response yet", &answer, "the server waits");
        }
    });
}

/// Held requests cost no CPU: less than a hundredth of the time. Measured on Linux only.
pub fn required_uses_no_cpu_while_a_request_is_held(subject: &Subject) {
    /// Set in the process that is measured.
    const MEASURED: &str = "BOX_LONGPOLL_CONFORMANCE_MEASURED";
    if !cfg!(target_os = "linux") {
        eprintln!("not measured: CPU time is read from /proc");
        return;
    }
    if std::env::var_os(MEASURED).is_some() {
        measure(subject);
        return;
    }
    // Other tests run in this process. One that runs the test alone is measured instead.
    let program = std::env::current_exe().expect("the test's own program");
    let output = Command::new(program)
        .args(["--exact", subject.test, "--nocapture", "--include-ignored"])
        .env(MEASURED, "1")
        .output()
        .expect("the test's own program runs");
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let measured = output.status.success() && stdout.contains(WITHIN_LIMIT);
    assert!(
        measured,
        "expected: little CPU time, of {} alone\ngot: {stdout}{stderr}",
        subject.test
    );
}

/// Says that the measured process has come to its end.
const WITHIN_LIMIT: &str = "CPU time within the limit";

fn measure(subject: &Subject) {
    const HELD: usize = 10;
    const WATCHED: Duration = Duration::from_secs(4);
    let (mut server, url) = held(subject);
    subject.drive(|client| async move {
        let requests = join_all((0..HELD).map(|_| client.get(&url)));
        let watched = async {
            for _ in 0..HELD {
                server.note().await;
            }
            let before = cpu_time();
            client.sleep(WATCHED).await;
            cpu_time().saturating_sub(before)
        };
        match select(Box::pin(requests), Box::pin(watched)).await {
            Either::Left((answers, _)) => differs("no responses yet", &answers, "all wait"),
            Either::Right((used, _)) => {
                // CPU time, of this process alone: it is not longer because others use the processor.
                assert!(used < WATCHED / 100, "{used:?} of CPU time in {WATCHED:?}");
                println!("{WITHIN_LIMIT}: {used:?} in {WATCHED:?}");
            }
        }
    });
}

/// What this process's threads have used.
fn cpu_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("the threads of this process");
    let used = tasks.flatten().filter_map(|task| {
        // A thread may end in between.
        let stat = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(used.sum())
}
