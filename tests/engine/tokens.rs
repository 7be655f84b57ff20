//! Tokens that Box rejects, and token sources that fail.

use std::time::Duration;

use box_longpoll::auth::TokenError;
use box_longpoll::transport::TransportErrorKind;
use box_longpoll::{ErrorKind, Status};

use crate::script::{Script, failed, page, server_list, signal, status};

#[test]
fn refreshed_token_that_works_may_expire_again() {
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
fn refreshed_token_that_expired_in_an_outage_is_refreshed() {
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
fn refreshed_token_rejected_within_half_an_hour_is_invalid() {
    let rejected_after = |minutes: u64| {
        let mut script = Script::start("100");
        script.expect_fetch("100").reply(status(401));
        script.expect_refresh().give_newer_token("token-2");
        script
            .expect_fetch("100")
            .pass(Duration::from_secs(minutes * 60));
        script.reply(status(401));
        script
    };
    rejected_after(29).expect_stop(ErrorKind::Unauthorized);
    rejected_after(31).expect_refresh();
}

#[test]
fn refresh_that_returns_the_same_token_stops_the_stream() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(status(401));
    script.expect_refresh().give_newer_token("token-1");
    script.expect_stop(ErrorKind::Unauthorized);
}

#[test]
fn token_source_is_retried_unless_it_fails_permanently() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(status(401));
    script
        .expect_refresh()
        .fail_token(TokenError::transient("later"));
    assert!(matches!(script.status(), Status::Retrying { .. }));
    script.expect_refresh().assert_waited(0.05, 0.25);
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

#[test]
fn list_proves_a_refreshed_token_as_a_page_does() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(status(401));
    script.expect_refresh().give_newer_token("token-2");
    script.expect_list().reply(server_list(1));
    script.expect_listen("100").reply(signal("new_change"));
    // Box has accepted the token once, so it was valid and may have expired by now.
    script.expect_fetch("100").reply(status(401));
    script.expect_refresh().give_newer_token("token-3");
    script.expect_fetch("100");
}

#[test]
fn source_that_fails_permanently_stops_the_stream() {
    let mut script = Script::start("100");
    script.fail_next_token(TokenError::permanent("never"));
    script.expect_stop(ErrorKind::Unauthorized);
}

#[test]
fn failed_source_is_not_called_at_once_by_the_other_lane() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(server_list(1));
    script.expect_listen("100").reply(signal("reconnect"));
    // Both lanes need a token now: for a list, and for a fetch beside it.
    script.fail_next_token(TokenError::transient("later"));
    assert!(matches!(script.status(), Status::Retrying { .. }));
    script.expect_fetch("100").assert_waited(0.05, 0.25);
}
