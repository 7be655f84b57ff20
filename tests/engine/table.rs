//! What the engine does for everything that can come back: the pace, the servers, the retries, the stops.

use std::time::Duration;

use box_longpoll::transport::TransportErrorKind;
use box_longpoll::{ErrorKind, LongPollClient, Pace, Status, TokenError};

use crate::script::{Script, body, failed, page, server_list, signal, status, status_with};

#[test]
fn a_start_at_the_oldest_event_asks_for_position_0() {
    let mut script = Script::start("oldest");
    script.expect_fetch("0").reply(page("200", &["a"]));
    script.expect_batch(&["a"]).assert_position("200");
}

#[test]
fn requests_name_the_stream_the_limit_and_the_user() {
    let builder = LongPollClient::builder()
        .page_limit(7)
        .as_user("42")
        .user_agent("me/1")
        .api_origin("https://box.example:444");
    let mut script = Script::with(builder, "100");
    script.expect_fetch("100");
    let request = script.asked().request();
    assert_eq!(
        request.uri(),
        "https://box.example:444/2.0/events?stream_type=all&stream_position=100&limit=7"
    );
    assert_eq!(request.headers()["as-user"], "42");
    assert_eq!(request.headers()["user-agent"], "me/1");
    assert_eq!(request.headers()["authorization"], "Bearer token-1");
    script.reply(page("100", &[])).expect_list();
    assert_eq!(script.asked().request().headers()["as-user"], "42");
}

#[test]
fn a_position_is_escaped_in_urls() {
    let mut script = Script::start("a&b=c#d");
    script.expect_fetch("a%26b%3Dc%23d");
}

// Signals

