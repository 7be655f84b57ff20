//! Connections that die under a request, connections that cannot be made, and polls that something
//! on the way cuts.

use std::time::Duration;

use box_longpoll::config::{Pace, RealtimeToken};
use box_longpoll::protocol::{Call, Response};
use box_longpoll::transport::{TransportError, TransportErrorKind};
use box_longpoll::{LongPollClient, Status};
use rstest::rstest;

use crate::script::{Script, body, failed, page, server_list, signal, status, status_with};

fn interrupted() -> Response {
    failed(TransportErrorKind::Interrupted)
}

fn interrupted_on_a_connection(reused: bool) -> Response {
    let error = TransportError::new(TransportErrorKind::Interrupted);
    Err(error.with_connection_reused(reused))
}

#[test]
fn a_fetch_that_is_interrupted_is_resent_at_once() {
    for failure in [interrupted(), interrupted_on_a_connection(true)] {
        let mut script = Script::start("100");
        script.expect_fetch("100");
        assert!(!script.sent().fresh_connection());
        script.reply(failure).expect_fetch("100");
        script.assert_waited(0.0, 0.0);
        assert!(script.sent().fresh_connection());
        script.reply(page("100", &[])).expect_list();
        assert!(!script.sent().fresh_connection());
    }
}

#[test]
fn call_resent_with_a_newer_token_has_a_fresh_connection() {
    let mut script = Script::listening(1);
    script.reply(signal("reconnect"));
    script.expect_list();
    script.expect_fetch("100").reply(status(401));
    script.expect_refresh();
    script.reply_to(Call::List, interrupted());
    script.give_newer_token("token-2");
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list();
    assert!(script.sent().fresh_connection());
}

#[test]
fn a_list_that_is_interrupted_is_resent_as_a_list() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(interrupted());
    script.expect_list().assert_waited(0.0, 0.0);
    assert!(script.sent().fresh_connection());
    script.reply(server_list(1)).expect_listen("100");
}

#[test]
fn a_poll_that_is_interrupted_at_once_is_resent() {
    let mut script = Script::listening(1);
    script.reply(interrupted());
    script.expect_listen("100").assert_waited(0.0, 0.0);
    assert!(script.sent().fresh_connection());
    script.reply(signal("new_change")).expect_fetch("100");
}

#[test]
fn poll_is_resent_with_its_token() {
    let builder = LongPollClient::builder().realtime_token(RealtimeToken::Send);
    let mut script = Script::listening_with(builder, 1);
    let token = script.sent().request().headers()["authorization"].clone();
    script.reply(interrupted());
    script.expect_listen("100");
    assert_eq!(script.sent().request().headers()["authorization"], token);
}

#[test]
fn a_poll_whose_url_is_used_up_is_not_resent() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(body(
        r#"{"entries":[{"url":"http://1.realtime.services.box.net/subscribe?channel=c&stream_type=all","max_retries":1}]}"#,
    ));
    script.expect_listen("100").reply(interrupted());
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_fetch("100").assert_waited(0.05, 0.25);
}

#[test]
fn request_is_resent_once_and_then_retried_after_backoff() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(interrupted());
    script.expect_fetch("100").reply(interrupted());
    script.expect_fetch("100").assert_waited(0.05, 0.25);
    assert!(!script.sent().fresh_connection());
    script.reply(interrupted());
    script.expect_fetch("100").assert_waited(0.0, 0.0);
    script.reply(interrupted());
    script.expect_fetch("100").assert_waited(0.5, 1.5);
}

#[test]
fn request_on_a_new_connection_is_not_resent() {
    let mut script = Script::start("100");
    script
        .expect_fetch("100")
        .reply(interrupted_on_a_connection(false));
    script.expect_fetch("100").assert_waited(0.05, 0.25);
    assert!(!script.sent().fresh_connection());
}

#[rstest]
#[case(failed(TransportErrorKind::Connect))]
#[case(failed(TransportErrorKind::Timeout))]
#[case(failed(TransportErrorKind::Body))]
#[case(failed(TransportErrorKind::Tls))]
#[case(failed(TransportErrorKind::Other))]
#[case(status(502))]
fn only_an_interrupted_request_is_resent(#[case] failure: Response) {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(failure);
    assert!(matches!(script.status(), Status::Retrying { .. }));
}

#[test]
fn a_resent_request_counts_in_the_pace() {
    let pace = Pace::default().per_second(2);
    let mut script = Script::with(LongPollClient::builder().pace(pace), "100");
    script.expect_fetch("100").reply(interrupted());
    script.expect_fetch("100").assert_waited(1.0, 1.1);
}

