//! The pace of requests that bring nothing new.

use std::time::Duration;

use box_longpoll::LongPollClient;
use box_longpoll::config::{Pace, RetryPolicy};
use box_longpoll::transport::TransportErrorKind;

use crate::script::{Script, failed, page, server_list, signal, status};

#[test]
fn catching_up_is_not_paced() {
    let mut script = Script::with(LongPollClient::builder().page_limit(2), "0");
    for n in 0..1_000 {
        let (from, next) = (n.to_string(), (n + 1).to_string());
        script.expect_fetch(&from);
        assert_eq!(script.waited(), Duration::ZERO, "page {n}");
        script.reply(page(&next, &[&next]));
        script.expect_batch(&[&next]);
    }
}

#[test]
fn pages_that_only_move_the_position_are_paced() {
    let mut script = Script::start("0");
    let mut waits = Vec::new();
    for n in 0..40 {
        script.expect_fetch(&n.to_string());
        waits.push(script.waited());
        script.reply(page(&(n + 1).to_string(), &[]));
    }
    assert_eq!(waits[1], Duration::ZERO);
    assert!(
        waits[20..]
            .iter()
            .all(|wait| *wait > Duration::from_millis(500))
    );
}

/// Runs the engine for ten minutes against responses without events. Returns the times of the
/// requests in seconds.
fn fruitless_requests(
    mut respond: impl FnMut(&Script) -> box_longpoll::protocol::Response,
) -> Vec<f64> {
    let mut script = Script::start("0");
    let mut at = 0.0;
    let mut times = Vec::new();
    while at < 600.0 {
        script.expect_any();
        at += script.waited().as_secs_f64();
        times.push(at);
        let response = respond(&script);
        script.reply(response);
    }
    times
}

#[track_caller]
fn assert_paced(times: &[f64]) {
    for (n, start) in times.iter().enumerate() {
        let within = |seconds: f64| {
            times[n..]
                .iter()
                .take_while(|time| **time <= start + seconds)
                .count()
        };
        assert!(within(1.0) <= 5, "{} requests in a second", within(1.0));
        assert!(within(60.0) <= 120, "{} requests in a minute", within(60.0));
    }
}

#[test]
fn fruitless_requests_stay_within_the_pace() {
    let realtime = |script: &Script| script.host().contains("realtime");
    let listing = |script: &Script| script.sent().request().method() == "OPTIONS";
    for message in ["reconnect", "max_retries", "new_change", "unknown"] {
        assert_paced(&fruitless_requests(|script| {
            if realtime(script) {
                signal(message)
            } else if listing(script) {
                server_list(3)
            } else {
                page("0", &[])
            }
        }));
    }
    // The position moves forever, without an event.
    let mut position = 0;
    assert_paced(&fruitless_requests(|script| {
        position += 1;
        if realtime(script) {
            signal("new_change")
        } else if listing(script) {
            server_list(1)
        } else {
            page(&position.to_string(), &[])
        }
    }));
    for code in [200, 204, 404, 429, 500, 503] {
        assert_paced(&fruitless_requests(|_| status(code)));
    }
    // Every poll times out at once, as with a transport that has a time limit of its own.
    assert_paced(&fruitless_requests(|script| {
        if realtime(script) {
            failed(TransportErrorKind::Timeout)
        } else if listing(script) {
            server_list(3)
        } else {
            page("0", &[])
        }
    }));
}

#[test]
fn four_changes_in_a_row_are_fetched_at_once() {
    let mut script = Script::listening(1);
    script.pass(Duration::from_secs(10));
    for n in 0..4 {
        let (from, next) = ((100 + n).to_string(), (101 + n).to_string());
        script.reply(signal("new_change"));
        script.expect_fetch(&from);
        assert_eq!(script.waited(), Duration::ZERO, "change {n}");
        script.reply(page(&next, &[&next])).expect_batch(&[&next]);
        script.expect_fetch(&next).reply(page(&next, &[]));
        if n < 3 {
            script.expect_any();
            assert!(script.host().contains("realtime"), "change {n}");
            assert_eq!(script.waited(), Duration::ZERO, "change {n}");
        }
    }
    script.expect_poll("104").assert_waited(1.0, 1.1);
}

#[test]
fn one_change_a_second_is_always_fetched_at_once() {
    let mut script = Script::listening(1);
    for n in 0..120 {
        let (from, next) = ((100 + n).to_string(), (101 + n).to_string());
        script.pass(Duration::from_secs(1));
        script.reply(signal("new_change"));
        script.expect_fetch(&from);
        assert_eq!(script.waited(), Duration::ZERO, "change {n}");
        script.reply(page(&next, &[&next])).expect_batch(&[&next]);
        script.expect_fetch(&next).reply(page(&next, &[]));
        script.expect_any();
        if script.sent().request().method() == "OPTIONS" {
            script.reply(server_list(1)).expect_any();
        }
        assert!(script.host().contains("realtime"), "change {n}");
        assert_eq!(script.waited(), Duration::ZERO, "change {n}");
    }
}

