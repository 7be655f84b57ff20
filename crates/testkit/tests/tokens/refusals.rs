//! Refusals of the token endpoint that are independent of the grant, and their records in the
//! request log.

use std::collections::BTreeSet;

use box_longpoll_testkit::{Grant, Outcome, Request};
use rstest::rstest;

use crate::world::{APP, OTHER, World, assert_refused, token_request};

const GRANT: (&str, &str) = ("grant_type", "client_credentials");
const WRONG_CLIENT: &str = "The client credentials are invalid";

#[test]
fn an_unregistered_client_is_refused() {
    let outcome = World::new().log_in("stranger", &[GRANT]);
    assert_refused(outcome, "invalid_client", WRONG_CLIENT);
}

#[test]
fn a_client_with_another_secret_is_refused() {
    let mut world = World::new();
    world.emulator.change_application(APP, |application| {
        application.client_secret = "a new secret".into();
    });
    let outcome = world.log_in(APP, &[GRANT]);
    assert_refused(outcome, "invalid_client", WRONG_CLIENT);
    assert!(world.log_in(OTHER, &[GRANT]).is_ok());
}

#[rstest]
#[case("client_id=app&grant_type=client_credentials")]
#[case("client_secret=the+secret&grant_type=client_credentials")]
#[case("grant_type=client_credentials")]
fn a_client_without_credentials_is_refused(#[case] form: &str) {
    let mut world = World::new();
    let response = world.response(&Request::new("POST", "/oauth2/token").body(form));
    assert_eq!(response.status, 400);
    assert_eq!(world.last_record().refusal, Some("invalid_client"));
}

#[rstest]
#[case(&[], "invalid_request", "Invalid grant_type parameter or parameter missing")]
#[case(&[("grant_type", "password")], "unsupported_grant_type", "The grant type is not supported")]
fn an_unknown_grant_is_refused(
    #[case] form: &[(&str, &str)],
    #[case] error: &str,
    #[case] description: &str,
) {
    assert_refused(World::new().log_in(APP, form), error, description);
}

#[test]
fn a_grant_outside_the_application_is_refused() {
    let mut world = World::new();
    world.emulator.change_application(APP, |application| {
        application.grants = BTreeSet::from([Grant::RefreshToken]);
    });
    let outcome = world.log_in(APP, &[GRANT]);
    let description = "The grant type is unauthorized for this client_id";
    assert_refused(outcome, "invalid_request", description);
}

#[test]
fn an_application_gets_tokens_only_while_authorized() {
    let mut world = World::new();
    let before = world.token_for("user", "1");
    let refresh_token = world.emulator.grant_refresh_token(APP, "1", world.now);
    world
        .emulator
        .change_application(APP, |application| application.authorized = false);
    let description = "This app is not authorized by the enterprise admin";
    let outcome = world.log_in(APP, &[GRANT]);
    assert_refused(outcome, "unauthorized_client", description);
    let outcome = world.refresh(&refresh_token);
    assert_refused(outcome, "unauthorized_client", description);
    assert_eq!(world.call(&before), 200, "an issued token became invalid");
    world
        .emulator
        .change_application(APP, |application| application.authorized = true);
    assert!(world.log_in(APP, &[GRANT]).is_ok());
    assert!(
        world.refresh(&refresh_token).is_ok(),
        "the refusal used up the token"
    );
}

#[test]
#[should_panic(expected = "no application has the client ID stranger")]
fn an_unknown_application_cannot_be_changed() {
    World::new()
        .emulator
        .change_application("stranger", |application| application.authorized = true);
}

#[test]
fn the_endpoint_accepts_only_post() {
    let response = World::new().response(&Request::get("/oauth2/token"));
    assert_eq!(response.status, 405);
}

#[test]
fn the_request_log_has_grants_and_outcomes_but_no_secrets() {
    let mut world = World::new();
    let seeded = world.emulator.grant_refresh_token(APP, "1", world.now);
    let issued = world.refresh(&seeded).expect("a token");
    let granted = world.last_record();
    assert_eq!(granted.grant, Some(Grant::RefreshToken));
    assert_eq!(granted.outcome, Outcome::Responded(200));
    assert_eq!((granted.token, granted.refusal), (Some(0), None));
    assert_eq!(granted.account.as_deref(), Some("1"));

    world.refresh(&seeded).expect_err("it was used");
    let refused = world.last_record();
    assert_eq!(refused.outcome, Outcome::Responded(400));
    assert_eq!(
        (refused.token, refused.refusal),
        (None, Some("invalid_grant"))
    );

    world.call(issued["access_token"].as_str().expect("a token"));
    assert_eq!(world.last_record().token, Some(0));

    let records: Vec<_> = world.emulator.requests().collect();
    let log = serde_json::to_string(&records).expect("JSON");
    for secret in [&issued["access_token"], &issued["refresh_token"]] {
        assert!(!log.contains(secret.as_str().expect("a secret")));
    }
    assert!(!log.contains(&seeded) && !log.contains(crate::world::SECRET));
}

#[test]
fn token_requests_are_counted_separately() {
    let mut world = World::new();
    world.response(&token_request(APP, &[GRANT]));
    world.response(&token_request(APP, &[]));
    let counters = world.emulator.counters();
    assert_eq!((counters.token.requests, counters.total.requests), (2, 2));
    assert!(world.emulator.callers().is_empty());
}