#[test]
fn a_signal_counts_whatever_its_status() {
    for code in [200, 404, 429, 503] {
        let mut script = Script::listening(1);
        script.reply(status_with(code, &[], r#"{"message":"new_change"}"#));
        script.expect_fetch("100").reply(page("200", &["a"]));
        script.expect_batch(&["a"]);
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
    for seconds in [1.0, 2.0, 4.0] {
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

// Servers

#[test]
fn after_max_retries_polls_of_one_url_the_servers_are_listed_anew() {
    let mut script = Script::listening(1);
    for poll in 1..=7 {
        script.reply(signal("new_change"));
        let (from, next) = ((99 + poll).to_string(), (100 + poll).to_string());
        script.expect_fetch(&from).reply(page(&next, &[&next]));
        script.expect_batch(&[&next]);
        script.expect_fetch(&next).reply(page(&next, &[]));
        if poll < 7 {
            script.expect_listen(&next);
        }
    }
    script.expect_list();
}

#[test]
fn a_url_past_its_ttl_is_not_polled_again_and_a_held_poll_is_left_alone() {
    let mut script = Script::listening(1);
    script.pass(Duration::from_secs(601)).expect_idle();
    script.reply(signal("new_change"));
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_list();
}

#[test]
fn a_failed_poll_goes_on_with_the_next_server_after_a_drain_a_pause_and_a_drain() {
    for failure in [
        failed(TransportErrorKind::Connect),
        failed(TransportErrorKind::Interrupted),
        failed(TransportErrorKind::Body),
        failed(TransportErrorKind::BodyTooLarge),
        failed(TransportErrorKind::InvalidRequest),
        status(500),
        status(503),
    ] {
        let mut script = Script::listening(2);
        let first = script.host();
        script.reply(failure);
        script.expect_fetch("100").reply(page("200", &["a"]));
        script.expect_batch(&["a"]);
        script.expect_fetch("200").reply(page("200", &[]));
        assert!(matches!(script.status(), Status::Retrying { .. }));
        script.expect_fetch("200").assert_waited(0.5, 1.5);
        script.reply(page("200", &[])).expect_listen("200");
        assert_ne!(script.host(), first);
    }
}

#[test]
fn when_every_server_has_been_silent_they_are_listed_anew() {
    let mut script = Script::listening(2);
    script.reply(failed(TransportErrorKind::Timeout));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_listen("100");
    script.reply(failed(TransportErrorKind::Timeout));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list();
}

#[test]
fn a_refused_poll_asks_for_new_servers_and_never_for_a_token() {
    for code in [301, 400, 401, 403, 404, 410, 429] {
        let mut script = Script::listening(2);
        script.reply(status(code));
        script.expect_fetch("100").reply(page("100", &[]));
        script.expect_fetch("100").reply(page("100", &[]));
        script.expect_list().reply(server_list(1));
        script.expect_listen("100");
    }
}

#[test]
fn after_three_refusals_in_a_row_the_stream_fetches_at_an_interval_and_says_why() {
    let mut script = Script::listening(1);
    for refusal in 1..=5 {
        script.reply(status(401));
        script.expect_fetch("100").reply(page("100", &[]));
        if refusal >= 3 {
            let Status::Degraded { because, .. } = script.status() else {
                panic!("{:?}", script.status());
            };
            assert!(because.to_string().contains("access token"), "{because}");
        }
        script.expect_fetch("100");
        if refusal >= 3 {
            script.assert_waited(30.0, 60.0);
        }
        script.reply(page("100", &[]));
        script.expect_list().reply(server_list(1));
        script.expect_listen("100");
    }
}

#[test]
fn a_signal_between_refusals_starts_their_count_anew() {
    let mut script = Script::listening(1);
    for _ in 0..4 {
        for _ in 0..2 {
            script.reply(status(401));
            script.expect_fetch("100").reply(page("100", &[]));
            assert!(matches!(script.status(), Status::Retrying { .. }));
            script.expect_fetch("100").reply(page("100", &[]));
            script.expect_list().reply(server_list(1));
            script.expect_listen("100");
        }
        script.reply(signal("reconnect"));
        script.expect_fetch("100").reply(page("100", &[]));
        script.expect_list().reply(server_list(1));
        script.expect_listen("100");
    }
}

#[test]
fn without_a_server_the_stream_fetches_at_an_interval_and_asks_again() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(page("100", &[]));
    for empty in [r#"{"entries":[]}"#, r#"{"chunk_size":0}"#] {
        script.expect_list().reply(body(empty));
        assert!(matches!(script.status(), Status::Degraded { .. }));
        script.expect_fetch("100").assert_waited(30.0, 60.0);
        script.reply(page("100", &[]));
    }
    script.expect_list().reply(server_list(1));
    script.expect_listen("100");
}

#[test]
fn a_realtime_host_that_asks_to_be_left_alone_is_but_the_api_is_not() {
    let mut script = Script::listening(2);
    let busy = script.host();
    script.reply(status_with(503, &[("retry-after", "600")], ""));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_fetch("100").assert_waited(0.5, 1.5);
    script.reply(page("100", &[])).expect_listen("100");
    assert_ne!(script.host(), busy);
    script.reply(signal("reconnect"));
    for _ in 0..5 {
        script.expect_fetch("100").reply(page("100", &[]));
        script.expect_list().reply(server_list(2));
        script.expect_listen("100");
        assert_ne!(script.host(), busy);
        script.reply(signal("reconnect"));
    }
}

#[test]
fn a_list_that_cannot_be_read_is_asked_again() {
    for garbage in ["<html>", "[]", "", r#"{"entries":"x"}"#] {
        let mut script = Script::start("100");
        script.expect_fetch("100").reply(page("100", &[]));
        script.expect_list().reply(body(garbage));
        assert!(matches!(script.status(), Status::Retrying { .. }));
        script.expect_fetch("100").assert_waited(0.5, 1.5);
        script.reply(page("100", &[])).expect_list();
    }
}

#[test]
fn events_are_fetched_while_box_lists_no_servers() {
    for code in [405, 429, 500, 503] {
        let mut script = Script::start("100");
        script.expect_fetch("100").reply(page("100", &[]));
        for n in 100..120 {
            let (from, next) = (n.to_string(), (n + 1).to_string());
            script.expect_list().reply(status(code));
            script.expect_fetch(&from).reply(page(&next, &[&next]));
            script.expect_batch(&[&next]);
            script.expect_fetch(&next).reply(page(&next, &[]));
        }
    }
}

// Retries and stops

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

// Tokens

#[test]
fn a_renewed_token_that_works_may_run_out_again() {
    let mut script = Script::start("100");
    for (position, next, token) in [
        ("100", "101", "token-2"),
        ("101", "102", "token-3"),
        ("102", "103", "token-4"),
    ] {
        script.expect_fetch(position).reply(status(401));
        script.expect_refresh().give_newer_token(token);
        script.expect_fetch(position).reply(page(next, &[next]));
        script.expect_batch(&[next]);
    }
}

#[test]
fn a_renewed_token_that_ran_out_in_an_outage_is_renewed_again() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(status(401));
    script.expect_refresh().give_newer_token("token-2");
    script.expect_fetch("100").pass(Duration::from_secs(3_600));
    script.reply(failed(TransportErrorKind::Connect));
    script.expect_fetch("100").reply(status(401));
    script.expect_refresh().give_newer_token("token-3");
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
}

#[test]
fn a_token_that_is_no_newer_stops_the_stream() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(status(401));
    script.expect_refresh().give_newer_token("token-1");
    script.expect_stop(ErrorKind::Unauthorized);
}

#[test]
fn a_token_source_that_fails_for_now_is_asked_again_and_one_that_fails_for_good_stops() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(status(401));
    script
        .expect_refresh()
        .fail_token(TokenError::transient("later"));
    assert!(matches!(script.status(), Status::Retrying { .. }));
    script.expect_refresh().assert_waited(0.5, 1.5);
    script.fail_token(TokenError::permanent("never"));
    script.expect_stop(ErrorKind::Unauthorized);
}

#[test]
fn a_503_after_a_refresh_does_not_excuse_the_next_401() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(status(401));
    script.expect_refresh().give_newer_token("token-2");
    script.expect_fetch("100").reply(status(503));
    script.expect_fetch("100").reply(status(401));
    script.expect_stop(ErrorKind::Unauthorized);
}