/// Each case is one way in which proxies end a poll that takes too long.
#[rstest]
#[case::fin(failed(TransportErrorKind::Interrupted))]
#[case::cut(failed(TransportErrorKind::Body))]
#[case::request_timeout(status(408))]
#[case::bad_gateway(status(502))]
#[case::gateway_timeout(status(504))]
#[case::empty(body(""))]
#[case::html(body("<html>timeout</html>"))]
#[case::unknown(signal("timeout"))]
fn a_poll_that_was_held_and_cut_is_followed_at_once(#[case] cut: Response) {
    let mut script = Script::listening(2);
    let host = script.host();
    script.pass(Duration::from_secs(1)).reply(cut);
    script.expect_fetch("100").assert_waited(0.0, 0.0);
    script.reply(page("100", &[])).expect_listen("100");
    script.assert_waited(0.0, 0.0);
    assert_eq!(script.host(), host);
}

#[rstest]
#[case::cut(failed(TransportErrorKind::Body))]
#[case::bad_gateway(status(502))]
#[case::empty(body(""))]
fn a_poll_that_was_cut_at_once_is_followed_by_a_pause(#[case] cut: Response) {
    let mut script = Script::listening(2);
    script.reply(cut);
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_fetch("100").assert_waited(0.05, 0.25);
}

#[rstest]
#[case::rate_limited(status(429))]
#[case::not_found(status(404))]
#[case::overloaded(status_with(503, &[("retry-after", "7")], ""))]
#[case::no_connection(failed(TransportErrorKind::Connect))]
fn refusal_is_retried_later_even_when_the_poll_was_held(#[case] refusal: Response) {
    let mut script = Script::listening(2);
    script.pass(Duration::from_secs(60)).reply(refusal);
    script.expect_fetch("100").reply(page("100", &[]));
    assert!(matches!(script.status(), Status::Retrying { .. }));
}

#[test]
fn swallowed_poll_halves_the_hold_of_the_next_ones() {
    let mut script = Script::listening(2);
    let full = script.sent().timeout();
    assert_eq!(full, Duration::from_secs(615));
    script.reply(failed(TransportErrorKind::Timeout));
    script.expect_fetch("100").reply(page("100", &[]));
    for _ in 0..3 {
        script.expect_listen("100");
        assert_eq!(script.sent().timeout(), full / 2);
        script.reply(failed(TransportErrorKind::Timeout));
        script.expect_fetch("100").reply(page("100", &[]));
    }
    // A poll that has missed an event was swallowed as well.
    script.expect_listen("100");
    script.reply(failed(TransportErrorKind::Timeout));
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
    script.expect_fetch("200").reply(page("200", &[]));
    // The poll that opened before the event came had the longer hold. The next one has another
    // server.
    script.expect_listen("200");
    assert_eq!(script.sent().timeout(), full / 2);
    script.reply(failed(TransportErrorKind::Timeout));
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_list().reply(server_list(2));
    script.expect_listen("200");
    assert_eq!(script.sent().timeout(), full / 4);
    // The limit ends after a day. It also ends when the machine was suspended, because it may be in
    // another network by then.
    for (hours, timeout) in [(23, full / 4), (1, full)] {
        script.pass(Duration::from_secs(hours * 60 * 60));
        script.reply(signal("reconnect"));
        script.expect_fetch("200").reply(page("200", &[]));
        script.expect_list().reply(server_list(2));
        script.expect_listen("200");
        assert_eq!(script.sent().timeout(), timeout);
    }
    script.reply(failed(TransportErrorKind::Timeout));
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_listen("200");
    assert_eq!(script.sent().timeout(), full / 2);
    script
        .suspend(Duration::from_secs(3_600))
        .check_clocks_now();
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_list().reply(server_list(1));
    script.expect_listen("200");
    assert_eq!(script.sent().timeout(), full);
}

#[test]
fn poll_counts_as_good_when_the_client_ends_it() {
    let builder = LongPollClient::builder().max_hold(Duration::from_secs(60));
    let mut script = Script::listening_with(builder, 1);
    for _ in 0..5 {
        script.reply(status(404));
        script.expect_fetch("100").reply(page("100", &[]));
        assert!(matches!(script.status(), Status::Retrying { .. }));
        script.expect_fetch("100").assert_waited(0.05, 0.25);
        script.reply(page("100", &[]));
        script.expect_list().reply(server_list(1));
        script.expect_listen("100").pass(Duration::from_secs(51));
        script.reply(failed(TransportErrorKind::Timeout));
        script.expect_fetch("100").reply(page("100", &[]));
        script.expect_listen("100");
    }
}

#[test]
fn host_counts_as_reached_when_its_poll_was_cut() {
    let mut script = Script::listening(1);
    script.reply(failed(TransportErrorKind::Connect));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(server_list(1));
    script.expect_listen("100").pass(Duration::from_secs(1));
    assert!(matches!(script.current_status(), Status::Connecting { .. }));
    script.reply(interrupted());
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_listen("100");
    assert!(matches!(script.current_status(), Status::Listening { .. }));
}

