//! Responses of something on the way: a web filter, a load balancer, a captive portal. They are
//! retried, because they pass.

use std::time::Duration;

use box_longpoll::auth::TokenError;
use box_longpoll::enterprise::AdminLogs;
use box_longpoll::protocol::Response;
use box_longpoll::{ErrorKind, Status};
use jiff::Timestamp;
use rstest::rstest;

use crate::script::{Script, page, server_list, signal, status, status_with};

const HTML: &[(&str, &str)] = &[("content-type", "text/html")];

fn portal() -> Response {
    status_with(401, HTML, "<html>Please log in to the network</html>")
}

#[rstest]
#[case(status_with(403, HTML, "<html>Request blocked</html>"))]
#[case(status_with(403, &[], r#"{"message":"Forbidden"}"#))]
#[case(status_with(400, &[], ""))]
#[case(status_with(400, &[], "<html><center>nginx</center></html>"))]
fn refusal_that_is_not_boxs_is_retried_and_says_so(#[case] refusal: Response) {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(refusal);
    let error = script.failure();
    assert_eq!(error.kind(), ErrorKind::Status);
    assert!(
        error.to_string().contains("does not look like Box"),
        "{error}"
    );
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
}

#[test]
fn error_of_box_is_recognized_up_to_64_kib() {
    let error = |bytes| {
        let message = "x".repeat(bytes);
        let body = format!(r#"{{"type":"error","message":"{message}"}}"#);
        status_with(403, &[], &body)
    };
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(error(70_000));
    assert_eq!(script.failure().kind(), ErrorKind::Status);
    script.expect_fetch("100").reply(error(60_000));
    script.expect_stop(ErrorKind::Forbidden);
}

#[test]
fn status_429_is_a_rate_limit() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(status(429));
    assert_eq!(script.failure().kind(), ErrorKind::RateLimited);
}

#[test]
fn retry_after_of_a_portal_is_respected_for_a_list() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(status_with(
        403,
        &[("retry-after", "7")],
        "<html>Blocked by policy</html>",
    ));
    script.expect_fetch("100").assert_waited(7.0, 7.0);
}

#[test]
fn retry_after_is_respected_on_a_success_without_a_page() {
    for code in [200, 202, 203] {
        let mut script = Script::start("100");
        let response = status_with(code, &[("retry-after", "7")], "");
        script.expect_fetch("100").reply(response);
        script.expect_fetch("100").assert_waited(7.0, 7.0);
        script.reply(page("100", &[]));
        let response = status_with(code, &[("retry-after", "8")], "");
        script.expect_list().reply(response);
        script.expect_fetch("100").assert_waited(8.0, 8.0);
    }
}

#[test]
fn portal_401_refreshes_and_keeps_the_old_token() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(portal());
    script
        .expect_refresh()
        .fail_token(TokenError::permanent("a fixed token"));
    assert_eq!(script.failure().kind(), ErrorKind::Status);
    script.expect_fetch("100").reply(page("200", &["a"]));
    script.expect_batch(&["a"]);
}

#[test]
fn portal_401s_refresh_the_token_every_five_minutes() {
    let mut script = Script::start("100");
    let (mut refreshes, mut passed) = (0, Duration::ZERO);
    while passed < Duration::from_secs(1_800) {
        script.expect_fetch("100");
        assert_eq!(
            script.sent().request().headers()["authorization"],
            "Bearer token-1"
        );
        passed += script.waited();
        script.reply(portal());
        if script.is_refresh_due() {
            script.expect_refresh().give_newer_token("token-1");
            refreshes += 1;
        }
    }
    assert!((6..=7).contains(&refreshes), "{refreshes}");
    script.expect_fetch("100").reply(portal());
    let Status::Degraded { because, .. } = script.status() else {
        panic!("{:?}", script.status());
    };
    assert!(because.to_string().contains("does not look like Box"));
    // After one successful call the stream is not degraded any more.
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(portal());
    assert!(matches!(script.status(), Status::Retrying { .. }));
}

#[test]
fn portal_401s_degrade_the_stream_after_ten_minutes() {
    let mut script = Script::start("100");
    let mut passed = Duration::ZERO;
    while !matches!(script.current_status(), Status::Degraded { .. }) {
        if script.is_refresh_due() {
            script.expect_refresh().give_newer_token("token-1");
        }
        script.expect_fetch("100");
        passed += script.waited();
        assert!(passed < Duration::from_secs(1_800), "never degraded");
        script.reply(portal());
    }
    assert!((600..=660).contains(&passed.as_secs()), "{passed:?}");
}

#[test]
fn second_401_stops_the_stream_when_it_is_from_box() {
    for from_box in [
        status(401),
        status_with(401, &[("www-authenticate", "Bearer realm=\"Service\"")], ""),
    ] {
        let mut script = Script::start("100");
        script.expect_fetch("100").reply(portal());
        script.expect_refresh().give_newer_token("token-1");
        script.expect_fetch("100").reply(from_box);
        script.expect_stop(ErrorKind::Unauthorized);
    }
}

#[test]
fn token_that_expires_after_a_portal_is_refreshed() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(portal());
    script.expect_refresh().give_newer_token("token-1");
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(status(401));
    script.expect_refresh().give_newer_token("token-2");
    script.expect_list().reply(server_list(1));
    script.expect_listen("100").reply(signal("new_change"));
    script.expect_fetch("100");
}

#[test]
fn portal_401_for_a_new_token_does_not_refresh_again() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(status(401));
    script.expect_refresh().give_newer_token("token-2");
    for _ in 0..5 {
        script.expect_fetch("100").reply(portal());
        assert!(matches!(script.status(), Status::Retrying { .. }));
    }
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list();
}