// Pages that can't be read

#[test]
fn a_page_that_cannot_be_read_twice_is_asked_for_in_halves() {
    let broken = || body(r#"{"entries":[{"a":"#);
    let mut script = Script::start("100");
    for limit in [500, 500, 250] {
        script.expect_fetch("100");
        script.assert_limit(limit);
        script.reply(broken());
    }
    script.expect_fetch("100").assert_limit(125);
    script.reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
    // What is readable again is asked for in doubles.
    script.expect_fetch("200").assert_limit(250);
    script.reply(broken());
    for (from, next, limit) in [
        ("200", "201", 125),
        ("201", "202", 250),
        ("202", "203", 500),
    ] {
        script.expect_fetch(from).assert_limit(limit);
        script.reply(page(next, &[next]));
        script.expect_batch(&[next]);
    }
}

#[test]
fn a_page_that_is_too_large_is_asked_for_in_halves_at_once() {
    let mut script = Script::start("100");
    script
        .expect_fetch("100")
        .reply(failed(TransportErrorKind::BodyTooLarge));
    script.expect_fetch("100").assert_limit(250);
    assert!(script.waited() < Duration::from_secs(1));
}

#[test]
fn an_event_that_cannot_be_read_even_alone_stops_the_stream_before_it() {
    let mut script = Script::start("100");
    let limits = [500, 500, 250, 125, 62, 31, 15, 7, 3, 1];
    for limit in limits {
        script.expect_fetch("100").assert_limit(limit);
        script.reply(body("{\"entries\":[{\"name\":\"\u{1b}[31m"));
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

// Pace

#[test]
fn catching_up_is_not_paced() {
    let mut script = Script::start("0");
    for n in 0..1_000 {
        let (from, next) = (n.to_string(), (n + 1).to_string());
        script.expect_fetch(&from);
        assert_eq!(script.waited(), Duration::ZERO, "page {n}");
        script.reply(page(&next, &[&next]));
        script.expect_batch(&[&next]);
    }
}

#[test]
fn pages_that_only_move_the_position_are_paced_after_the_first_two() {
    let mut script = Script::start("0");
    let mut waits = Vec::new();
    for n in 0..20 {
        script.expect_fetch(&n.to_string());
        waits.push(script.waited());
        script.reply(page(&(n + 1).to_string(), &[]));
    }
    assert_eq!(waits[1], Duration::ZERO);
    assert!(
        waits[10..]
            .iter()
            .all(|wait| *wait > Duration::from_millis(500))
    );
}

/// Answers everything with the least that there is, for ten minutes, and gives the times of the requests in seconds.
fn vain_requests(mut answer: impl FnMut(&Script) -> box_longpoll::protocol::Answer) -> Vec<f64> {
    let mut script = Script::start("0");
    let mut at = 0.0;
    let mut times = Vec::new();
    while at < 600.0 {
        script.expect_any();
        at += script.waited().as_secs_f64();
        times.push(at);
        let answer = answer(&script);
        script.reply(answer);
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
fn requests_in_vain_stay_within_the_pace_whatever_the_servers_say() {
    let realtime = |script: &Script| script.host().contains("realtime");
    let listing = |script: &Script| script.asked().request().method() == "OPTIONS";
    for message in ["reconnect", "max_retries", "new_change", "unknown"] {
        assert_paced(&vain_requests(|script| {
            if realtime(script) {
                signal(message)
            } else if listing(script) {
                server_list(3)
            } else {
                page("0", &[])
            }
        }));
    }
    // A position that moves for ever, without an event.
    let mut position = 0;
    assert_paced(&vain_requests(|script| {
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
        assert_paced(&vain_requests(|_| status(code)));
    }
    // Silence that comes at once, as from a transport with a time limit of its own.
    assert_paced(&vain_requests(|script| {
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
fn where_the_pace_is_used_up_the_stream_looks_once_more_instead_of_listening() {
    let mut script = Script::listening(1);
    script.reply(signal("new_change"));
    script.expect_fetch("100").reply(page("101", &["a"]));
    script.expect_batch(&["a"]);
    // These use up the pace.
    script.expect_fetch("101").reply(page("102", &[]));
    script.expect_fetch("102").reply(page("103", &[]));
    script.expect_fetch("103").reply(page("103", &[]));

    script.expect_fetch("103").assert_waited(0.5, 0.6);
    script.reply(page("104", &["b"])).expect_batch(&["b"]);
    script.expect_fetch("104").reply(page("104", &[]));
    script.expect_fetch("104").assert_waited(0.5, 0.6);
    script.reply(page("104", &[])).expect_listen("104");
}

#[test]
fn a_slow_token_does_not_let_requests_gather() {
    let mut script = Script::listening(1);
    let mut at = 0.0;
    let mut times = Vec::new();
    for round in 0..20 {
        let slow = Duration::from_millis(300 * (round % 8));
        script.pass(Duration::from_secs(60)).token_takes(slow);
        at += 60.0;
        script.reply(signal("reconnect"));
        for _ in 0..3 {
            let request = script.expect_any().asked().request();
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
fn the_pace_is_the_callers_to_set() {
    let pace = Pace::default().burst(100).per_minute(6_000);
    let mut script = Script::with(LongPollClient::builder().pace(pace), "0");
    for n in 0..50 {
        script.expect_fetch(&n.to_string());
        assert_eq!(script.waited(), Duration::ZERO);
        script.reply(page(&(n + 1).to_string(), &[]));
    }
}
