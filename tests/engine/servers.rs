//! The choice of the realtime server, and the reasons to list the servers again.

use std::time::Duration;

use box_longpoll::Status;
use box_longpoll::transport::TransportErrorKind;

use crate::script::{Script, body, failed, page, server_list, signal, status, status_with};

#[test]
fn servers_are_listed_again_after_max_retries_polls() {
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
fn url_is_not_polled_again_after_its_ttl() {
    let mut script = Script::listening(1);
    script.pass(Duration::from_secs(601)).expect_idle();
    script.reply(signal("new_change"));
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_list();
}

#[test]
fn failed_poll_is_followed_by_a_pause_and_the_next_server() {
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
    // The second poll was shortened, so its silence means nothing.
    script.reply(failed(TransportErrorKind::Timeout));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_listen("100");
}

#[test]
fn refused_poll_lists_again_and_never_refreshes() {
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
fn three_refusals_in_a_row_degrade_the_stream() {
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
fn signal_between_refusals_restarts_their_count() {
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
fn stream_fetches_at_an_interval_when_no_server_is_listed() {
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
fn retry_after_of_a_realtime_host_does_not_stop_the_fetches() {
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
fn stream_polls_when_the_first_retry_after_ends() {
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
fn url_with_a_tiny_ttl_is_still_polled() {
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
fn list_that_cannot_be_read_is_retried() {
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
fn several_hosts_are_skipped_at_once() {
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

/// Returns the host that a stream polls first, and its wait in seconds while there is none.
fn first_choices(seed: u64) -> (String, f64) {
    let mut script = Script::seeded(seed, "100");
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
