//! The lifetimes of access tokens, and the calls with expired or revoked ones.

use std::collections::BTreeMap;
use std::time::Duration;

use box_longpoll_testkit::{Request, Settings};
use rstest::rstest;

use crate::world::{APP, World, access_token, api_call};

#[rstest]
#[case(3_600_000, 3600)]
#[case(5_000, 5)]
#[case(1_500, 1)]
#[case(250, 1)]
fn a_token_lives_as_long_as_the_settings_say(#[case] lifetime: u64, #[case] expires_in: u64) {
    let mut world = World::with(Settings {
        token_lifetime_ms: lifetime,
        ..Settings::default()
    });
    let grant = [("grant_type", "client_credentials")];
    let issued = world.log_in(APP, &grant).expect("a token");
    assert_eq!(issued["expires_in"], expires_in);
    let token = access_token(&issued);
    world.pass(Duration::from_millis(lifetime - 1));
    assert_eq!(world.call(&token), 200);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.call(&token), 401);
}

#[test]
fn an_expired_token_is_refused_as_box_does() {
    let mut world = World::new();
    let token = world.token_for("user", "1");
    world.pass(Duration::from_secs(3600));
    for request in [api_call(&token), list_call(&token)] {
        let response = world.response(&request);
        assert_eq!(response.status, 401);
        assert_eq!(
            response.header_value("WWW-Authenticate"),
            Some(
                r#"Bearer realm="Service", error="invalid_token", error_description="The access token provided is invalid.""#
            )
        );
    }
}

fn list_call(token: &str) -> Request {
    Request::new("OPTIONS", "/2.0/events").header("Authorization", &format!("Bearer {token}"))
}

#[test]
fn a_changed_lifetime_applies_to_later_tokens() {
    let mut world = World::new();
    let long = world.token_for("user", "1");
    world
        .emulator
        .change_settings(|settings| settings.token_lifetime_ms = 5_000);
    let short = world.token_for("user", "1");
    world.pass(Duration::from_secs(5));
    assert_eq!((world.call(&long), world.call(&short)), (200, 401));
}

#[test]
fn an_issued_token_can_be_revoked() {
    let mut world = World::new();
    let token = world.token_for("user", "1");
    world.emulator.change_settings(|settings| {
        settings.revoked_tokens.insert(token.clone());
    });
    assert_eq!(world.call(&token), 401);
}

#[rstest]
#[case(false, 200)]
#[case(true, 401)]
fn made_up_tokens_are_valid_unless_disabled(#[case] only: bool, #[case] status: u16) {
    let mut world = World::with(Settings {
        issued_tokens_only: only,
        ..Settings::default()
    });
    let issued = world.token_for("user", "1");
    assert_eq!(world.call(&issued), 200);
    assert_eq!(world.call("made-up"), status);
}

#[test]
fn an_issued_token_need_not_be_listed_as_accepted() {
    let mut world = World::with(Settings {
        accepted_tokens: Some(["made-up".to_owned()].into()),
        ..Settings::default()
    });
    let issued = world.token_for("user", "1");
    assert_eq!((world.call(&issued), world.call("another")), (200, 401));
}

#[test]
fn calls_with_an_expired_token_are_counted_by_its_number() {
    let mut world = World::new();
    let [first, second] = [(); 2].map(|()| world.token_for("user", "1"));
    world.call(&first);
    world.pass(Duration::from_secs(3600));
    let third = world.token_for("user", "1");
    world.call(&third);
    world.call(&second);
    world.response(&list_call(&second));
    assert_eq!(
        world.emulator.counters().expired_calls,
        BTreeMap::from([(1, 2)])
    );
    world
        .emulator
        .change_settings(|settings| settings.revoked_tokens = [third.clone()].into());
    world.call(&third);
    assert_eq!(
        world.emulator.counters().expired_calls,
        BTreeMap::from([(1, 2), (2, 1)])
    );
    world.emulator.reset_counters();
    assert_eq!(world.emulator.counters().expired_calls, BTreeMap::new());
}

#[test]
fn a_lifetime_above_the_limit_is_refused() {
    let change = serde_json::json!({"token_lifetime_ms": u64::MAX});
    assert!(Settings::default().changed_by(&change).is_err());
}
