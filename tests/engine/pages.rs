//! Pages that can't be read.

use std::time::Duration;

use box_longpoll::transport::TransportErrorKind;
use box_longpoll::{ErrorKind, Status};

use crate::script::{Script, body, failed, page, signal, status};

/// A complete page whose one event is no JSON.
const UNREADABLE: &str = "{\"entries\":[{\"name\":\u{1b}[31m}]}";

/// A page that something on the way cut off.
const CUT: &str = r#"{"entries":[{"event_id":"a"},{"ev"#;

#[test]
fn a_page_that_cannot_be_read_twice_is_asked_for_in_halves() {
    let broken = || body(UNREADABLE);
    let mut script = Script::start("100");
    for limit in [500, 500, 250] {
        script.expect_fetch("100");
        script.assert_limit(limit);
        script.reply(broken());
    }
    script.expect_fetch("100").assert_limit(125);
    script.reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
    // What is readable again is asked for in doubles, after a while.
    for n in 200..220 {
        let (from, next) = (n.to_string(), (n + 1).to_string());
        let limit = match n {
            200..=207 => 125,
            208..=215 => 250,
            _ => 500,
        };
        script.expect_fetch(&from).assert_limit(limit);
        let ids = ids(n, limit);
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        script.reply(page(&next, &ids)).expect_batch(&ids);
    }
}

#[test]
fn a_page_that_is_too_large_is_asked_for_in_halves() {
    let mut script = Script::start("100");
    script
        .expect_fetch("100")
        .reply(failed(TransportErrorKind::BodyTooLarge));
    script.expect_fetch("100").assert_limit(250);
    script.assert_waited(0.05, 0.25);
}

#[test]
fn an_event_that_cannot_be_read_even_alone_stops_the_stream_before_it() {
    let mut script = Script::start("100");
    let limits = [500, 500, 250, 125, 62, 31, 15, 7, 3, 1];
    for limit in limits {
        script.expect_fetch("100").assert_limit(limit);
        script.reply(body(UNREADABLE));
    }
    let mut passed = Duration::ZERO;
    while passed < Duration::from_secs(3_600) {
        script.expect_fetch("100").assert_limit(1);
        passed += script.waited();
        script.reply(body(UNREADABLE));
    }
    script
        .expect_stop(ErrorKind::PageUndecodable)
        .assert_position("100");
}

#[test]
fn a_page_that_is_not_boxs_never_stops_the_stream() {
    let mut script = Script::start("100");
    for foreign in ["<html>please log in</html>", "{ error: 'please log in' }"] {
        for _ in 0..30 {
            script.expect_fetch("100").assert_limit(500);
            script.reply(body(foreign));
        }
    }
}

#[test]
fn pages_that_cannot_come_in_time_get_smaller_and_grow_back() {
    for failure in [
        || failed(TransportErrorKind::Timeout),
        || failed(TransportErrorKind::Body),
        || status(504),
        || body(CUT),
    ] {
        let mut script = Script::start("0");
        for limit in [500, 500, 250, 125] {
            script.expect_fetch("0").assert_limit(limit);
            script.reply(failure());
        }
        for n in 0..40 {
            let (from, next) = (n.to_string(), (n + 1).to_string());
            let limit = [62, 124, 248, 496, 500][n / 8];
            script.expect_fetch(&from).assert_limit(limit);
            let ids = ids(n, limit);
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            script.reply(page(&next, &ids)).expect_batch(&ids);
        }
    }
}

/// So many ids of the n-th page.
fn ids(page: usize, count: u32) -> Vec<String> {
    (0..count).map(|id| format!("{page}-{id}")).collect()
}

#[test]
fn a_slow_network_gets_small_pages_after_the_backlog_too() {
    let mut script = Script::start("100");
    for _ in 0..3 {
        script
            .expect_fetch("100")
            .reply(failed(TransportErrorKind::Timeout));
    }
    for _ in 0..20 {
        script.expect_fetch("100").assert_limit(125);
        script.reply(page("100", &[])).expect_list_or_listen();
        script.reply(signal("reconnect"));
    }
}

#[test]
fn a_page_that_is_cut_off_for_hours_stops_nothing() {
    let mut script = Script::start("100");
    for _ in 0..500 {
        script.expect_fetch("100").reply(body(CUT));
    }
    assert!(matches!(script.status(), Status::Retrying { .. }));
    script.expect_fetch("100").assert_limit(1);
    script.reply(page("200", &["a"]));
    script.expect_batch(&["a"]).assert_position("200");
}

#[test]
fn a_page_that_does_not_come_keeps_its_size_the_first_time() {
    let mut script = Script::start("100");
    for _ in 0..10 {
        script
            .expect_fetch("100")
            .reply(failed(TransportErrorKind::Timeout));
        script.expect_fetch("100").assert_limit(500);
        script.reply(page("100", &[])).expect_list_or_listen();
        script.reply(signal("reconnect"));
    }
}

#[test]
fn the_next_backlog_begins_with_full_pages() {
    let mut script = Script::start("100");
    for _ in 0..3 {
        script.expect_fetch("100").reply(body(UNREADABLE));
    }
    script.expect_fetch("100").assert_limit(125);
    script.reply(page("100", &[])).expect_list_or_listen();
    script.reply(signal("new_change"));
    script.expect_fetch("100").assert_limit(500);
    // And it is again the second failure that makes them smaller.
    script.reply(body(UNREADABLE));
    script.expect_fetch("100").assert_limit(500);
}

#[test]
fn a_position_of_any_text_is_gone_to() {
    let long = "9".repeat(16 * 1024);
    for (json, sent) in [
        (format!("\"{long}\""), long.as_str()),
        (r#""a b\u000ac""#.to_owned(), "a+b%0Ac"),
        (r#"" ""#.to_owned(), "+"),
    ] {
        let mut script = Script::start("100");
        script.expect_fetch("100").reply(page(&json, &["a"]));
        script.expect_batch(&["a"]).expect_fetch(sent);
    }
}

#[test]
fn a_position_that_is_too_long_is_an_error_in_the_status() {
    let mut script = Script::start("100");
    let long = format!("\"{}\"", "9".repeat(16 * 1024 + 1));
    script.expect_fetch("100").reply(page(&long, &["a"]));
    let error = script.failure();
    assert_eq!(error.kind(), ErrorKind::UnexpectedAnswer);
    assert!(error.to_string().contains("16385 bytes"), "{error}");
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
}
