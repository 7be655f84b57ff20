//! What is tried again, and what stops the stream.

use box_longpoll::ErrorKind;
use box_longpoll::transport::TransportErrorKind;

use crate::script::{Script, failed, page, status, status_with};

#[test]
fn pauses_after_failures_grow_to_a_minute() {
    let mut script = Script::start("100");
    let mut longest = 0.0_f64;
    for _ in 0..50 {
        script.expect_fetch("100");
        let waited = script.waited().as_secs_f64();
        assert!(waited <= 60.002, "{waited}");
        longest = longest.max(waited);
        script.reply(status(500));
    }
    assert!(longest > 30.0, "{longest}");
}

#[test]
fn a_retry_after_is_capped_at_an_hour() {
    let mut script = Script::start("100");
    script
        .expect_fetch("100")
        .reply(status_with(503, &[("retry-after", "999999")], ""));
    script.expect_fetch("100").assert_waited(3_600.0, 3_600.0);
}

#[test]
fn a_stop_says_why_and_where() {
    for (code, kind) in [
        (403, ErrorKind::Forbidden),
        (400, ErrorKind::PositionRejected),
    ] {
        let mut script = Script::start("100");
        script.expect_fetch("100").reply(status(code));
        script.expect_stop(kind).assert_position("100");
    }
    let mut script = Script::start("100");
    script
        .expect_fetch("100")
        .reply(failed(TransportErrorKind::Runtime));
    script.expect_stop(ErrorKind::Runtime);
    let mut script = Script::listening(1);
    script.reply(failed(TransportErrorKind::Runtime));
    script.expect_stop(ErrorKind::Runtime);
}

#[test]
fn a_400_for_the_servers_is_no_verdict_on_the_position() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(status(400));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list();
}
