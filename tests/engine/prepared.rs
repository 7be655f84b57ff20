//! The page after a poll, whose request is prepared while the poll is held.

use std::time::Duration;

use box_longpoll::protocol::Answer;
use box_longpoll::transport::TransportErrorKind;
use box_longpoll::{Status, TokenError};
use http::header::AUTHORIZATION;
use rstest::rstest;

use crate::script::{Script, failed, page, server_list, signal, status};

/// An engine that is listening at position 101, since its last poll told of an event.
fn listening_after_an_event() -> Script {
    let mut script = Script::listening(1);
    script.reply(signal("new_change"));
    script.expect_fetch("100").reply(page("101", &["a"]));
    script.expect_batch(&["a"]);
    script.expect_fetch("101").reply(page("101", &[]));
    script.expect_listen("101");
    script
}

#[test]
fn what_follows_a_poll_is_what_was_prepared() {
    let mut script = listening_after_an_event();
    script.prepare().expect_nothing_to_prepare();
    script.reply(signal("new_change"));
    script
        .expect_prepared_fetch("101")
        .reply(page("102", &["b"]));
    script.expect_batch(&["b"]);
    script.expect_fetch("102").reply(page("102", &[]));
    script.expect_listen("102").prepare();
}

#[rstest]
#[case::reconnect(signal("reconnect"))]
#[case::unknown(signal("unheard_of"))]
#[case::silence(failed(TransportErrorKind::Timeout))]
#[case::failure(failed(TransportErrorKind::Connect))]
#[case::refusal(status(403))]
fn whatever_ends_the_poll(#[case] answer: Answer) {
    let mut script = listening_after_an_event();
    script.prepare().reply(answer);
    script.expect_prepared_fetch("101");
}

#[test]
fn a_poll_that_is_resent_makes_another_one() {
    let mut script = listening_after_an_event();
    script
        .prepare()
        .reply(failed(TransportErrorKind::Interrupted));
    script.expect_listen("101").prepare();
    script.reply(signal("new_change"));
    script.expect_prepared_fetch("101");
}

#[test]
fn also_where_the_machine_has_slept() {
    let mut script = listening_after_an_event();
    script.prepare().sleep(Duration::from_secs(3_600));
    script.tick_now().expect_prepared_fetch("101");
}

#[test]
fn a_token_that_has_changed_makes_it_another() {
    let mut script = listening_after_an_event();
    script.prepare().use_token("token-2");
    script.reply(signal("new_change"));
    script.expect_another_fetch("101");
    let headers = script.asked().request().headers();
    assert_eq!(headers[AUTHORIZATION], "Bearer token-2");
}

#[test]
fn a_token_that_cannot_be_had_for_now_leaves_it_as_it_is() {
    let mut script = listening_after_an_event();
    script.prepare().reply(signal("new_change"));
    script.fail_next_token(TokenError::transient("later"));
    assert!(matches!(script.status(), Status::Retrying { .. }));
    script.expect_prepared_fetch("101");
}

#[test]
fn a_token_that_is_rejected_makes_it_another() {
    let mut script = listening_after_an_event();
    script.prepare().reply(signal("new_change"));
    script.expect_prepared_fetch("101").reply(status(401));
    script.expect_refresh().give_newer_token("token-2");
    script.expect_fetch("101").reply(page("101", &[]));
    let headers = script.asked().request().headers();
    assert_eq!(headers[AUTHORIZATION], "Bearer token-2");
}

#[test]
fn it_is_what_would_have_been_sent() {
    let sent = |prepare: bool| {
        let mut script = listening_after_an_event();
        if prepare {
            script.prepare();
        }
        script.reply(signal("new_change")).expect_fetch("101");
        let asked = script.asked();
        let limits = (asked.timeout(), asked.max_body());
        format!("{:?} {limits:?}", asked.request())
    };
    assert_eq!(sent(true), sent(false));
}

#[test]
fn it_is_sent_once() {
    let mut script = listening_after_an_event();
    script.prepare().reply(signal("new_change"));
    script.expect_prepared_fetch("101").reply(status(503));
    script.expect_fetch("101").reply(page("101", &[]));
}

#[test]
fn what_was_there_at_the_start_is_nothing_that_happens() {
    let mut script = Script::start("100");
    script.expect_fetch("100").reply(page("101", &["a"]));
    script.expect_batch(&["a"]);
    script.expect_fetch("101").reply(page("101", &[]));
    script.expect_list().reply(server_list(1));
    script.expect_listen("101").expect_nothing_to_prepare();
}

#[test]
fn nothing_is_prepared_where_nothing_happens() {
    let mut script = Script::listening(1);
    script.expect_nothing_to_prepare();
    script.reply(signal("reconnect"));
    script.expect_fetch("100").expect_nothing_to_prepare();
    script.reply(page("100", &[])).expect_list();
    script.expect_nothing_to_prepare().reply(server_list(1));
    script.expect_listen("100").expect_nothing_to_prepare();
}

#[test]
fn who_prepares_nothing_is_asked_to_send() {
    let mut script = listening_after_an_event();
    script.reply(signal("new_change"));
    script.expect_fetch("101");
}
