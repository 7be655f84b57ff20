//! The refresh token grant.

use std::time::Duration;

use box_longpoll_testkit::Settings;

use crate::world::{APP, OTHER, World, access_token, assert_refused, refresh_token};

const INVALID: &str = "Invalid refresh token";

#[test]
fn a_refresh_token_can_be_exchanged_once() {
    let mut world = World::new();
    let first = world.emulator.grant_refresh_token(APP, "1", world.now);
    let issued = world.refresh(&first).expect("a token");
    assert_eq!(
        world.account_of(&access_token(&issued)).as_deref(),
        Some("1")
    );
    let second = refresh_token(&issued);
    assert_eq!((first.len(), second.len()), (64, 64));
    assert_refused(world.refresh(&first), "invalid_grant", INVALID);
    assert!(world.refresh(&second).is_ok());
}

#[test]
fn the_previous_access_token_stays_valid() {
    let mut world = World::new();
    let seeded = world.emulator.grant_refresh_token(APP, "1", world.now);
    let first = world.refresh(&seeded).expect("a token");
    world.refresh(&refresh_token(&first)).expect("a token");
    assert_eq!(world.call(&access_token(&first)), 200);
}

#[test]
fn a_refresh_token_works_only_for_its_own_application() {
    let mut world = World::new();
    let token = world.emulator.grant_refresh_token(APP, "1", world.now);
    let form = [("grant_type", "refresh_token"), ("refresh_token", &token)];
    assert_refused(world.log_in(OTHER, &form), "invalid_grant", INVALID);
    assert!(
        world.log_in(APP, &form).is_ok(),
        "the refusal used up the token"
    );
}

#[test]
fn an_unknown_refresh_token_is_refused() {
    let mut world = World::new();
    assert_refused(world.refresh("made-up"), "invalid_grant", INVALID);
    let outcome = world.log_in(APP, &[("grant_type", "refresh_token")]);
    assert_refused(outcome, "invalid_grant", INVALID);
}

#[test]
fn a_refresh_token_lives_for_60_days() {
    let mut world = World::new();
    let lifetime = 60 * 24 * 3600;
    let token = world.emulator.grant_refresh_token(APP, "1", world.now);
    world.pass(Duration::from_secs(lifetime - 1));
    let token = refresh_token(&world.refresh(&token).expect("in time"));
    world.pass(Duration::from_secs(lifetime));
    for _ in 0..2 {
        let outcome = world.refresh(&token);
        assert_refused(outcome, "invalid_grant", "Refresh token has expired");
    }
}

#[test]
fn a_refresh_token_lives_as_long_as_the_settings_say() {
    let mut world = World::with(Settings {
        refresh_token_lifetime_ms: 1_500,
        ..Settings::default()
    });
    let token = world.emulator.grant_refresh_token(APP, "1", world.now);
    world.pass(Duration::from_millis(1_500));
    let outcome = world.refresh(&token);
    assert_refused(outcome, "invalid_grant", "Refresh token has expired");
}
