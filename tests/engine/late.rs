//! Events that come after their signal, and whether the realtime servers honor the position of a poll.

use std::time::Duration;

use box_longpoll::protocol::Response;
use box_longpoll::transport::TransportErrorKind;
use rstest::rstest;

use crate::script::{Script, failed, page, server_list, signal};

/// Knows nothing, and listens at position 100.
fn listening() -> Script {
    let mut script = Script::knowing_nothing("100");
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(server_list(1));
    script.expect_listen("100");
    script
}

/// An event was signalled and read, and the server is asked with the position before it.
fn probing() -> Script {
    let mut script = listening();
    script.reply(signal("new_change"));
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_any().assert_polls_at("100");
    assert_eq!(script.asked().timeout(), Duration::from_secs(5));
    script
}

#[test]
fn a_server_that_responds_to_an_old_position_at_once_honors_positions() {
    let mut script = probing();
    script.reply(signal("new_change"));
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_any().assert_polls_at("100");
    assert!(!script.positions_are_honored(), "one may be chance");
    script.reply(signal("new_change"));
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_any().assert_polls_at("200");
    assert!(script.positions_are_honored());
    assert_eq!(script.asked().timeout(), Duration::from_secs(615));
    // It tells of what is late: nothing is checked after this signal.
    script.pass(Duration::from_secs(10));
    script.reply(signal("new_change"));
    script.expect_fetch("200").reply(page("300", &["b"]));
    script.expect_batch(&["b"]);
    script.expect_fetch("300").reply(page("300", &[]));
    script.expect_any().assert_polls_at("300");
    script.assert_waited(0.0, 0.0);
    assert_eq!(script.asked().timeout(), Duration::from_secs(615));
}

#[rstest]
#[case::reconnect(signal("reconnect"))]
#[case::timeout(failed(TransportErrorKind::Timeout))]
fn a_missed_signal_has_it_found_out_once_more(#[case] end: Response) {
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
fn a_signal_that_told_of_something_new_shows_nothing() {
    let mut script = probing();
    script.reply(signal("new_change"));
    script.expect_fetch("200").reply(page("300", &["b"]));
    script.expect_batch(&["b"]);
    script.expect_fetch("300").reply(page("300", &[]));
    assert!(!script.positions_are_honored());
    script.expect_any().assert_polls_at("200");
}

#[test]
fn after_a_signal_a_server_that_ignores_positions_is_checked_on() {
    let mut script = probing();
    script
        .pass(Duration::from_secs(5))
        .reply(failed(TransportErrorKind::Timeout));
    // Five seconds after the signal: the checks at 1, 2 and 4 s are past.
    script.expect_fetch("200").reply(page("200", &[]));
    for (check, next) in [(8, 16), (16, 32), (32, 64)] {
        script.expect_any().assert_polls_at("200");
        let gap = Duration::from_secs(if check == 8 { 3 } else { check / 2 });
        assert_eq!(script.asked().timeout(), gap, "{check} {next}");
        script.pass(gap).reply(failed(TransportErrorKind::Timeout));
        script.expect_fetch("200").reply(page("200", &[]));
    }
    script.expect_any().assert_polls_at("200");
    let gap = script.asked().timeout();
    script.pass(gap).reply(failed(TransportErrorKind::Timeout));
    // The last check finds an event.
    script.expect_fetch("200").reply(page("300", &["late"]));
    script.expect_batch(&["late"]);
    script.expect_fetch("300").reply(page("300", &[]));
    script.expect_any().assert_polls_at("300");
    assert_eq!(script.asked().timeout(), Duration::from_secs(615));
    assert!(!script.positions_are_honored());
}

#[test]
fn checks_after_a_signal_go_on_though_its_first_page_brought_something() {
    let mut script = probing();
    script
        .pass(Duration::from_secs(5))
        .reply(failed(TransportErrorKind::Timeout));
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_any().reply(signal("new_change"));
    script.expect_fetch("200").reply(page("300", &["b"]));
    script.expect_batch(&["b"]);
    script.expect_fetch("300").reply(page("300", &[]));
    for wait in [1.0, 1.0, 2.0] {
        script.expect_fetch("300").assert_waited(wait, wait);
        script.reply(page("300", &[]));
    }
    script.expect_any().assert_polls_at("300");
    assert_eq!(script.asked().timeout(), Duration::from_secs(4));
}

#[test]
fn an_event_that_shows_long_after_its_signal_is_found_by_a_check() {
    let mut script = listening();
    script.reply(signal("new_change"));
    script.expect_fetch("100").reply(page("100", &[]));
    for wait in [1.0, 1.0, 2.0] {
        script.expect_fetch("100").assert_waited(wait, wait);
        script.reply(page("100", &[]));
    }
    script.expect_any().assert_polls_at("100");
    let gap = Duration::from_secs(4);
    assert_eq!(script.asked().timeout(), gap);
    script.pass(gap).reply(failed(TransportErrorKind::Timeout));
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
}

#[test]
fn a_new_signal_starts_the_checks_over() {
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
fn a_probe_that_fails_shows_nothing_and_is_made_with_the_next_page() {
    let mut script = probing();
    script.reply(signal("reconnect"));
    script.expect_fetch("200").reply(page("300", &["b"]));
    script.expect_batch(&["b"]);
    script.expect_fetch("300").reply(page("300", &[]));
    script.expect_list().reply(server_list(1));
    script.expect_any().assert_polls_at("200");
}

#[test]
fn a_signal_that_comes_seconds_later_shows_nothing() {
    let mut script = probing();
    script
        .pass(Duration::from_secs(2))
        .reply(signal("new_change"));
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_fetch("200");
    assert!(!script.positions_are_honored());
}

#[test]
fn a_check_that_is_due_in_a_moment_is_waited_for() {
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
