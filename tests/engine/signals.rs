//! What the engine does after each signal.

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
    script.expect_listen("300");
}

#[test]
fn a_new_change_without_events_is_looked_after_at_1_2_and_4_seconds() {
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
fn a_late_event_ends_the_late_looks() {
    let mut script = Script::listening(1);
    script.reply(signal("new_change"));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_fetch("100").reply(page("200", &["late"]));
    script.expect_batch(&["late"]);
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_listen("200");
}

#[test]
fn a_page_that_only_repeats_is_no_news() {
    let mut script = Script::listening(1);
    script.reply(signal("new_change"));
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
    script.expect_fetch("200").reply(page("200", &["a", "a"]));
    script.expect_listen("200");
}

#[test]
fn an_event_without_an_id_is_delivered_each_time_but_keeps_no_drain_going() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(page("200", &["-"]));
    script.expect_batch(&["-"]);
    script.expect_fetch("200").reply(page("200", &["-"]));
    script.expect_batch(&["-"]);
    script.expect_list();
}

#[test]
fn a_server_that_sends_an_unknown_signal_is_asked_again() {
    let mut script = Script::listening(2);
    let host = script.host();
    script.reply(signal("something_new"));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_listen("100");
    assert_eq!(script.host(), host);
}

#[test]
fn an_event_without_an_id_on_a_page_that_moved_is_what_the_signal_told_of() {
    let mut script = Script::listening(1);
    script.reply(signal("new_change"));
    script.expect_fetch("100").reply(page("200", &["-"]));
    script.expect_batch(&["-"]);
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_listen("200").assert_waited(0.0, 0.0);
}
