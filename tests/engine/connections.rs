//! Connections that die under a request, that cannot be made, and that something on the way cuts.

use std::time::Duration;

use box_longpoll::config::{Pace, RealtimeToken};
use box_longpoll::protocol::Response;
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
        assert!(!script.asked().fresh_connection());
        script.reply(failure).expect_fetch("100");
        script.assert_waited(0.0, 0.0);
        assert!(script.asked().fresh_connection());
        script.reply(page("100", &[])).expect_list();
        assert!(!script.asked().fresh_connection());
    }
}

#[test]
fn a_list_that_is_interrupted_is_resent_as_a_list() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(interrupted());
    script.expect_list().assert_waited(0.0, 0.0);
    assert!(script.asked().fresh_connection());
    script.reply(server_list(1)).expect_listen("100");
}

#[test]
fn a_poll_that_is_interrupted_at_once_is_resent() {
    let mut script = Script::listening(1);
    script.reply(interrupted());
    script.expect_listen("100").assert_waited(0.0, 0.0);
    assert!(script.asked().fresh_connection());
    script.reply(signal("new_change")).expect_fetch("100");
}

#[test]
fn poll_is_resent_with_its_token() {
    let builder = LongPollClient::builder().realtime_token(RealtimeToken::Send);
    let mut script = Script::listening_with(builder, 1);
    let token = script.asked().request().headers()["authorization"].clone();
    script.reply(interrupted());
    script.expect_listen("100");
    assert_eq!(script.asked().request().headers()["authorization"], token);
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
fn a_request_is_resent_once_and_then_backed_off_from() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(interrupted());
    script.expect_fetch("100").reply(interrupted());
    script.expect_fetch("100").assert_waited(0.05, 0.25);
    assert!(!script.asked().fresh_connection());
    script.reply(interrupted());
    script.expect_fetch("100").assert_waited(0.0, 0.0);
    script.reply(interrupted());
    script.expect_fetch("100").assert_waited(0.5, 1.5);
}

