//! Events that appear after their signal, and probes for servers that honor the position of a poll.

use std::time::Duration;

use box_longpoll::protocol::{Call, Response};
use box_longpoll::transport::TransportErrorKind;
use rstest::rstest;

use crate::script::{Script, failed, page, server_list, signal};

/// Returns an engine that listens at position 100, and has not probed any server.
fn listening() -> Script {
    let mut script = Script::unsure_of_positions("100");
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(server_list(1));
    script.expect_listen("100");
    script
}

/// Returns an engine that has read a signaled event, and probes the server with the position before
/// it.
fn probing() -> Script {
    let mut script = listening();
    script.reply(signal("new_change"));
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_any().assert_polls_at("100");
    assert_eq!(script.sent().timeout(), Duration::from_secs(5));
    script
}

#[test]
fn server_that_responds_to_two_probes_honors_positions() {
    let mut script = probing();
    script.reply(signal("new_change"));
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_any().assert_polls_at("100");
    assert!(!script.positions_are_honored(), "one may be chance");
    script.reply(signal("new_change"));
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_any().assert_polls_at("200");
    assert!(script.positions_are_honored());
    assert_eq!(script.sent().timeout(), Duration::from_secs(615));
    // The server signals late events, so nothing is checked after this signal.
    script.pass(Duration::from_secs(10));
    script.reply(signal("new_change"));
    script.expect_fetch("200").reply(page("300", &["b"]));
    script.expect_batch(&["b"]);
    script.expect_fetch("300").reply(page("300", &[]));
    script.expect_any().assert_polls_at("300");
    script.assert_waited(0.0, 0.0);
    assert_eq!(script.sent().timeout(), Duration::from_secs(615));
}

#[rstest]
#[case::reconnect(signal("reconnect"))]
#[case::timeout(failed(TransportErrorKind::Timeout))]
fn missed_signal_starts_another_probe(#[case] end: Response) {
    let mut script = Script::listening(1);
    assert!(script.positions_are_honored());
    script.reply(end);
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_list().reply(server_list(1));
    assert!(!script.positions_are_honored());
    script.expect_any().reply(signal("new_change"));
    script.expect_fetch("200").reply(page("300", &["b"]));
    script.expect_batch(&["b"]);
    script.expect_fetch("300").reply(page("300", &[]));
    script.expect_any().assert_polls_at("200");
}

#[test]
fn probe_is_inconclusive_when_new_events_follow() {
    let mut script = probing();
    script.reply(signal("new_change"));
    script.expect_fetch("200").reply(page("300", &["b"]));
    script.expect_batch(&["b"]);
    script.expect_fetch("300").reply(page("300", &[]));
    script.expect_any().assert_polls_at("200");
    // This is the first probe that counts.
    script.reply(signal("new_change"));
    script.expect_fetch("300").reply(page("300", &[]));
    assert!(!script.positions_are_honored());
}

#[test]
fn server_that_ignores_positions_gets_late_checks() {
    let mut script = probing();
    script
        .pass(Duration::from_secs(5))
        .reply(failed(TransportErrorKind::Timeout));
    // Five seconds after the signal, the checks at 1, 2 and 4 s are past.
    script.expect_fetch("200").reply(page("200", &[]));
    // The others are made beside the next poll, which is held meanwhile.
    script.expect_poll("200");
    assert_eq!(script.sent().timeout(), Duration::from_secs(615));
    for wait in [3.0, 8.0, 16.0] {
        script.expect_fetch("200").assert_waited(wait, wait);
        script.reply(page("200", &[]));
    }
    // The last check finds an event.
    script.expect_fetch("200").assert_waited(32.0, 32.0);
    script.reply(page("300", &["late"]));
    script.expect_batch(&["late"]);
    script.expect_fetch("300").reply(page("300", &[]));
    script.expect_idle();
    assert!(!script.positions_are_honored());
}

#[test]
fn late_checks_continue_when_the_first_page_had_events() {
    let mut script = probing();
    script
        .pass(Duration::from_secs(5))
        .reply(failed(TransportErrorKind::Timeout));
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_any().reply(signal("new_change"));
    script.expect_fetch("200").reply(page("300", &["b"]));
    script.expect_batch(&["b"]);
    script.expect_fetch("300").reply(page("300", &[]));
    script.expect_poll("300");
    for wait in [1.0, 1.0, 2.0, 4.0] {
        script.expect_fetch("300").assert_waited(wait, wait);
        script.reply(page("300", &[]));
    }
}

#[test]
fn late_check_finds_an_event_8_s_after_its_signal() {
    let mut script = listening();
    script.reply(signal("new_change"));
    script.expect_fetch("100").reply(page("100", &[]));
    for wait in [1.0, 1.0, 2.0] {
        script.expect_fetch("100").assert_waited(wait, wait);
        script.reply(page("100", &[]));
    }
    script.expect_poll("100");
    script.expect_fetch("100").assert_waited(4.0, 4.0);
    script.reply(page("200", &["a"])).expect_batch(&["a"]);
}

#[test]
fn new_signal_restarts_the_late_checks() {
    let mut script = listening();
    for _ in 0..3 {
        script.reply(signal("new_change"));
        script.expect_fetch("100").reply(page("100", &[]));
        script.expect_fetch("100").assert_waited(1.0, 1.0);
        script.reply(page("100", &[]));
        script.expect_fetch("100").assert_waited(1.0, 1.0);
        script.reply(page("100", &[]));
        script.expect_fetch("100").assert_waited(2.0, 2.0);
        script.reply(page("100", &[]));
        script.expect_any().assert_polls_at("100");
    }
}

#[test]
fn probe_is_repeated_when_it_ends_without_a_result() {
    let mut script = probing();
    script.reply(signal("reconnect"));
    script.expect_fetch("200").reply(page("300", &["b"]));
    script.expect_batch(&["b"]);
    script.expect_fetch("300").reply(page("300", &[]));
    script.expect_list().reply(server_list(1));
    script.expect_poll("200");
}

#[test]
fn probe_is_inconclusive_when_the_signal_comes_late() {
    let mut script = probing();
    script
        .pass(Duration::from_secs(2))
        .reply(signal("new_change"));
    script.expect_fetch("200").reply(page("200", &[]));
    // The next poll waits for a check, and is no probe.
    script.expect_no_call(Call::Listen);
    script.expect_fetch("200").assert_waited(1.0, 2.0);
    assert!(!script.positions_are_honored());
}

#[test]
fn late_check_keeps_its_time_when_a_page_is_slow() {
    let mut script = probing();
    script
        .pass(Duration::from_secs(5))
        .reply(failed(TransportErrorKind::Timeout));
    script
        .expect_fetch("200")
        .pass(Duration::from_millis(2_950));
    script.reply(page("200", &[]));
    script.expect_fetch("200").assert_waited(0.05, 0.05);
}
