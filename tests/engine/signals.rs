//! The engine's behavior after each signal of a realtime server.

use crate::script::{Script, page, signal, status_with};

#[test]
fn a_signal_counts_whatever_its_status() {
    for code in [200, 404, 429, 503] {
        let mut script = Script::listening(1);
        script.reply(status_with(code, &[], r#"{"message":"new_change"}"#));
        script.expect_fetch("100").reply(page("200", &["a"]));
        script.expect_batch(&["a"]);
        script.expect_fetch("200").reply(page("200", &[]));
        script.expect_listen("200").assert_waited(0.0, 0.0);
    }
}

#[test]
fn after_new_change_pages_are_fetched_until_one_brings_nothing() {
    let mut script = Script::listening(1);
    script.reply(signal("new_change"));
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
    script.expect_fetch("200").reply(page("300", &["b"]));
    script.expect_batch(&["b"]);
    script.expect_fetch("300").reply(page("300", &[]));
    // The poll opened beside the fetch that brought the second event.
    script.expect_listen("200").assert_waited(0.0, 0.0);
}

#[test]
fn signal_without_events_is_checked_after_1_2_and_4_s() {
    let mut script = Script::listening(1);
    script.reply(signal("new_change"));
    script.expect_fetch("100").reply(page("100", &[]));
    for seconds in [1.0, 1.0, 2.0] {
        script.expect_fetch("100").assert_waited(seconds, seconds);
        script.reply(page("100", &[]));
    }
    script.expect_listen("100");
}

#[test]
fn late_event_ends_the_late_checks() {
    let mut script = Script::listening(1);
    script.reply(signal("new_change"));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_fetch("100").reply(page("200", &["late"]));
    script.expect_batch(&["late"]);
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_listen("200");
}

#[test]
fn page_of_repeats_ends_the_drain() {
    let mut script = Script::listening(1);
    script.reply(signal("new_change"));
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
    script.expect_fetch("200").reply(page("200", &["a", "a"]));
    script.expect_listen("200");
}

#[test]
fn event_without_an_id_is_delivered_but_ends_the_drain() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(page("200", &["-"]));
    script.expect_batch(&["-"]);
    script.expect_fetch("200").reply(page("200", &["-"]));
    script.expect_batch(&["-"]);
    script.expect_list();
}

#[test]
fn server_that_sends_an_unknown_signal_is_polled_again() {
    let mut script = Script::listening(2);
    let host = script.host();
    script.reply(signal("something_new"));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_listen("100");
    assert_eq!(script.host(), host);
}

#[test]
fn event_without_an_id_counts_when_the_position_moved() {
    let mut script = Script::listening(1);
    script.reply(signal("new_change"));
    script.expect_fetch("100").reply(page("200", &["-"]));
    script.expect_batch(&["-"]);
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_listen("200").assert_waited(0.0, 0.0);
}
