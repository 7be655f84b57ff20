//! The engine on a query for past enterprise events.

use std::time::Duration;

use box_longpoll::enterprise::AdminLogs;
use box_longpoll::transport::TransportErrorKind;
use box_longpoll::{ErrorKind, EventType, StartAt};

use crate::script::{Script, body, failed, page, status};

#[test]
fn query_ends_at_a_page_without_events_or_new_position() {
    for end in ["200", "0", "\"0\"", "null", "\"\""] {
        let mut script = Script::query(AdminLogs::new());
        script.expect_fetch("0").reply(page("200", &["a", "b"]));
        script.expect_batch(&["a", "b"]);
        script.expect_fetch("200").reply(page(end, &[]));
        script.expect_finish().assert_position("200");
    }
}

#[test]
fn range_without_events_ends_with_its_first_page() {
    let mut script = Script::query(AdminLogs::new());
    script
        .expect_fetch("0")
        .reply(page("0", &[]))
        .expect_finish();
}

#[test]
fn query_continues_while_the_position_moves() {
    let mut script = Script::query(AdminLogs::new());
    script.expect_fetch("0").reply(page("100", &["a"]));
    script.expect_batch(&["a"]);
    let mut position = 100;
    for n in 0..130 {
        script.expect_fetch(&position.to_string());
        position += 1;
        let repeats: &[&str] = if n % 2 == 0 { &[] } else { &["a", "a"] };
        script.reply(page(&position.to_string(), repeats));
    }
    script.expect_fetch("230").reply(page("231", &["b"]));
    script.expect_batch(&["b"]);
    script.expect_fetch("231").reply(page("231", &["a", "b"]));
    script.expect_finish();
}

#[test]
fn query_ends_once_the_last_batch_is_handled() {
    let mut script = Script::query(AdminLogs::new());
    script.expect_fetch("0").reply(page("0", &["a"]));
    script.expect_unhandled_batch(&["a"]).expect_idle();
    script.handled().expect_fetch("0").reply(page("0", &[]));
    script.expect_finish();
}

#[test]
fn range_and_types_are_sent_escaped() {
    let query = AdminLogs::new()
        .created_after("2026-01-01T00:00:00+01:00".parse().unwrap())
        .created_before("2026-02-01T00:00:30Z".parse().unwrap())
        .event_types([EventType::Download, EventType::Upload]);
    let start = StartAt::At("1152922976252290886".parse().unwrap());
    let mut script = Script::query_from(start, query);
    script.expect_fetch("1152922976252290886");
    assert_eq!(
        script.sent().request().uri(),
        "https://api.box.com/2.0/events?stream_type=admin_logs&stream_position=1152922976252290886&limit=500&event_type=DOWNLOAD%2CUPLOAD&created_after=2025-12-31T23%3A00%3A00Z&created_before=2026-02-01T00%3A00%3A30Z"
    );
}

#[test]
fn query_continues_after_a_failure() {
    let mut script = Script::query(AdminLogs::new());
    script.expect_fetch("0").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
    for response in [
        failed(TransportErrorKind::Interrupted),
        status(502),
        body(""),
    ] {
        script.expect_fetch("200").reply(response);
    }
    script.expect_fetch("200").reply(status(401));
    script.expect_refresh().give_newer_token("token-2");
    script.expect_fetch("200").reply(page("300", &["b"]));
    script.expect_batch(&["b"]);
    script.expect_fetch("300").reply(status(403));
    script
        .expect_stop(ErrorKind::Forbidden)
        .assert_position("300");
}

#[test]
fn query_is_as_quick_as_its_calls_per_minute_permit() {
    let mut script = Script::query(AdminLogs::new().calls_per_minute(20));
    let mut waited = Duration::ZERO;
    for n in 0..100 {
        script.expect_fetch(&n.to_string());
        waited += script.waited();
        let next = (n + 1).to_string();
        script.reply(page(&next, &[&next])).expect_batch(&[&next]);
    }
    let minutes = waited.as_secs_f64() / 60.0;
    assert!((5.0..5.6).contains(&minutes), "{minutes}");
}
