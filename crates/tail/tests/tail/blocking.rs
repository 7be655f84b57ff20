//! What the blocking client could spoil.

use box_longpoll_testkit::{EmulatorServer, Endpoint, Fault};

use crate::program::{PATIENCE, TOKEN, Tail};

#[cfg(unix)]
#[test]
fn ctrl_c_says_where_to_resume() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 3);
    let mut tail = Tail::of(&server, &["--blocking", "--from", "oldest"]);
    tail.read_events(3);
    tail.wait_for_report(|line| line == "listening");
    let ended = tail.interrupt();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    let newest = server.emulator().newest_position(TOKEN);
    let last = ended.reports.last().unwrap();
    assert_eq!(*last, format!("resume with --from {newest}"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_while_it_waits_for_an_answer() {
    let server = EmulatorServer::start();
    server.queue_fault(Endpoint::Events, Fault::Silence, 1);
    let tail = Tail::of(&server, &["--blocking"]);
    assert!(server.wait_until(PATIENCE, |emulator| emulator.requests().next().is_some()));
    assert_eq!(tail.interrupt().code, Some(130));
}

#[test]
fn a_rejected_token_ends_it() {
    let server = EmulatorServer::start();
    server.revoke(TOKEN);
    let ended = Tail::of(&server, &["--blocking"]).end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.reports[0].contains("get a new one"), "{ended:?}");
}

#[test]
fn its_own_fake_box_needs_nothing_to_set_up() {
    let ended = Tail::start(&["--blocking", "--count", "3"]).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.events.len(), 3);
}
