//! The ways in which other clients of this protocol lose events, repeat them, spin or hang. Each
//! test proves that this engine does not.

use box_longpoll::config::{RealtimeHosts, RealtimeToken, RetryPolicy};
use box_longpoll::transport::TransportErrorKind;
use box_longpoll::{ErrorKind, LongPollClient, Status};

use crate::script::{Script, body, failed, page, server_list, signal, status, status_with};

#[test]
fn failure_01_a_repeat_inside_one_page_is_delivered_once() {
    let mut script = Script::start("100");
    script
        .expect_fetch("100")
        .reply(page("200", &["a", "b", "a"]));
    script.expect_batch(&["a", "b"]);
    script.expect_fetch("200").reply(page("300", &["b", "c"]));
    script.expect_batch(&["c"]);
}

#[test]
fn failure_01_the_window_holds_more_than_one_page() {
    let builder = LongPollClient::builder().dedupe_window(2_499);
    assert_eq!(builder.config().unwrap_err().kind(), ErrorKind::Config);
}

#[test]
fn failure_01_large_page_does_not_push_out_its_own_beginning() {
    let ids: Vec<String> = (0..5_000).map(|n| format!("id{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(page("100", &ids));
    script.expect_batch(&ids);
    script.expect_fetch("100").reply(page("100", &ids));
    script.expect_list();
}

#[test]
fn failure_02_a_full_window_forgets_the_oldest_ids_only() {
    let ids: Vec<String> = (0..6_000).map(|n| format!("id{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut script = Script::start("0");
    for (n, chunk) in ids.chunks(500).enumerate() {
        let from = (n * 500).to_string();
        let next = ((n + 1) * 500).to_string();
        script.expect_fetch(&from).reply(page(&next, chunk));
        script.expect_batch(chunk);
    }
    // The last 2,500 of them once more, and one new one.
    let mut again = ids[3_500..].to_vec();
    again.push("new");
    script.expect_fetch("6000").reply(page("7000", &again));
    script.expect_batch(&["new"]);
}

#[test]
fn failure_03_a_position_of_19_digits_keeps_every_digit() {
    let mut script = Script::start("1152922976252290886");
    script
        .expect_fetch("1152922976252290886")
        .reply(page("1152922976252290887", &["a"]));
    script.expect_batch(&["a"]);
    script
        .expect_fetch("1152922976252290887")
        .reply(page("\"1152922976252290889\"", &["b"]));
    script
        .expect_batch(&["b"])
        .assert_position("1152922976252290889");
}

#[test]
fn failure_04_a_missing_position_keeps_the_old_one() {
    for missing in ["null", "\"\"", "\"now\"", "0", "\"0\"", "{}", "[]", "true"] {
        let mut script = Script::start("100");
        script.expect_fetch("100").reply(page(missing, &["a"]));
        script.expect_batch(&["a"]).assert_position("100");
        script.expect_fetch("100");
    }
    let mut script = Script::start("100");
    let response = body(r#"{"entries":[{"event_id":"a"}]}"#);
    script.expect_fetch("100").reply(response);
    script.expect_batch(&["a"]).assert_position("100");
    script.expect_fetch("100");
}

#[test]
fn failure_05_position_moves_once_the_page_is_handled() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_unhandled_batch(&["a"]).assert_position("100");
    script.expect_idle().assert_position("100");
    script.handled().assert_position("200");
}

#[test]
fn failure_06_an_empty_page_with_a_newer_position_moves_on() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(page("200", &[]));
    script.expect_fetch("200").assert_position("200");
    script.reply(page("200", &[]));
    script.expect_list();
}

#[test]
fn failure_07_now_is_resolved_before_the_first_poll() {
    let mut script = Script::start("now");
    script.expect_fetch("now").reply(page("100", &[]));
    script.expect_list().reply(server_list(1));
    script.expect_listen("100").assert_position("100");
}

#[test]
fn failure_07_now_without_a_position_is_retried() {
    for missing in ["null", "0", "\"now\""] {
        let mut script = Script::start("now");
        script.expect_fetch("now").reply(page(missing, &[]));
        assert!(matches!(script.status(), Status::Retrying { .. }));
        script.expect_fetch("now").assert_waited(0.05, 0.25);
        script.reply(page("100", &[]));
        script.expect_list();
    }
}

#[test]
fn failure_08_the_poll_carries_the_position() {
    // `expect_listen` compares the complete query. The server's own part comes first, and is
    // unchanged.
    Script::listening(1);
}

#[test]
fn failure_09_numbers_and_strings_are_interchangeable() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(page("\"100\"", &[]));
    script.expect_list().reply(body(
        r#"{"chunk_size":"1","entries":[{"url":"http://2.realtime.services.box.net/subscribe?channel=c&stream_type=all","ttl":10,"max_retries":10,"retry_timeout":"610"}]}"#,
    ));
    script.expect_listen("100");
}

#[test]
fn failure_10_second_401_after_a_refresh_stops_the_stream() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(status(401));
    script.expect_refresh().give_newer_token("token-2");
    script.expect_fetch("100").reply(status(401));
    script
        .expect_stop(ErrorKind::Unauthorized)
        .assert_position("100");
}

#[test]
fn failure_11_404_of_a_realtime_server_lists_again() {
    let mut script = Script::listening(2);
    script.reply(status(404));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_fetch("100").assert_waited(0.05, 0.25);
    script.reply(page("100", &[]));
    script.expect_list().reply(server_list(1));
    script.expect_listen("100");
}

#[test]
fn failure_12_retry_after_is_respected_in_every_spelling() {
    for (headers, seconds) in [
        (&[("Retry-After", "7")][..], 7.0),
        (&[("RETRY-AFTER", "7")], 7.0),
        (
            &[
                ("retry-after", "Wed, 21 Oct 2015 07:28:30 GMT"),
                ("date", "Wed, 21 Oct 2015 07:28:00 GMT"),
            ],
            30.0,
        ),
    ] {
        let mut script = Script::start("100");
        script
            .expect_fetch("100")
            .reply(status_with(429, headers, ""));
        script.expect_fetch("100").assert_waited(seconds, seconds);
    }
    for nonsense in ["soon", "-7", "", "Wed, 99 Oct 2015 07:28:30 GMT"] {
        let mut script = Script::start("100");
        script
            .expect_fetch("100")
            .reply(status_with(429, &[("retry-after", nonsense)], ""));
        script.expect_fetch("100").assert_waited(0.05, 0.25);
    }
}

#[test]
fn failure_13_an_unknown_signal_is_followed_by_a_growing_pause() {
    let mut script = Script::listening(1);
    let mut longest = 0.0_f64;
    for _ in 0..30 {
        script.reply(signal("something_new"));
        script.expect_fetch("100").reply(page("100", &[]));
        script.expect_fetch("100");
        longest = longest.max(script.waited().as_secs_f64());
        script.reply(page("100", &[]));
        script.expect_list_or_listen();
    }
    assert!(longest > 20.0, "the pause grew to {longest} s only");
}

#[test]
fn failure_14_a_garbage_signal_does_not_end_the_stream() {
    for garbage in ["", "<html>", "{", "[]", "null", "{\"message\":7}"] {
        let mut script = Script::listening(1);
        script.reply(body(garbage));
        script.expect_fetch("100").reply(page("200", &["a"]));
        script.expect_batch(&["a"]);
    }
}

#[test]
fn failure_15_reconnect_lists_the_servers_again() {
    for message in ["reconnect", "max_retries"] {
        let mut script = Script::listening(2);
        script.reply(signal(message));
        script.expect_fetch("100").reply(page("100", &[]));
        script.expect_list().reply(server_list(2));
        script.expect_listen("100");
    }
}

#[test]
fn failure_16_a_poll_is_held_for_retry_timeout_and_five_seconds() {
    let mut script = Script::listening(2);
    assert_eq!(script.sent().timeout().as_secs(), 615);
    let first = script.host();
    script.reply(failed(TransportErrorKind::Timeout));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_listen("100");
    assert_ne!(script.host(), first, "the next of the listed servers");
}

#[test]
fn failure_17_events_of_any_shape_are_delivered() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(body(
        r#"{"next_stream_position":200,"entries":[7,"x",null,{"event_id":"a","source":[]},{"event_type":9}]}"#,
    ));
    script.expect_batch(&["-", "-", "-", "a", "-"]);
}

