//! The signatures of assertions, and the keys that verify them.

use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaEncoding};
use rstest::rstest;
use serde_json::{Value, json};

use super::{
    ANOTHER_KEY, Assertion, GRANT_TYPE, KEY, assert_assertion_refused, pem, show, world_with_key,
};
use crate::world::{APP, World, access_token, assert_refused};

const WRONG_SIGNATURE: &str = "Signature verification error. The public key identified by \"kid\" must correspond to the private key used for signing.";
const UNKNOWN_KEY: &str = "\"kid\" invalid, unable to lookup correct key";
const UNREADABLE: &str = "OAuth JWT signature is invalid.";

#[rstest]
#[case("RS256", &RSA_PKCS1_SHA256)]
#[case("RS384", &RSA_PKCS1_SHA384)]
#[case("RS512", &RSA_PKCS1_SHA512)]
fn an_assertion_with_a_registered_key_logs_in(
    #[case] alg: &str,
    #[case] encoding: &'static dyn RsaEncoding,
) {
    let mut world = world_with_key();
    let mut assertion = Assertion::new();
    assertion.header["alg"] = alg.into();
    assertion.encoding = encoding;
    let issued = show(&mut world, &assertion.signed()).expect("a token");
    assert_eq!(issued.get("refresh_token"), None);
    let account = world.account_of(&access_token(&issued));
    assert_eq!(account.as_deref(), Some("enterprise 42"));
}

#[test]
fn a_signature_by_another_key_is_refused() {
    let mut assertion = Assertion::new();
    assertion.key = &ANOTHER_KEY;
    assert_assertion_refused(&assertion, WRONG_SIGNATURE);
}

#[test]
fn claims_that_changed_after_signing_are_refused() {
    let signed = Assertion::new().signed();
    let forged = Assertion::new().claim("sub", "43").signed();
    let (_, signature) = signed.rsplit_once('.').expect("a signature");
    let (claims, _) = forged.rsplit_once('.').expect("claims");
    let outcome = show(&mut world_with_key(), &format!("{claims}.{signature}"));
    assert_refused(outcome, "invalid_grant", WRONG_SIGNATURE);
}

#[rstest]
#[case("none")]
#[case("HS256")]
#[case("PS256")]
#[case("RS384")]
fn another_algorithm_than_the_signatures_is_refused(#[case] alg: &str) {
    let mut assertion = Assertion::new();
    assertion.header["alg"] = alg.into();
    assert_assertion_refused(&assertion, WRONG_SIGNATURE);
}

#[test]
fn an_unregistered_key_is_refused() {
    let mut assertion = Assertion::new();
    assertion.header["kid"] = "k2".into();
    assert_assertion_refused(&assertion, UNKNOWN_KEY);
}

#[rstest]
#[case(json!({"alg": "RS256"}))]
#[case(json!({"alg": "RS256", "kid": null}))]
fn an_assertion_without_kid_may_use_any_registered_key(#[case] header: Value) {
    let mut world = world_with_key();
    world.emulator.change_application(APP, |application| {
        let first = pem(&ANOTHER_KEY);
        application.public_keys.insert("k0".into(), first);
    });
    let mut assertion = Assertion::new();
    assertion.header = header;
    assert!(show(&mut world, &assertion.signed()).is_ok());
}

#[test]
fn an_assertion_without_kid_needs_a_registered_key() {
    let mut assertion = Assertion::new();
    assertion.header = json!({"alg": "RS256"});
    assertion.key = &ANOTHER_KEY;
    assert_assertion_refused(&assertion, WRONG_SIGNATURE);
    let outcome = show(&mut World::new(), &assertion.signed());
    assert_refused(outcome, "invalid_grant", UNKNOWN_KEY);
}

#[test]
fn keys_can_be_added_and_removed_at_any_time() {
    let mut world = world_with_key();
    let logs_in = |world: &mut World, jti: &str, kid: &str, key| {
        let mut assertion = Assertion::new().claim("jti", jti);
        assertion.header["kid"] = kid.into();
        assertion.key = key;
        show(world, &assertion.signed()).is_ok()
    };
    world.emulator.change_application(APP, |application| {
        let second = pem(&ANOTHER_KEY);
        application.public_keys.insert("k2".into(), second);
    });
    assert!(logs_in(&mut world, "the first of them", "k1", &KEY));
    assert!(logs_in(
        &mut world,
        "the second of them",
        "k2",
        &ANOTHER_KEY
    ));
    world.emulator.change_application(APP, |application| {
        application.public_keys.remove("k1");
    });
    assert!(!logs_in(&mut world, "the third of them", "k1", &KEY));
    assert!(logs_in(
        &mut world,
        "the fourth of them",
        "k2",
        &ANOTHER_KEY
    ));
}

#[rstest]
#[case("")]
#[case("no dots")]
#[case("a.b")]
#[case("e30.e30.e30")]
#[case("!.!.!")]
fn an_unreadable_assertion_is_refused(#[case] assertion: &str) {
    let outcome = show(&mut world_with_key(), assertion);
    assert_refused(outcome, "invalid_grant", UNREADABLE);
}

#[test]
fn a_request_without_an_assertion_is_refused() {
    let outcome = world_with_key().log_in(APP, &[("grant_type", GRANT_TYPE)]);
    let description = "Missing parameter: \"assertion\" is required";
    assert_refused(outcome, "invalid_request", description);
}
