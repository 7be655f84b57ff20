//! Box's rules for the claims of an assertion.

use box_longpoll_testkit::{Request, Settings};
use rstest::rstest;
use serde_json::{Value, json};

use super::{Assertion, GRANT_TYPE, NOW, assert_assertion_refused, show, world_with_key};
use crate::world::{APP, OTHER, access_token, assert_refused, token_request};

const JTI: &str = "Please check the 'jti' claim. A unique 'jti' value is required.";
const SUB: &str = "Please check the 'sub' claim. The 'sub' specified is invalid.";
const EXPIRED: &str =
    "Current date/time MUST be before the expiration date/time listed in the 'exp' claim";
const TOO_FAR_AHEAD: &str = "Please check the 'exp' claim. The 'exp' value exceeds the maximum value of 60 seconds beyond the issue time.";

#[test]
fn an_assertion_for_a_user_leads_to_the_users_account() {
    let mut world = world_with_key();
    let assertion = Assertion::new()
        .claim("box_sub_type", "user")
        .claim("sub", "17");
    let issued = show(&mut world, &assertion.signed()).expect("a token");
    let account = world.account_of(&access_token(&issued));
    assert_eq!(account.as_deref(), Some("17"));
}

#[rstest]
#[case::another_issuer("iss", json!(OTHER), "Please check the 'iss' claim. The client id specified is invalid.")]
#[case::another_audience("aud", json!("https://example.com/"), "Please check the 'aud' claim.")]
#[case::no_audience("aud", json!(null), "Please check the 'aud' claim.")]
#[case::other_audiences("aud", json!(["https://example.com/"]), "Please check the 'aud' claim.")]
#[case::another_enterprise("sub", json!("43"), SUB)]
#[case::a_number_for_a_subject("sub", json!(42), SUB)]
#[case::another_kind("box_sub_type", json!("group"), "Please check the 'box_sub_type' claim.")]
#[case::no_kind("box_sub_type", json!(null), "Please check the 'box_sub_type' claim.")]
#[case::short_id("jti", json!("x".repeat(15)), JTI)]
#[case::long_id("jti", json!("x".repeat(129)), JTI)]
#[case::no_id("jti", json!(null), JTI)]
#[case::over_now("exp", json!(NOW), EXPIRED)]
#[case::over_a_second_ago("exp", json!(NOW - 1), EXPIRED)]
#[case::far_ahead("exp", json!(NOW + 61), TOO_FAR_AHEAD)]
#[case::farthest_ahead("exp", json!(i64::MAX), TOO_FAR_AHEAD)]
#[case::a_fraction("exp", json!(1_767_225_630.5), "Please check the 'exp' claim. Should be an integer.")]
#[case::no_expiry("exp", json!(null), "Please check the 'exp' claim. Should be an integer.")]
#[case::issued_in_the_future("iat", json!(NOW + 1), "Please check the 'iat' claim.")]
#[case::issued_at_no_time("iat", json!("now"), "Please check the 'iat' claim.")]
#[case::not_good_yet("nbf", json!(NOW + 1), "Please check the 'nbf' claim.")]
fn a_wrong_claim_is_named_in_the_refusal(
    #[case] name: &str,
    #[case] value: Value,
    #[case] description: &str,
) {
    assert_assertion_refused(&Assertion::new().claim(name, value), description);
}

#[rstest]
#[case("aud", json!(["https://example.com/", "https://api.box.com/oauth2/token"]))]
#[case("jti", json!("x".repeat(16)))]
#[case("jti", json!("x".repeat(128)))]
#[case("exp", json!(NOW + 1))]
#[case("exp", json!(NOW + 60))]
#[case("iat", json!(NOW))]
#[case("nbf", json!(NOW))]
fn claims_at_the_limits_are_accepted(#[case] name: &str, #[case] value: Value) {
    let assertion = Assertion::new().claim(name, value).signed();
    assert!(show(&mut world_with_key(), &assertion).is_ok());
}

#[test]
fn an_assertion_may_be_for_the_emulators_own_address() {
    let assertion = Assertion::new().claim("aud", "http://localhost:8787/oauth2/token");
    let form = [
        ("grant_type", GRANT_TYPE),
        ("assertion", &assertion.signed()),
    ];
    let request = |host| token_request(APP, &form).header("Host", host);
    let status = |request: Request| world_with_key().response(&request).status;
    assert_eq!(status(request("localhost:8787")), 200);
    assert_eq!(status(request("localhost:8788")), 400);
}

#[test]
fn an_assertion_can_be_used_once() {
    let mut world = world_with_key();
    let assertion = Assertion::new();
    assert!(show(&mut world, &assertion.signed()).is_ok());
    let later = assertion.claim("exp", NOW + 40).signed();
    assert_refused(show(&mut world, &later), "invalid_grant", JTI);
}

#[test]
fn a_refused_assertion_does_not_use_up_its_id() {
    let mut world = world_with_key();
    let early = Assertion::new().claim("exp", NOW + 90).signed();
    show(&mut world, &early).expect_err("the assertion expires too late");
    assert!(show(&mut world, &Assertion::new().signed()).is_ok());
}

#[test]
fn users_outside_the_application_are_refused() {
    let mut world = world_with_key();
    world.emulator.change_application(APP, |application| {
        application.users = Some(["17".to_owned()].into());
    });
    let assertion = Assertion::new()
        .claim("box_sub_type", "user")
        .claim("sub", "18");
    let outcome = show(&mut world, &assertion.signed());
    assert_refused(outcome, "invalid_grant", SUB);
}

#[rstest]
#[case::late(-31, TOO_FAR_AHEAD)]
#[case::early(30, EXPIRED)]
fn dates_are_checked_by_the_emulators_clock(#[case] skew: i64, #[case] description: &str) {
    let mut world = world_with_key();
    world.emulator.change_settings(|settings: &mut Settings| {
        settings.clock_skew_seconds = skew;
    });
    let assertion = Assertion::new();
    let outcome = show(&mut world, &assertion.signed());
    assert_refused(outcome, "invalid_grant", description);
    let corrected = assertion.claim("exp", NOW + skew + 30).signed();
    assert!(show(&mut world, &corrected).is_ok());
}
