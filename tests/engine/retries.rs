//! Failures that are retried, with their backoff, and failures that stop the stream.

use std::time::Duration;

use box_longpoll::config::{Pace, RetryPolicy};
use box_longpoll::transport::TransportErrorKind;
use box_longpoll::{ErrorKind, LongPollClient};

use crate::script::{Script, failed, page, server_list, signal, status, status_with};

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
fn status_503_is_a_rate_limit_only_with_retry_after() {
    let kind = |headers| {
        let mut script = Script::start("100");
        script
            .expect_fetch("100")
            .reply(status_with(503, headers, ""));
        script.failure().kind()
    };
    assert_eq!(kind(&[]), ErrorKind::Status);
    assert_eq!(kind(&[("retry-after", "7")]), ErrorKind::RateLimited);
}

#[test]
fn stop_has_the_error_and_keeps_the_position() {
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
fn status_400_for_a_list_does_not_reject_the_position() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(page("100", &[]));
    // The first 400 may be due to the stream type, and the later ones to anything.
    for _ in 0..3 {
        script.expect_list().reply(status(400));
    }
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list();
}

#[test]
fn pauses_grow_up_to_the_longest_of_the_policy() {
    let policy = RetryPolicy::default().longest(Duration::from_secs(2));
    let mut script = Script::with(LongPollClient::builder().retry(policy), "100");
    for _ in 0..50 {
        script.expect_fetch("100").assert_waited(0.0, 2.0);
        script.reply(status(500));
    }
}

#[test]
fn events_are_fetched_at_the_degraded_interval() {
    let policy = RetryPolicy::default().degraded_interval(Duration::from_secs(300));
    let mut script = Script::with(LongPollClient::builder().retry(policy), "100");
    script.expect_fetch("100").reply(page("100", &[]));
    for _ in 0..5 {
        script.expect_list().reply(server_list(0));
        script.expect_fetch("100").assert_waited(300.0, 600.0);
        script.reply(page("100", &[]));
    }
}

#[test]
fn polls_fetches_and_lists_back_off_separately() {
    let mut script = Script::listening(1);
    script.reply(signal("new_change"));
    for _ in 0..8 {
        script.expect_fetch("100").reply(status(500));
    }
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
    script.expect_fetch("200").reply(page("200", &[]));
    // The failed fetches do not count for the first failure of a poll or of a list.
    script.expect_listen("200").reply(status(500));
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_fetch("200").assert_waited(0.05, 0.25);
    script.reply(page("200", &[]));
    script.expect_list().reply(status(500));
    script.expect_list().assert_waited(0.05, 0.25);
}

#[test]
fn slow_failures_back_off_as_quick_ones_do() {
    let mut script = Script::start("100");
    let mut longest = 0.0_f64;
    for _ in 0..50 {
        script.expect_fetch("100");
        longest = longest.max(script.waited().as_secs_f64());
        script.pass(Duration::from_secs(300)).reply(status(502));
    }
    assert!(longest > 30.0, "{longest}");
}

#[test]
fn success_between_failures_resets_the_backoff() {
    let pace = Pace::default()
        .per_second(100)
        .per_minute(6_000)
        .small_pages_per_minute(6_000);
    let mut script = Script::with(LongPollClient::builder().pace(pace), "100");
    for n in 100..150 {
        let (from, next) = (n.to_string(), (n + 1).to_string());
        script.expect_fetch(&from).reply(status(502));
        script.expect_fetch(&from).assert_waited(0.05, 0.25);
        script.reply(page(&next, &[&next]));
        script.expect_batch(&[&next]);
    }
}
