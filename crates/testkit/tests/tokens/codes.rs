//! The authorization code grant.

use std::time::Duration;

use serde_json::Value;

use crate::world::{APP, OTHER, World, access_token, assert_refused, refresh_token};

const UNKNOWN: &str = "Auth code doesn't exist or is invalid for the client";

#[track_caller]
fn exchange(world: &mut World, client: &str, code: &str) -> Result<Value, Value> {
    let form = [("grant_type", "authorization_code"), ("code", code)];
    world.log_in(client, &form)
}

#[test]
fn a_code_can_be_exchanged_once() {
    let mut world = World::new();
    let code = world.emulator.grant_authorization_code(APP, "1", world.now);
    let issued = exchange(&mut world, APP, &code).expect("a token");
    assert_eq!(
        world.account_of(&access_token(&issued)).as_deref(),
        Some("1")
    );
    assert!(world.refresh(&refresh_token(&issued)).is_ok());
    let outcome = exchange(&mut world, APP, &code);
    assert_refused(outcome, "invalid_grant", UNKNOWN);
}

#[test]
fn a_code_works_only_for_its_own_application() {
    let mut world = World::new();
    let code = world.emulator.grant_authorization_code(APP, "1", world.now);
    let outcome = exchange(&mut world, OTHER, &code);
    assert_refused(outcome, "invalid_grant", UNKNOWN);
}

#[test]
fn a_code_expires_after_30_seconds() {
    let mut world = World::new();
    let code = world.emulator.grant_authorization_code(APP, "1", world.now);
    world.pass(Duration::from_secs(30));
    let outcome = exchange(&mut world, APP, &code);
    assert_refused(
        outcome,
        "invalid_grant",
        "The authorization code has expired",
    );
}