#[test]
fn account_that_changes_all_the_time_is_read_twice_a_second() {
    let mut script = Script::listening(1);
    script.reply(signal("new_change"));
    let (mut at, mut position, mut batches) = (0.0, 100, 0);
    let mut is_first_page = true;
    while at < 60.0 {
        script.expect_any();
        at += script.waited().as_secs_f64();
        if script.host().contains("realtime") {
            script.reply(signal("new_change"));
        } else if script.sent().request().method() == "OPTIONS" {
            script.reply(server_list(1));
        } else if is_first_page {
            position += 1;
            batches += 1;
            let next = position.to_string();
            script.reply(page(&next, &[&next])).expect_batch(&[&next]);
            is_first_page = false;
        } else {
            script.reply(page(&position.to_string(), &[]));
            is_first_page = true;
        }
    }
    assert!((95..=120).contains(&batches), "{batches} batches");
}

#[test]
fn fetch_comes_before_the_poll_when_the_pace_is_used_up() {
    let pace = Pace::default().per_second(2);
    let mut script = Script::listening_with(LongPollClient::builder().pace(pace), 1);
    script.reply(signal("new_change"));
    script.expect_fetch("100").reply(page("101", &["a"]));
    // The poll has to wait for the pace, and the fetch that finds the next event does not.
    script.expect_batch(&["a"]);
    script.expect_fetch("101").reply(page("102", &["b"]));
    script.expect_batch(&["b"]);
    script.expect_fetch("102").assert_waited(0.0, 0.0);
    script.reply(page("102", &[]));
    script.expect_poll("102").assert_waited(1.0, 1.1);
}

#[test]
fn slow_token_does_not_let_requests_accumulate() {
    let mut script = Script::listening(1);
    let mut at = 0.0;
    let mut times = Vec::new();
    for round in 0..20 {
        let slow = Duration::from_millis(300 * (round % 8));
        script.pass(Duration::from_secs(60)).token_takes(slow);
        at += 60.0;
        script.reply(signal("reconnect"));
        for _ in 0..3 {
            let request = script.expect_any().sent().request();
            let (listing, polling) = (
                request.method() == "OPTIONS",
                request.uri().path() == "/subscribe",
            );
            at += script.waited().as_secs_f64();
            times.push(at);
            script.token_takes(Duration::ZERO);
            if polling {
                break;
            }
            script.reply(if listing {
                server_list(1)
            } else {
                page("100", &[])
            });
        }
    }
    assert_paced(&times);
}

#[test]
fn call_that_may_have_waited_counts_from_its_response() {
    let mut script = Script::start("0");
    script.expect_fetch("0").pass(Duration::from_secs(2));
    script.reply(page("1", &[]));
    for n in 1..4 {
        script.expect_fetch(&n.to_string());
        assert_eq!(script.waited(), Duration::ZERO, "page {n}");
        script.reply(page(&(n + 1).to_string(), &[]));
    }
    script.expect_fetch("4").assert_waited(1.0, 1.1);
}

#[test]
fn moved_position_is_followed_at_once_on_credit() {
    let pace = Pace::default().per_second(2);
    let mut script = Script::with(LongPollClient::builder().pace(pace), "100");
    script.expect_fetch("100").reply(page("101", &[]));
    script.expect_fetch("101").assert_waited(0.0, 0.0);
    script.reply(page("102", &[]));
    script.expect_fetch("102").assert_waited(1.0, 1.1);
}

#[test]
fn second_request_on_credit_waits() {
    // This pace permits one request at once, and then one in 4.9 s.
    let pace = Pace::default().per_second(100).per_minute(15);
    let mut script = Script::with(LongPollClient::builder().pace(pace), "100");
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(server_list(1));
    script.expect_any().reply(signal("new_change"));
    script.expect_fetch("100").assert_waited(0.0, 0.0);
    // A page that moved the position is followed at once only while no token is owed.
    script.reply(page("101", &[]));
    script.expect_fetch("101").assert_waited(9.7, 9.9);
}

#[test]
fn pace_follows_the_settings() {
    let pace = Pace::default()
        .per_second(100)
        .per_minute(6_000)
        .small_pages_per_minute(6_000);
    let mut script = Script::with(LongPollClient::builder().pace(pace), "0");
    for n in 0..50 {
        script.expect_fetch(&n.to_string());
        assert_eq!(script.waited(), Duration::ZERO);
        script.reply(page(&(n + 1).to_string(), &[]));
    }
}

#[test]
fn pause_after_a_failed_poll_outlasts_the_fetches() {
    let retry = RetryPolicy::default().first(Duration::from_secs(60));
    let pace = Pace::default().per_second(2);
    let mut script = Script::listening_with(LongPollClient::builder().retry(retry).pace(pace), 1);
    script.reply(failed(TransportErrorKind::Connect));
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_fetch("200").assert_waited(4.0, 30.0);
}
