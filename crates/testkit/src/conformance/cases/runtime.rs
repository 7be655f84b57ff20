//! The executors under which a transport is called, and the CPU time that it uses.
//!
//! An application may run on tokio, on another runtime, or on a mixture of both. These cases do not
//! test how fast a transport is.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use box_longpoll::transport::TransportErrorKind;
use futures_util::future::{Either, join_all, select};

use crate::conformance::driver::{Client, Subject, drive, text};
use crate::conformance::executors::{BLOCKING_EXECUTORS, EXECUTORS, Executor, LIMIT};
use crate::conformance::expect::{differs, expect_eq};
use crate::conformance::server::{Note, Server};

/// Under tokio, smol, a bare `block_on`, and one inside the other, a transport returns the right
/// response or [`TransportErrorKind::Runtime`]. It never panics and never hangs.
pub fn required_works_anywhere_or_says_where_not(subject: &Subject) {
    for executor in &EXECUTORS {
        works_or_says_so(subject, executor);
    }
}

/// If the only thread of a tokio runtime is blocked, a transport returns the right response or
/// [`TransportErrorKind::Runtime`]. A transport that depends on tokio can't detect this, and waits
/// forever.
pub fn optional_works_inside_a_blocked_runtime(subject: &Subject) {
    for executor in &BLOCKING_EXECUTORS {
        works_or_says_so(subject, executor);
    }
}

#[track_caller]
fn works_or_says_so(subject: &Subject, executor: &Executor) {
    let server = Server::responding(subject, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    subject.may_take(LIMIT * 2);
    let (client, url, name) = (Client(subject.transport()), server.url("/"), executor.name);
    executor.run(async move {
        match client.get(&url).await {
            Ok(response) => expect_eq!(text(&response), "hi"),
            Err(error) => expect_eq!(error.kind(), TransportErrorKind::Runtime, "{name}"),
        }
        if let Err(error) = client.0.sleep(Duration::from_millis(10)).await {
            expect_eq!(error.kind(), TransportErrorKind::Runtime, "{name}");
        }
    });
}

/// A transport can be made and dropped under any executor, with a request in flight.
pub fn required_can_be_dropped_anywhere(subject: &Subject) {
    for executor in &EXECUTORS {
        subject.may_take(LIMIT * 2);
        let (mut server, url) = held(subject);
        let (candidate, setup) = (subject.candidate, Arc::clone(&subject.setup));
        executor.run(async move {
            let client = Client(candidate.make(&setup));
            // The transport may be unable to send anything under this executor.
            select(Box::pin(client.get(&url)), Box::pin(server.note())).await;
            drop(client);
        });
    }
}

/// Starts a server that notes each request and never responds. Returns it with a URL.
fn held(subject: &Subject) -> (Server, String) {
    let server = Server::start(subject, |connection| {
        connection.read_request();
        connection.note(Note::Done);
        connection.read_request();
    });
    let url = server.url("/");
    (server, url)
}

/// [`block_on`](box_longpoll::HttpTransport::block_on) drives requests and sleeps of the transport,
/// and returns when the work is done, even if another request is in flight.
pub fn required_block_on_drives_send_and_sleep(subject: &Subject) {
    let responding = Server::responding(subject, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    let (mut holding, held) = held(subject);
    let client = Client(subject.transport());
    let transport = Arc::clone(&client.0);
    drive(&*transport, async {
        client.sleep(Duration::from_millis(10)).await;
        expect_eq!(client.text(&responding.url("/")).await, "hi");
        let sending = Box::pin(client.get(&held));
        if let Either::Left((response, _)) = select(sending, Box::pin(holding.note())).await {
            differs("no response yet", &response, "the server waits");
        }
    });
}

/// Held requests use less than 1% of the time of one CPU. The case measures this on Linux only.
pub fn required_uses_no_cpu_while_a_request_is_held(subject: &Subject) {
    /// The environment variable that is set in the measured process.
    const MEASURED: &str = "BOX_LONGPOLL_CONFORMANCE_MEASURED";
    if !cfg!(target_os = "linux") {
        eprintln!("not measured: the CPU time is read from /proc, which this system lacks");
        return;
    }
    if std::env::var_os(MEASURED).is_some() {
        measure(subject);
        return;
    }
    // Other tests run in this process. So a second process runs this test alone and is measured.
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
        "expected: little CPU time for {} alone\ngot: {stdout}{stderr}",
        subject.test
    );
}

/// The line by which the measured process reports success.
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
            Either::Left((responses, _)) => differs("no responses yet", &responses, "all wait"),
            Either::Right((used, _)) => {
                // The CPU time of this process alone does not grow because others use the
                // processor.
                assert!(used < WATCHED / 100, "{used:?} of CPU time in {WATCHED:?}");
                println!("{WITHIN_LIMIT}: {used:?} in {WATCHED:?}");
            }
        }
    });
}

/// Returns the CPU time that the threads of this process have used.
fn cpu_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("the threads of this process");
    let used = tasks.flatten().filter_map(|task| {
        // A thread may end after the directory was read.
        let stat = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(used.sum())
}
