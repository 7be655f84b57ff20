//! Pages that cannot be read, are too large, or do not arrive in time.

use std::time::Duration;

use box_longpoll::transport::TransportErrorKind;
use box_longpoll::{ErrorKind, Status};

use crate::script::{Script, body, failed, page, signal, status, status_with};

/// A complete page whose only event is not JSON.
const UNREADABLE: &str = "{\"entries\":[{\"name\":\u{1b}[31m}]}";

/// A page that something on the way cut off.
const CUT: &str = r#"{"entries":[{"event_id":"a"},{"ev"#;

#[test]
fn limit_is_halved_when_a_page_cannot_be_read_twice() {
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
    // Once pages are readable again, the limit doubles after eight full pages.
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
fn limit_is_halved_when_a_page_is_too_large() {
    let mut script = Script::start("100");
    script
        .expect_fetch("100")
        .reply(failed(TransportErrorKind::BodyTooLarge));
    script.expect_fetch("100").assert_limit(250);
    script.assert_waited(0.05, 0.25);
}

#[test]
fn single_unreadable_event_stops_the_stream_before_it() {
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
fn unreadable_page_does_not_delay_the_stream_by_its_header() {
    let mut script = Script::start("100");
    for limit in [500, 500, 250, 125] {
        script.expect_fetch("100").assert_limit(limit);
        assert!(script.waited() < Duration::from_secs(60));
        script.reply(status_with(200, &[("retry-after", "3600")], UNREADABLE));
    }
}

#[test]
fn response_that_is_not_boxs_never_stops_the_stream() {
    let mut script = Script::start("100");
    for foreign in ["<html>please log in</html>", "{ error: 'please log in' }"] {
        for _ in 0..30 {
            script.expect_fetch("100").assert_limit(500);
            script.reply(body(foreign));
        }
    }
}

#[test]
fn late_and_cut_pages_get_smaller_and_grow_back() {
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

/// Returns `count` ids for a page.
fn ids(page: usize, count: u32) -> Vec<String> {
    (0..count).map(|id| format!("{page}-{id}")).collect()
}

#[test]
fn limit_of_slow_network_outlasts_the_backlog() {
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
fn page_that_is_cut_for_hours_does_not_stop_the_stream() {
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
fn first_timeout_keeps_the_page_limit() {
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
fn next_backlog_begins_with_full_pages() {
    let mut script = Script::start("100");
    for _ in 0..3 {
        script.expect_fetch("100").reply(body(UNREADABLE));
    }
    script.expect_fetch("100").assert_limit(125);
    script.reply(page("100", &[])).expect_list_or_listen();
    script.reply(signal("new_change"));
    script.expect_fetch("100").assert_limit(500);
    // The limit is reduced at the second failure again.
    script.reply(body(UNREADABLE));
    script.expect_fetch("100").assert_limit(500);
}

#[test]
fn position_of_any_text_is_used() {
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
fn status_has_the_error_when_a_position_is_too_long() {
    let mut script = Script::start("100");
    let long = format!("\"{}\"", "9".repeat(16 * 1024 + 1));
    script.expect_fetch("100").reply(page(&long, &["a"]));
    let error = script.failure();
    assert_eq!(error.kind(), ErrorKind::UnexpectedResponse);
    assert!(error.to_string().contains("16385 bytes"), "{error}");
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
}
