//! The client credentials grant: its subjects, and the form of its response.

use std::collections::BTreeSet;

use box_longpoll_testkit::Request;
use rstest::rstest;
use serde_json::json;

use crate::world::{APP, World, access_token, assert_refused, token_request};

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

#[test]
fn a_response_has_boxs_fields() {
    let mut world = World::new();
    let request = token_request(APP, &[GRANT]);
    let response = world.response(&request);
    assert_eq!(response.header_value("Cache-Control"), Some("no-store"));
    let mut body: serde_json::Value = serde_json::from_slice(&response.body).expect("JSON");
    let token = access_token(&body);
    assert!(token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    body["access_token"] = json!("…");
    assert_eq!(
        body,
        json!({"access_token": "…", "expires_in": 3600, "restricted_to": [], "token_type": "bearer"})
    );
}

#[test]
fn tokens_differ_but_are_the_same_in_the_next_run() {
    let issue = || {
        let mut world = World::new();
        [(); 2].map(|()| world.token_for("user", "1"))
    };
    let [first, second] = issue();
    assert_ne!(first, second);
    assert_eq!(issue(), [first, second]);
}

#[test]
fn the_service_account_logs_in_without_a_subject() {
    let mut world = World::new();
    let token = access_token(&world.log_in(APP, &[GRANT]).expect("a token"));
    assert_eq!(world.account_of(&token).as_deref(), Some("enterprise 42"));
}

#[rstest]
#[case("enterprise", "42", "enterprise 42")]
#[case("user", "17", "17")]
fn a_subject_leads_to_its_account(#[case] kind: &str, #[case] id: &str, #[case] account: &str) {
    let mut world = World::new();
    let token = world.token_for(kind, id);
    assert_eq!(world.account_of(&token).as_deref(), Some(account));
}

#[rstest]
#[case::another_enterprise(&[("box_subject_type", "enterprise"), ("box_subject_id", "43")])]
#[case::another_kind(&[("box_subject_type", "group"), ("box_subject_id", "42")])]
#[case::nobody(&[("box_subject_type", "user"), ("box_subject_id", "")])]
#[case::no_id(&[("box_subject_type", "user")])]
#[case::no_kind(&[("box_subject_id", "17")])]
fn an_invalid_subject_is_refused(#[case] subject: &[(&str, &str)]) {
    let form = [&[GRANT], subject].concat();
    let outcome = World::new().log_in(APP, &form);
    assert_refused(outcome, "invalid_grant", "Grant credentials are invalid");
}

#[test]
fn an_application_can_be_limited_to_some_users() {
    let mut world = World::new();
    world.emulator.change_application(APP, |application| {
        application.users = Some(BTreeSet::from(["17".into()]));
    });
    world.token_for("user", "17");
    let stranger = [
        GRANT,
        ("box_subject_type", "user"),
        ("box_subject_id", "18"),
    ];
    let outcome = world.log_in(APP, &stranger);
    assert_refused(outcome, "invalid_grant", "Grant credentials are invalid");
}

#[test]
fn a_users_token_leads_to_the_users_events() {
    let mut world = World::new();
    world.emulator.append("17", 3, world.now);
    let token = world.token_for("user", "17");
    world.call(&token);
    assert_eq!(world.last_record().events, 3);
}

#[test]
fn a_service_account_can_act_as_a_user() {
    let mut world = World::new();
    let token = world.token_for("enterprise", "42");
    let request = Request::get("/2.0/events")
        .header("Authorization", &format!("Bearer {token}"))
        .header("As-User", "17");
    assert_eq!(world.response(&request).status, 200);
    assert_eq!(world.last_record().account.as_deref(), Some("17"));
    let callers: Vec<_> = world.emulator.callers().into_keys().collect();
    assert_eq!(callers, ["enterprise 42 by app as 17"]);
}