#[test]
fn poll_is_not_halved_when_the_settings_keep_it_short() {
    let builder = LongPollClient::builder().max_hold(Duration::from_secs(200));
    let mut script = Script::listening_with(builder, 1);
    for _ in 0..3 {
        assert_eq!(script.sent().timeout(), Duration::from_secs(200));
        script.reply(failed(TransportErrorKind::Timeout));
        script.expect_fetch("100").reply(page("100", &[]));
        script.expect_listen("100");
    }
}

#[test]
fn status_is_connecting_until_an_unreached_host_responds() {
    let mut script = Script::listening(1);
    assert!(matches!(script.current_status(), Status::Listening { .. }));
    script.reply(failed(TransportErrorKind::Connect));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(server_list(1));
    script.expect_listen("100");
    assert!(matches!(script.current_status(), Status::Connecting { .. }));
    script.check_clocks_after(Duration::from_secs(20));
    assert!(matches!(script.current_status(), Status::Connecting { .. }));
    script.check_clocks_after(Duration::from_secs(1));
    assert!(matches!(script.current_status(), Status::Listening { .. }));
}

#[test]
fn status_is_connecting_for_each_unreached_host() {
    let mut script = Script::listening(2);
    let host = script.host();
    script.reply(failed(TransportErrorKind::Connect));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_listen("100");
    assert_ne!(script.host(), host);
    script.reply(failed(TransportErrorKind::Connect));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(server_list(2));
    for _ in 0..2 {
        script.expect_listen("100");
        assert!(matches!(script.current_status(), Status::Connecting { .. }));
        script.reply(failed(TransportErrorKind::Timeout));
        script.expect_fetch("100").reply(page("100", &[]));
    }
}

#[rstest]
#[case::after_29_s(20, true)]
#[case::after_30_s(21, false)]
fn poll_that_ran_out_had_a_connection_after_30_s(#[case] seconds: u64, #[case] connects: bool) {
    let mut script = Script::listening(1);
    script.reply(failed(TransportErrorKind::Connect));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(server_list(1));
    // `expect_listen` has let nine seconds pass.
    script
        .expect_listen("100")
        .pass(Duration::from_secs(seconds));
    script.reply(failed(TransportErrorKind::Timeout));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(server_list(1));
    script.expect_listen("100");
    assert_eq!(
        matches!(script.current_status(), Status::Connecting { .. }),
        connects
    );
}

#[test]
fn status_is_listening_once_the_host_has_responded() {
    let mut script = Script::listening(1);
    script.reply(failed(TransportErrorKind::Connect));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(server_list(1));
    script.expect_listen("100").reply(signal("reconnect"));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(server_list(1));
    script.expect_listen("100");
    assert!(matches!(script.current_status(), Status::Listening { .. }));
}

#[test]
fn three_polls_without_a_connection_degrade_the_stream() {
    let mut script = Script::listening(1);
    for attempt in 1..=5 {
        script.reply(failed(if attempt == 2 {
            TransportErrorKind::Tls
        } else {
            TransportErrorKind::Connect
        }));
        script.expect_fetch("100").reply(page("100", &[]));
        let degraded = matches!(script.status(), Status::Degraded { .. });
        assert_eq!(degraded, attempt >= 3);
        script.expect_fetch("100");
        if degraded {
            script.assert_waited(30.0, 60.0);
        }
        script.reply(page("100", &[]));
        script.expect_list().reply(server_list(1));
        script.expect_listen("100");
    }
}

#[test]
fn swallowed_list_delays_the_fetch_by_at_most_10_s() {
    let mut script = Script::start("100");
    script.expect_fetch("100");
    assert_eq!(script.sent().timeout(), Duration::from_secs(60));
    script.reply(page("100", &[])).expect_list();
    assert_eq!(script.sent().timeout(), Duration::from_secs(10));
    script.reply(failed(TransportErrorKind::Timeout));
    script.expect_fetch("100").assert_waited(0.05, 0.25);
}

#[test]
fn lists_that_fail_three_times_in_a_row_degrade_the_stream() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(status(404));
    script.expect_list().reply(status(404));
    script.expect_fetch("100").reply(page("100", &[]));
    for _ in 0..3 {
        script.expect_list().reply(status(404));
        assert!(matches!(script.status(), Status::Degraded { .. }));
        script.expect_fetch("100").assert_waited(30.0, 60.0);
        script.reply(page("100", &[]));
    }
    script.expect_list().reply(server_list(1));
    script.expect_listen("100").reply(signal("reconnect"));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(status(404));
    script.expect_list().assert_waited(0.05, 0.25);
}
