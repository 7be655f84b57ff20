//! Tests of `--blocking`: Ctrl-C, errors and the demo work as with the async client.

use box_longpoll_testkit::{EmulatorServer, Endpoint, Fault};

use crate::program::{PATIENCE, TOKEN, Tail};

#[cfg(unix)]
#[test]
fn ctrl_c_prints_the_position_to_resume_at() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 3);
    let mut tail = Tail::of(&server, &["--blocking", "--from", "oldest"]);
    tail.read_events(3);
    tail.wait_for_report(|line| line == "listening");
    let ended = tail.interrupt();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    let newest = server.emulator().newest_position(TOKEN);
    let complete = &ended.reports[ended.reports.len() - 2];
    assert!(complete.starts_with("complete until 20"), "{ended:?}");
    let last = ended.reports.last().unwrap();
    assert_eq!(*last, format!("resume with --from {newest}"));
}

#[cfg(unix)]
#[test]
fn program_ends_on_ctrl_c_while_a_request_is_in_flight() {
    let server = EmulatorServer::start();
    server.queue_fault(Endpoint::Events, Fault::Silence, 1);
    let tail = Tail::of(&server, &["--blocking"]);
    assert!(server.wait_until(PATIENCE, |emulator| emulator.requests().next().is_some()));
    assert_eq!(tail.interrupt().code, Some(130));
}

#[test]
fn program_ends_when_its_token_is_rejected() {
    let server = EmulatorServer::start();
    server.revoke(TOKEN);
    let ended = Tail::of(&server, &["--blocking"]).end();
    assert_eq!(ended.code, Some(77), "{ended:?}");
    assert!(ended.reports[0].contains("get a new one"), "{ended:?}");
}

#[test]
fn demo_runs_without_any_setup() {
    let ended = Tail::start(&["--blocking", "--count", "3"]).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.events.len(), 3);
}
