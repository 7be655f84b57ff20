//! Which realtime server is polled, and when the servers are listed anew.

use std::time::Duration;

use box_longpoll::Status;
use box_longpoll::transport::TransportErrorKind;

use crate::script::{Script, body, failed, page, server_list, signal, status, status_with};

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
        script.expect_fetch("200").assert_waited(0.05, 0.25);
        script.reply(page("200", &[])).expect_listen("200");
        assert_ne!(script.host(), first);
    }
}

#[test]
fn a_silent_server_gives_way_to_the_next_one() {
    let mut script = Script::listening(2);
    script.reply(failed(TransportErrorKind::Timeout));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_listen("100");
    // That one was kept shorter, and its silence means nothing.
    script.reply(failed(TransportErrorKind::Timeout));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_listen("100");
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
    script.expect_fetch("100").assert_waited(0.05, 0.25);
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
fn where_every_server_asks_to_be_left_alone_it_is_asked_when_the_first_may_be() {
    let mut script = Script::listening(1);
    script.reply(status_with(503, &[("retry-after", "7")], ""));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(server_list(1));
    script.expect_fetch("100").assert_waited(4.0, 7.0);
    script.reply(page("100", &[])).expect_list();
    script.reply(server_list(1)).expect_listen("100");
}

#[test]
fn a_url_that_lives_shorter_than_the_pace_makes_one_wait_is_polled_all_the_same() {
    let mut script = Script::start("100");
    for _ in 0..20 {
        script.expect_fetch("100").reply(page("100", &[]));
        script.expect_list().reply(body(
            r#"{"entries":[{"url":"http://1.realtime.services.box.net/subscribe?channel=c&stream_type=all","ttl":"0.005"}]}"#,
        ));
        script.expect_listen("100").reply(signal("reconnect"));
    }
}

#[test]
fn a_list_that_cannot_be_read_is_asked_again() {
    for garbage in ["<html>", "[]", "", r#"{"entries":"x"}"#] {
        let mut script = Script::start("100");
        script.expect_fetch("100").reply(page("100", &[]));
        script.expect_list().reply(body(garbage));
        assert!(matches!(script.status(), Status::Retrying { .. }));
        script.expect_list().assert_waited(0.05, 0.25);
        script.reply(body(garbage));
        script.expect_fetch("100").assert_waited(0.5, 1.5);
        script.reply(page("100", &[])).expect_list();
    }
}

#[test]
fn events_are_fetched_while_box_lists_no_servers() {
    for code in [405, 429, 500, 503] {
        let mut script = Script::start("100");
        script.expect_fetch("100").reply(page("100", &[]));
        script.expect_list().reply(status(code));
        for n in 100..120 {
            let (from, next) = (n.to_string(), (n + 1).to_string());
            script.expect_list().reply(status(code));
            script.expect_fetch(&from).reply(page(&next, &[&next]));
            script.expect_batch(&[&next]);
            script.expect_fetch(&next).reply(page(&next, &[]));
        }
    }
}

#[test]
fn several_hosts_are_left_alone_at_once() {
    let mut script = Script::listening(3);
    let mut busy = Vec::new();
    for seconds in ["600", "300"] {
        busy.push(script.host());
        script.reply(status_with(503, &[("retry-after", seconds)], ""));
        script.expect_fetch("100").reply(page("100", &[]));
        script.expect_fetch("100").reply(page("100", &[]));
        script.expect_listen("100");
    }
    for _ in 0..10 {
        assert!(!busy.contains(&script.host()));
        script.reply(signal("reconnect"));
        script.expect_fetch("100").reply(page("100", &[]));
        script.expect_list().reply(server_list(3));
        script.expect_listen("100");
    }
}

/// The host that a stream polls first, and how long it waits if there is none, in seconds.
fn first_choices(seed: u64) -> (String, f64) {
    let mut script = Script::by_chance(seed, "100");
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(server_list(0));
    script.expect_fetch("100");
    let wait = script.waited().as_secs_f64();
    script.reply(page("100", &[]));
    script.expect_list().reply(server_list(4));
    script.expect_listen("100");
    (script.host(), wait)
}

#[test]
fn streams_spread_over_the_servers_and_over_the_interval() {
    let choices: Vec<_> = (0..200).map(first_choices).collect();
    for server in 1..=4 {
        let host = format!("{server}.realtime.services.box.net");
        let count = choices.iter().filter(|(chosen, _)| *chosen == host).count();
        assert!((20..80).contains(&count), "{count} at {host}");
    }
    let waits = || choices.iter().map(|(_, wait)| *wait);
    assert!(waits().all(|wait| (30.0..=60.01).contains(&wait)));
    assert!(waits().any(|wait| wait < 33.0) && waits().any(|wait| wait > 57.0));
}
