//! The application's key, and its clock.

use std::time::Duration;

use box_longpoll::auth::{JwtAlgorithm, JwtApp, Subject, TokenErrorKind};
use box_longpoll::{ErrorKind, TokenSource as _};
use box_longpoll_testkit::{Endpoint, Fault};
use rstest::rstest;
use serde_json::{Value, json};

use crate::grants::{DES3, Grant, PASSPHRASE, configuration, jwt};
use crate::world::{ENTERPRISE, ORIGIN, USER, World};

const AES: &str = include_str!("keys/aes-sha256.pem");
const PKCS8: &str = include_str!("keys/pkcs8.pem");
const PKCS1: &str = include_str!("keys/pkcs1.pem");

#[rstest]
#[case::of_boxs_console(DES3)]
#[case::aes(AES)]
#[case::not_encrypted(PKCS8)]
#[case::pkcs1(PKCS1)]
#[case::on_windows(&DES3.replace('\n', "\r\n"))]
fn a_key_is_read_in_the_forms_it_comes_in(#[case] key: &str) {
    let world = World::new();
    let tokens = jwt(key).api_origin(ORIGIN).tokens(world.clone()).unwrap();
    world.within(Duration::from_secs(1), async {
        tokens.token().await.unwrap();
    });
}

#[test]
fn a_key_gives_tokens_for_a_user_too() {
    let world = World::new();
    let tokens = jwt(DES3)
        .subject(Subject::user(USER))
        .api_origin(ORIGIN)
        .tokens(world.clone())
        .unwrap();
    let client = world.client(tokens);
    world.append(USER, 3);
    let page = world.within(Duration::from_secs(1), async {
        client.fetch(box_longpoll::StartAt::Oldest).await.unwrap()
    });
    assert_eq!(page.events.len(), 3);
}

#[rstest]
#[case::service_account(Grant::ServiceAccount, Some(Subject::enterprise(ENTERPRISE)))]
#[case::user(Grant::User, Some(Subject::user(USER)))]
#[case::oauth(Grant::OAuth, None)]
#[case::jwt(Grant::Jwt(JwtAlgorithm::Rs256), Some(Subject::enterprise(ENTERPRISE)))]
fn grant_names_its_subject_when_it_knows_it(
    #[case] grant: Grant,
    #[case] subject: Option<Subject>,
) {
    let tokens = grant.tokens(ORIGIN, String::new(), World::new());
    assert_eq!(tokens.subject(), subject);
}

#[rstest]
#[case::behind(600)]
#[case::ahead(-600)]
#[case::a_day_off(86_400)]
fn a_clock_that_is_off_is_corrected_by_the_date_of_an_answer(#[case] seconds: i64) {
    let world = World::with(|settings| settings.clock_skew_seconds = seconds);
    let tokens = jwt(DES3).api_origin(ORIGIN).tokens(world.clone()).unwrap();
    for requests in [2, 3] {
        world.within(Duration::from_secs(4_000), async {
            tokens.token().await.unwrap();
            assert_eq!(world.token_requests(), requests, "it is remembered");
            world.clock.wait(Duration::from_secs(3_500)).await;
        });
    }
}

/// What Box says of an assertion that came too late, and of one that came twice.
fn refusal(claim: &str) -> Fault {
    let said = format!("Please check the '{claim}' claim.");
    Fault::Status {
        status: 400,
        headers: [].into(),
        body: json!({"error": "invalid_grant", "error_description": said}).to_string(),
    }
}

#[rstest]
#[case::too_late("exp")]
#[case::twice("jti")]
fn an_assertion_that_came_too_late_or_twice_is_made_anew(#[case] claim: &str) {
    let world = World::new();
    let tokens = jwt(DES3).api_origin(ORIGIN).tokens(world.clone()).unwrap();
    let refuse = |times| {
        let mut emulator = world.emulator();
        emulator.queue_fault(Endpoint::Token, refusal(claim), times);
    };
    refuse(1);
    world.within(Duration::from_secs(1), async {
        tokens.token().await.unwrap()
    });
    assert_eq!(world.token_requests(), 2);
}

#[test]
fn a_clock_that_agrees_with_boxs_is_not_blamed() {
    let world = World::new();
    let tokens = jwt(DES3).api_origin(ORIGIN).tokens(world.clone()).unwrap();
    let mut emulator = world.emulator();
    emulator.queue_fault(Endpoint::Token, refusal("exp"), 2);
    drop(emulator);
    let error = world.within(Duration::from_secs(1), async {
        tokens.token().await.unwrap_err()
    });
    assert_eq!(error.kind(), TokenErrorKind::Transient);
}

fn with(path: &str, value: impl Into<Value>) -> Value {
    let mut configuration = configuration(DES3);
    *configuration.pointer_mut(path).unwrap() = value.into();
    configuration
}

const APP_AUTH: &str = "/boxAppSettings/appAuth";

#[rstest]
#[case::nothing(json!({}), "line 1")]
#[case::no_key(with(APP_AUTH, json!({"publicKeyID": "k1"})), "line 1")]
#[case::no_pem(with("/boxAppSettings/appAuth/privateKey", "canary"), "not PEM")]
#[case::a_certificate(
    with(
        "/boxAppSettings/appAuth/privateKey",
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
    ),
    "not of a kind that is known"
)]
#[case::a_torn_key(
    with(
        "/boxAppSettings/appAuth/privateKey",
        "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"
    ),
    "not one of RSA"
)]
#[case::wrong_passphrase(
    with("/boxAppSettings/appAuth/passphrase", "canary"),
    "is the passphrase the right one?"
)]
#[case::no_passphrase(
    with("/boxAppSettings/appAuth/passphrase", Value::Null),
    "there is no passphrase"
)]
#[case::numbers(with("/boxAppSettings/clientSecret", 4711), "line 1")]
fn what_is_no_configuration_is_refused_by_a_sentence_that_shows_nothing_of_it(
    #[case] configuration: Value,
    #[case] cause: &str,
) {
    let error = JwtApp::from_json(configuration.to_string()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let said = format!("{error} {error:?}");
    assert!(said.contains(cause), "{said}");
    for secret in ["canary", "4711", PASSPHRASE] {
        assert!(!said.contains(secret), "{said}");
    }
}

#[test]
fn an_application_without_an_enterprise_needs_a_subject() {
    for nobody in [json!("0"), Value::Null] {
        let app = || JwtApp::from_json(with("/enterpriseID", nobody.clone()).to_string()).unwrap();
        let world = World::new();
        let error = app().tokens(world.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        app().subject(Subject::user(USER)).tokens(world).unwrap();
    }
}
