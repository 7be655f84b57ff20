//! Tests of a program that stands still, because it was stopped or because its output is not read.

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use box_longpoll_testkit::{EmulatorServer, Fault, Settings};
use rstest::rstest;

use crate::program::{PATIENCE, PROGRAM, TOKEN, Tail};

/// The time without a request that proves that the program sends none. It is longer than the
/// program would take to send one.
const QUIET_TIME: Duration = Duration::from_secs(1);

/// The fate of the held poll while the program is stopped.
#[derive(Clone, Copy)]
enum Poll {
    EndsByItself,
    IsReset,
    Signals,
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest("reqwest"))]
#[cfg_attr(feature = "surf", case::surf("surf"))]
#[cfg_attr(feature = "isahc", case::isahc("isahc"))]
fn x08_stopped_program_gets_everything_when_it_continues(
    #[case] backend: &str,
    #[values(Poll::EndsByItself, Poll::IsReset, Poll::Signals)] poll: Poll,
) {
    let mut settings = Settings::default();
    if let Poll::EndsByItself = poll {
        settings.hold_ms = 2_000;
    }
    let server = EmulatorServer::start_with(settings);
    let mut tail = Tail::of(&server, &["--json", "--backend", backend]);
    assert!(server.wait_until(PATIENCE, |emulator| emulator.counters().open_polls == 1));

    tail.signal("STOP");
    match poll {
        Poll::EndsByItself => {
            assert!(server.wait_until(PATIENCE, |emulator| emulator.counters().open_polls == 0));
        }
        Poll::IsReset => assert_eq!(server.interrupt_polls(&Fault::Reset), 1),
        Poll::Signals => {}
    }
    server.append(TOKEN, 700);
    assert_sends_no_request(&server);

    tail.signal("CONT");
    // The wait for the events is shorter than a poll is held.
    tail.read_events(700);
    assert_eq!(tail.kill().ids(), server.event_ids(TOKEN));
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest("reqwest"))]
#[cfg_attr(feature = "surf", case::surf("surf"))]
#[cfg_attr(feature = "isahc", case::isahc("isahc"))]
fn x05_unread_program_reads_one_page_ahead(#[case] backend: &str) {
    const EVENTS: usize = 8_000;
    let server = EmulatorServer::start();
    let padding = "x".repeat(8_000);
    let events = (0..EVENTS).map(|n| format!(r#"{{"event_id":"{n}","padding":"{padding}"}}"#));
    server.append_json(TOKEN, events);
    let arguments = ["--json", "--from", "oldest", "--backend", backend];
    let tail = Tail::unread(&server, &arguments);
    assert!(server.wait_until(PATIENCE, |emulator| emulator.counters().events_served > 0));
    // A full page has more pages after it, so no poll opens meanwhile.
    let exceeds = server.wait_until(QUIET_TIME, |emulator| {
        emulator.counters().total.requests > 2
    });
    assert!(!exceeds, "{:?}", server.requests().last());

    let peak = peak_memory(&tail);
    println!("{backend}: {peak} kB");
    assert!(peak < MAX_MEMORY, "{peak} kB");

    // The program continues as soon as its output is read.
    let mut tail = tail.read();
    tail.read_events(1_000);
    let ids = tail.kill().ids();
    assert_eq!(ids, server.event_ids(TOKEN)[..ids.len()]);
}

/// A pager such as `less` reads a screen of such a pipe, and then waits for its user.
#[rstest]
#[case::interrupted("INT", 130)]
#[case::terminated("TERM", 0)]
fn program_ends_while_events_and_reports_are_unread(#[case] signal: &str, #[case] code: i32) {
    let server = EmulatorServer::start();
    let padding = "x".repeat(8_000);
    let events = (0..500).map(|n| format!(r#"{{"event_id":"{n}","padding":"{padding}"}}"#));
    server.append_json(TOKEN, events);
    let (reader, writer) = io::pipe().unwrap();
    let arguments = ["--json", "--from", "oldest", "--api", server.origin()];
    let mut child = Command::new(PROGRAM)
        .args(arguments)
        .env("BOX_ACCESS_TOKEN", TOKEN)
        .stdin(Stdio::null())
        .stdout(writer.try_clone().unwrap())
        .stderr(writer)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(&reader).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with('{')));

    let id = child.id();
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait().unwrap()));
    let kill = format!("kill -{signal} {id}");
    assert!(
        Command::new("sh")
            .args(["-c", &kill])
            .status()
            .unwrap()
            .success()
    );
    let status = ended.recv_timeout(PATIENCE).expect("the program ends");
    assert_eq!(status.code(), Some(code));
}

/// The memory limit, in kB. Each of two pages has 4 MB, and all events together have 64 MB.
const MAX_MEMORY: u64 = 48_000;

#[track_caller]
fn assert_sends_no_request(server: &EmulatorServer) {
    let before = server.counters().total.requests;
    let sends = server.wait_until(QUIET_TIME, |emulator| {
        emulator.counters().total.requests > before
    });
    assert!(!sends, "{:?}", server.requests().last());
}

/// Returns the peak memory of the program, in kB.
#[track_caller]
fn peak_memory(tail: &Tail) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", tail.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kilobytes.unwrap().trim().parse().unwrap()
}