#[test]
fn failure_19_one_page_is_fetched_before_a_batch_is_handled() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_unhandled_batch(&["a"]);
    script.expect_fetch("200").reply(page("300", &["b"]));
    script.expect_idle().expect_idle();
    script.handled().expect_batch(&["b"]);
    script.expect_fetch("300");
}

#[test]
fn failure_20_the_token_goes_to_the_api_alone() {
    let mut script = Script::start("100");
    script.expect_fetch("100");
    assert!(has_token(&script));
    script.reply(page("100", &[])).expect_list();
    assert!(has_token(&script));
    script.reply(server_list(1)).expect_listen("100");
    assert!(!has_token(&script));
    assert_eq!(script.sent().request().uri().scheme_str(), Some("https"));
}

#[test]
fn failure_20_token_goes_to_the_realtime_server_when_set() {
    let builder = LongPollClient::builder().realtime_token(RealtimeToken::Send);
    assert!(has_token(&Script::listening_with(builder, 1)));
}

#[test]
fn failure_20_poll_with_token_at_the_api_host_is_refused() {
    for (origin, hosts) in [
        ("https://api.box.com", RealtimeHosts::default()),
        (
            "http://API.box.com",
            RealtimeHosts::default().allow("api.box.com"),
        ),
        (
            "https://api.box.com:8443",
            RealtimeHosts::default().allow("api.box.com:8443"),
        ),
    ] {
        let url = format!("{origin}/subscribe?channel=c&stream_type=all");
        let list = || body(&format!(r#"{{"entries":[{{"url":"{url}"}}]}}"#));
        let builder = LongPollClient::builder().realtime_hosts(hosts.clone());
        let mut script = Script::with(builder.realtime_token(RealtimeToken::Send), "100");
        script.expect_fetch("100").reply(page("100", &[]));
        script.expect_list().reply(list());
        let Status::Degraded { because, .. } = script.status() else {
            panic!("{url}: {:?}", script.status());
        };
        assert_eq!(because.kind(), ErrorKind::RealtimeRefused);
        script.expect_fetch("100");

        let mut script = Script::with(LongPollClient::builder().realtime_hosts(hosts), "100");
        script.expect_fetch("100").reply(page("100", &[]));
        script.expect_list().reply(list()).expect_listen("100");
        assert!(!has_token(&script));
    }
}

fn has_token(script: &Script) -> bool {
    script
        .sent()
        .request()
        .headers()
        .contains_key("authorization")
}

#[test]
fn failure_20_server_of_another_host_is_not_polled() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(body(
        r#"{"entries":[{"url":"https://evil.example/subscribe?channel=c"}]}"#,
    ));
    let Status::Degraded { because, .. } = script.status() else {
        panic!("{:?}", script.status());
    };
    assert_eq!(because.kind(), ErrorKind::RealtimeRefused);
    script.expect_fetch("100").assert_waited(30.0, 60.0);
}

#[test]
fn failure_21_no_error_restarts_the_stream_at_now() {
    let quick = RetryPolicy::default().longest(std::time::Duration::from_secs(1));
    let mut script = Script::with(LongPollClient::builder().retry(quick), "100");
    for response in [
        status(500),
        status(502),
        status(404),
        status(302),
        status(409),
        status_with(503, &[("retry-after", "1")], ""),
        body("<html>"),
        body(""),
        body("{}"),
        status(204),
        failed(TransportErrorKind::Connect),
        failed(TransportErrorKind::Timeout),
        failed(TransportErrorKind::Interrupted),
        failed(TransportErrorKind::Body),
        failed(TransportErrorKind::Tls),
        failed(TransportErrorKind::Other),
    ] {
        script.expect_fetch("100").reply(response);
    }
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
}
