//! Responses of something on the way: a web filter, a load balancer, a captive portal. They pass.

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
fn a_refusal_that_is_not_boxs_is_retried_and_says_so(#[case] refusal: Response) {
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
fn error_of_box_is_known_when_it_has_up_to_64_kib() {
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
fn a_portal_that_refuses_a_list_is_left_alone_as_it_asks() {
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
fn a_success_that_is_no_page_is_left_alone_as_it_asks() {
    for code in [200, 202, 203] {
        let mut script = Script::start("100");
        let answer = status_with(code, &[("retry-after", "7")], "");
        script.expect_fetch("100").reply(answer);
        script.expect_fetch("100").assert_waited(7.0, 7.0);
        script.reply(page("100", &[]));
        let answer = status_with(code, &[("retry-after", "8")], "");
        script.expect_list().reply(answer);
        script.expect_fetch("100").assert_waited(8.0, 8.0);
    }
}

#[test]
fn a_portals_401_asks_for_a_newer_token_and_goes_on_with_the_old_one() {
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
fn a_portals_401s_ask_for_a_newer_token_every_five_minutes() {
    let mut script = Script::start("100");
    let (mut refreshes, mut passed) = (0, Duration::ZERO);
    while passed < Duration::from_secs(1_800) {
        script.expect_fetch("100");
        assert_eq!(
            script.asked().request().headers()["authorization"],
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
    // One call that gets through, and all is well.
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(portal());
    assert!(matches!(script.status(), Status::Retrying { .. }));
}

#[test]
fn a_portals_401s_degrade_the_stream_after_ten_minutes() {
    let mut script = Script::start("100");
    let mut passed = Duration::ZERO;
    while !matches!(script.doing(), Status::Degraded { .. }) {
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
fn a_second_401_of_boxs_own_stops_the_stream_whatever_came_before() {
    for boxs_own in [
        status(401),
        status_with(401, &[("www-authenticate", "Bearer realm=\"Service\"")], ""),
    ] {
        let mut script = Script::start("100");
        script.expect_fetch("100").reply(portal());
        script.expect_refresh().give_newer_token("token-1");
        script.expect_fetch("100").reply(boxs_own);
        script.expect_stop(ErrorKind::Unauthorized);
    }
}

#[test]
fn a_token_that_runs_out_after_a_portal_is_renewed_as_ever() {
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
fn a_newer_token_that_a_portal_refuses_stops_nothing_and_is_not_renewed() {
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
fn a_portals_401_goes_on_with_the_token_while_the_source_fails() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(portal());
    script.expect_refresh();
    // The source has none to give by now, and is not asked.
    script.use_token("another");
    script.fail_token(TokenError::transient("the token endpoint is away"));
    script.expect_fetch("100");
    let headers = script.asked().request().headers();
    assert_eq!(headers["authorization"], "Bearer token-1");
}

#[test]
fn a_portal_before_the_lists_alone_renews_no_token_each_time() {
    let mut script = Script::start("100");
    let (mut refreshes, mut passed) = (0, Duration::ZERO);
    while passed < Duration::from_secs(1_800) {
        if script.is_refresh_due() {
            script.expect_refresh().give_newer_token("token-2");
            refreshes += 1;
        }
        let is_list = script.expect_any().asked().request().method() == http::Method::OPTIONS;
        passed += script.waited();
        script.reply(if is_list { portal() } else { page("100", &[]) });
    }
    assert!((1..=7).contains(&refreshes), "{refreshes}");
}

/// What Box says of a parameter, and the kind that it becomes.
#[rstest]
#[case("created_after is beyond one year in the past", Some("created_after"))]
#[case(
    "created_after is invalid since it is in the future",
    Some("created_after")
)]
#[case("Invalid value 'X' for event_type", Some("event_type"))]
#[case("Invalid limit: 501", Some("limit"))]
#[case("Invalid stream type", Some("stream_type"))]
fn a_rejected_parameter_is_named_and_not_the_position(
    #[case] message: &str,
    #[case] named: Option<&str>,
) {
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
fn a_rejected_position_is_one(#[case] message: &str) {
    let mut script = Script::start("abc");
    script.expect_fetch("abc").reply(bad_request(message));
    assert_eq!(script.stopped().kind(), ErrorKind::PositionRejected);
    // Where none was sent none can be rejected.
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
fn times_are_asked_for_in_whole_seconds_that_leave_nothing_out() {
    let time = |nanos| Timestamp::from_nanosecond(nanos).expect("a time");
    let query = AdminLogs::new()
        .created_after(time(1_700_000_000_999_999_999))
        .created_before(time(1_700_000_100_000_000_001));
    let mut script = Script::query(query);
    let sent = script.expect_any().asked().request().uri().to_string();
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
fn the_last_365_days_do_not_fall_over_the_edge_on_the_way() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let asked_after = |ago: Duration, script_runs: Duration| {
        let now = box_longpoll::transport::Moment::read_clocks().wall;
        let now = Timestamp::try_from(now).expect("a time");
        let mut script = Script::query(AdminLogs::new().created_after(now - ago));
        script.pass(script_runs).expect_any();
        let uri = script.asked().request().uri().to_string();
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
        let ago = asked_after(365 * DAY, runs);
        assert!(ago + Duration::from_secs(50) <= 365 * DAY, "{ago:?}");
    }
    // So does one that was made a moment before.
    let a_minute = Duration::from_secs(60);
    assert!(asked_after(365 * DAY + a_minute, Duration::ZERO) < 365 * DAY);
    // What lies inside, and what lies far outside, goes along as it is.
    assert!(asked_after(364 * DAY, Duration::ZERO) >= 364 * DAY);
    assert!(asked_after(366 * DAY, Duration::ZERO) >= 366 * DAY);
    assert!(asked_after(400 * DAY, Duration::ZERO) >= 400 * DAY);
}
