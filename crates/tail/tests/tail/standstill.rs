//! A program that stands still: it is stopped, or nobody reads what it writes.

use std::fs;
use std::time::{Duration, Instant};

use box_longpoll_testkit::{EmulatorServer, Fault, Settings};
use rstest::rstest;

use crate::program::{PATIENCE, TOKEN, Tail};

/// Within this every event has to be there, once the program may go on.
const SOON: Duration = Duration::from_secs(5);

/// Longer than the program takes to ask once more, if it does.
const A_WHILE: Duration = Duration::from_secs(1);

/// What becomes of the held poll while the program is stopped.
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
fn x08_a_program_that_was_stopped_for_longer_than_a_poll_gets_everything_soon(
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
    assert_asks_nothing(&server);

    tail.signal("CONT");
    let took = time_to_read(&mut tail, 700);
    println!("{backend}: {took:?}");
    assert!(took < SOON, "{took:?}");
    assert_eq!(tail.kill().ids(), server.event_ids(TOKEN));
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest("reqwest"))]
#[cfg_attr(feature = "surf", case::surf("surf"))]
#[cfg_attr(feature = "isahc", case::isahc("isahc"))]
fn x05_while_nobody_reads_the_program_holds_one_page_and_asks_for_nothing(#[case] backend: &str) {
    const EVENTS: usize = 8_000;
    let server = EmulatorServer::start();
    let padding = "x".repeat(8_000);
    let events = (0..EVENTS).map(|n| format!(r#"{{"event_id":"{n}","padding":"{padding}"}}"#));
    server.append_json(TOKEN, events);
    let arguments = ["--json", "--from", "oldest", "--backend", backend];
    let tail = Tail::unread(&server, &arguments);
    assert!(server.wait_until(PATIENCE, |emulator| emulator.counters().events_served > 0));
    assert_asks_nothing(&server);
    assert_eq!(server.counters().events_served, 500);

    let most = most_memory(&tail);
    println!("{backend}: {most} kB");
    assert!(most < MOST_MEMORY, "{most} kB");

    // It goes on as soon as somebody reads.
    let mut tail = tail.read();
    tail.read_events(1_000);
    let came = tail.kill().ids();
    assert_eq!(came, server.event_ids(TOKEN)[..came.len()]);
}

/// In kB. A page is 4 MB, all those events are 64 MB.
const MOST_MEMORY: u64 = 48_000;

#[track_caller]
#[expect(clippy::disallowed_methods, reason = "the time is what is tested")]
fn time_to_read(tail: &mut Tail, events: usize) -> Duration {
    let begun = Instant::now();
    tail.read_events(events);
    begun.elapsed()
}

#[track_caller]
fn assert_asks_nothing(server: &EmulatorServer) {
    let asked = server.counters().total.requests;
    let asks = server.wait_until(A_WHILE, |emulator| {
        emulator.counters().total.requests > asked
    });
    assert!(!asks, "{:?}", server.requests().last());
}

/// The most that the program ever had in memory, in kB.
#[track_caller]
fn most_memory(tail: &Tail) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", tail.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kilobytes.unwrap().trim().parse().unwrap()
}