#[test]
fn portal_401_keeps_the_token_while_the_source_fails() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(portal());
    script.expect_refresh();
    // The source has another token by now, but it is not called again.
    script.use_token("another");
    script.fail_token(TokenError::transient("the token endpoint is away"));
    script.expect_fetch("100");
    let headers = script.sent().request().headers();
    assert_eq!(headers["authorization"], "Bearer token-1");
}

#[test]
fn portal_before_lists_alone_does_not_refresh_each_time() {
    let mut script = Script::start("100");
    let (mut refreshes, mut passed) = (0, Duration::ZERO);
    while passed < Duration::from_secs(1_800) {
        if script.is_refresh_due() {
            script.expect_refresh().give_newer_token("token-2");
            refreshes += 1;
        }
        let is_list = script.expect_any().sent().request().method() == http::Method::OPTIONS;
        passed += script.waited();
        script.reply(if is_list { portal() } else { page("100", &[]) });
    }
    assert!((1..=7).contains(&refreshes), "{refreshes}");
}

/// Each case has Box's message, and the parameter that it names.
#[rstest]
#[case("created_after is beyond one year in the past", Some("created_after"))]
#[case(
    "created_after is invalid since it is in the future",
    Some("created_after")
)]
#[case("Invalid value 'X' for event_type", Some("event_type"))]
#[case("Invalid limit: 501", Some("limit"))]
#[case("Invalid stream type", Some("stream_type"))]
fn rejected_parameter_is_named(#[case] message: &str, #[case] named: Option<&str>) {
    let mut script = Script::query_from(position("1152922976252290886"), AdminLogs::new());
    script.expect_any().reply(bad_request(message));
    let error = script.stopped();
    assert_eq!(error.kind(), ErrorKind::ParameterRejected, "{error}");
    assert_eq!(error.parameter(), named);
    assert!(error.to_string().contains(message), "{error}");
}

#[rstest]
#[case("Invalid stream position")]
#[case("stream_position abc is invalid")]
#[case("Bad request")]
fn rejected_position_has_its_own_kind(#[case] message: &str) {
    let mut script = Script::start("abc");
    script.expect_fetch("abc").reply(bad_request(message));
    assert_eq!(script.stopped().kind(), ErrorKind::PositionRejected);
    // If no position was sent, Box cannot have rejected it.
    for start in ["now", "oldest"] {
        let mut script = Script::start(start);
        script.expect_any().reply(bad_request(message));
        assert_eq!(script.stopped().kind(), ErrorKind::ParameterRejected);
    }
}

#[test]
fn a_parameter_beside_the_message_is_named() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(status_with(
        400,
        &[],
        r#"{"type":"error","code":"bad_request","context_info":{"errors":[{"reason":"invalid_parameter","name":"limit","message":"stream_position"}]}}"#,
    ));
    assert_eq!(script.stopped().parameter(), Some("limit"));
}

fn position(text: &str) -> box_longpoll::StartAt {
    text.parse().expect("a position")
}

fn bad_request(message: &str) -> Response {
    let body = format!(r#"{{"type":"error","code":"bad_request","message":"{message}"}}"#);
    status_with(400, &[], &body)
}

#[test]
fn times_are_rounded_to_seconds_that_leave_nothing_out() {
    let time = |nanos| Timestamp::from_nanosecond(nanos).expect("a time");
    let query = AdminLogs::new()
        .created_after(time(1_700_000_000_999_999_999))
        .created_before(time(1_700_000_100_000_000_001));
    let mut script = Script::query(query);
    let sent = script.expect_any().sent().request().uri().to_string();
    assert!(
        sent.contains("created_after=2023-11-14T22%3A13%3A20Z"),
        "{sent}"
    );
    assert!(
        sent.contains("created_before=2023-11-14T22%3A15%3A01Z"),
        "{sent}"
    );
}

#[test]
fn query_of_365_days_stays_within_box_limit() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let sent_age = |ago: Duration, script_runs: Duration| {
        let now = box_longpoll::transport::Moment::read_clocks().wall;
        let now = Timestamp::try_from(now).expect("a time");
        let mut script = Script::query(AdminLogs::new().created_after(now - ago));
        script.pass(script_runs).expect_any();
        let uri = script.sent().request().uri().to_string();
        let url = url::Url::parse(&uri).expect("a URL");
        let mut pairs = url.query_pairs();
        let (_, sent) = pairs
            .find(|(name, _)| name == "created_after")
            .expect("a time");
        let sent: Timestamp = sent.parse().expect("a time");
        (now + script_runs).duration_since(sent).unsigned_abs()
    };
    for runs in [
        Duration::ZERO,
        Duration::from_secs(3_600),
        23 * 3_600 * Duration::from_secs(1),
    ] {
        let ago = sent_age(365 * DAY, runs);
        assert!(ago + Duration::from_secs(50) <= 365 * DAY, "{ago:?}");
    }
    // A query that was built a minute earlier is shortened as well.
    let a_minute = Duration::from_secs(60);
    assert!(sent_age(365 * DAY + a_minute, Duration::ZERO) < 365 * DAY);
    // Times well inside the year, and times far outside, are sent unchanged.
    assert!(sent_age(364 * DAY, Duration::ZERO) >= 364 * DAY);
    assert!(sent_age(366 * DAY, Duration::ZERO) >= 366 * DAY);
    assert!(sent_age(400 * DAY, Duration::ZERO) >= 400 * DAY);
}