#[test]
fn a_request_on_a_connection_of_its_own_is_not_resent() {
    let mut script = Script::start("100");
    script
        .expect_fetch("100")
        .reply(interrupted_on_a_connection(false));
    script.expect_fetch("100").assert_waited(0.05, 0.25);
    assert!(!script.asked().fresh_connection());
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

/// Whatever a proxy does to a poll that it finds too long.
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
fn a_refusal_stays_one_however_long_the_poll_was_held(#[case] refusal: Response) {
    let mut script = Script::listening(2);
    script.pass(Duration::from_secs(60)).reply(refusal);
    script.expect_fetch("100").reply(page("100", &[]));
    assert!(matches!(script.status(), Status::Retrying { .. }));
}

#[test]
fn a_poll_that_was_swallowed_halves_the_next_ones() {
    let mut script = Script::listening(2);
    let full = script.asked().timeout();
    assert_eq!(full, Duration::from_secs(615));
    script.reply(failed(TransportErrorKind::Timeout));
    script.expect_fetch("100").reply(page("100", &[]));
    for _ in 0..3 {
        script.expect_listen("100");
        assert_eq!(script.asked().timeout(), full / 2);
        script.reply(failed(TransportErrorKind::Timeout));
        script.expect_fetch("100").reply(page("100", &[]));
    }
    // A poll that had missed an event was swallowed as well.
    script.expect_listen("100");
    script.reply(failed(TransportErrorKind::Timeout));
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_list().reply(server_list(2));
    script.expect_listen("200");
    assert_eq!(script.asked().timeout(), full / 4);
    // A day later it may be otherwise, and in another network.
    for (hours, timeout) in [(23, full / 4), (1, full)] {
        script.pass(Duration::from_secs(hours * 60 * 60));
        script.reply(signal("reconnect"));
        script.expect_fetch("200").reply(page("200", &[]));
        script.expect_list().reply(server_list(2));
        script.expect_listen("200");
        assert_eq!(script.asked().timeout(), timeout);
    }
    script.reply(failed(TransportErrorKind::Timeout));
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_listen("200");
    assert_eq!(script.asked().timeout(), full / 2);
    script.sleep(Duration::from_secs(3_600)).tick_now();
    script.expect_fetch("200").reply(page("200", &[]));
    script.expect_list().reply(server_list(1));
    script.expect_listen("200");
    assert_eq!(script.asked().timeout(), full);
}

#[test]
fn polls_that_we_end_ourselves_are_good_ones() {
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
fn a_host_whose_poll_was_cut_has_been_reached() {
    let mut script = Script::listening(1);
    script.reply(failed(TransportErrorKind::Connect));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(server_list(1));
    script.expect_listen("100").pass(Duration::from_secs(1));
    assert!(matches!(script.doing(), Status::Connecting { .. }));
    script.reply(interrupted());
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_listen("100");
    assert!(matches!(script.doing(), Status::Listening { .. }));
}

#[test]
fn polls_that_the_settings_keep_short_are_not_halved() {
    let builder = LongPollClient::builder().max_hold(Duration::from_secs(200));
    let mut script = Script::listening_with(builder, 1);
    for _ in 0..3 {
        assert_eq!(script.asked().timeout(), Duration::from_secs(200));
        script.reply(failed(TransportErrorKind::Timeout));
        script.expect_fetch("100").reply(page("100", &[]));
        script.expect_listen("100");
    }
}

#[test]
fn a_host_that_was_not_reached_is_connected_to_until_it_shows_itself() {
    let mut script = Script::listening(1);
    assert!(matches!(script.doing(), Status::Listening { .. }));
    script.reply(failed(TransportErrorKind::Connect));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(server_list(1));
    script.expect_listen("100");
    assert!(matches!(script.doing(), Status::Connecting { .. }));
    script.tick_after(Duration::from_secs(20));
    assert!(matches!(script.doing(), Status::Connecting { .. }));
    script.tick_after(Duration::from_secs(1));
    assert!(matches!(script.doing(), Status::Listening { .. }));
}

#[test]
fn hosts_that_were_not_reached_are_each_connected_to() {
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
        assert!(matches!(script.doing(), Status::Connecting { .. }));
        script.reply(failed(TransportErrorKind::Timeout));
        script.expect_fetch("100").reply(page("100", &[]));
    }
}

#[rstest]
#[case::after_29_s(20, true)]
#[case::after_30_s(21, false)]
fn poll_that_ran_out_was_connected_after_30_s(#[case] seconds: u64, #[case] connects: bool) {
    let mut script = Script::listening(1);
    script.reply(failed(TransportErrorKind::Connect));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(server_list(1));
    // Nine seconds have passed by then.
    script
        .expect_listen("100")
        .pass(Duration::from_secs(seconds));
    script.reply(failed(TransportErrorKind::Timeout));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(server_list(1));
    script.expect_listen("100");
    assert_eq!(
        matches!(script.doing(), Status::Connecting { .. }),
        connects
    );
}

#[test]
fn a_host_that_has_responded_is_listened_to() {
    let mut script = Script::listening(1);
    script.reply(failed(TransportErrorKind::Connect));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(server_list(1));
    script.expect_listen("100").reply(signal("reconnect"));
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(server_list(1));
    script.expect_listen("100");
    assert!(matches!(script.doing(), Status::Listening { .. }));
}

#[test]
fn after_three_polls_without_a_connection_the_stream_is_degraded() {
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
fn a_list_that_is_swallowed_keeps_nobody_from_fetching_for_long() {
    let mut script = Script::start("100");
    script.expect_fetch("100");
    assert_eq!(script.asked().timeout(), Duration::from_secs(60));
    script.reply(page("100", &[])).expect_list();
    assert_eq!(script.asked().timeout(), Duration::from_secs(10));
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
