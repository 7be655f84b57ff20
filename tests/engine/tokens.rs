//! Tokens that are rejected, and sources that fail.

use std::time::Duration;

use box_longpoll::auth::TokenError;
use box_longpoll::transport::TransportErrorKind;
use box_longpoll::{ErrorKind, Status};

use crate::script::{Script, failed, page, server_list, signal, status};

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
fn a_renewed_token_that_is_rejected_within_half_an_hour_was_never_any_good() {
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
fn a_list_proves_a_renewed_token_as_a_page_does() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(page("100", &[]));
    script.expect_list().reply(status(401));
    script.expect_refresh().give_newer_token("token-2");
    script.expect_list().reply(server_list(1));
    script.expect_listen("100").reply(signal("new_change"));
    // Box has taken it once, so it was good, and may be over by now.
    script.expect_fetch("100").reply(status(401));
    script.expect_refresh().give_newer_token("token-3");
    script.expect_fetch("100");
}

#[test]
fn a_source_that_fails_for_good_stops_the_stream() {
    let mut script = Script::start("100");
    script.fail_next_token(TokenError::permanent("never"));
    script.expect_stop(ErrorKind::Unauthorized);
}
