//! Tests of the JWT grant: subjects, clock skew, refused assertions, and the configuration file.

use std::time::Duration;

use box_longpoll::auth::{JwtAlgorithm, JwtBearer, Subject, TokenErrorKind};
use box_longpoll::{ErrorKind, TokenSource as _};
use box_longpoll_testkit::{Endpoint, Fault};
use rstest::rstest;
use serde_json::{Value, json};

use crate::grants::{Grant, configuration, jwt};
use crate::keys::{FROM_CONSOLE, PASSPHRASE};
use crate::world::{ENTERPRISE, ORIGIN, USER, World};

#[test]
fn a_key_gives_tokens_for_a_user_too() {
    let world = World::new();
    let tokens = jwt(&FROM_CONSOLE)
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
#[case::oauth(Grant::RefreshToken, None)]
#[case::jwt(Grant::Jwt(JwtAlgorithm::Rs256), Some(Subject::enterprise(ENTERPRISE)))]
fn grant_names_its_subject_when_it_knows_it(
    #[case] grant: Grant,
    #[case] subject: Option<Subject>,
) {
    let tokens = grant.tokens(ORIGIN, "refresh".to_owned(), World::new());
    assert_eq!(tokens.subject(), subject);
}

#[rstest]
#[case::behind(600)]
#[case::ahead(-600)]
#[case::a_day_off(86_400)]
fn clock_skew_is_corrected_by_the_date_of_a_response(#[case] seconds: i64) {
    let world = World::with(|settings| settings.clock_skew_seconds = seconds);
    let tokens = jwt(&FROM_CONSOLE)
        .api_origin(ORIGIN)
        .tokens(world.clone())
        .unwrap();
    for requests in [2, 3] {
        world.within(Duration::from_secs(4_000), async {
            tokens.token(None).await.unwrap();
            assert_eq!(
                world.token_requests(),
                requests,
                "the correction is remembered"
            );
            world.clock.wait(Duration::from_secs(3_500)).await;
        });
    }
}

/// Returns Box's refusal of an assertion that arrived too late (`exp`) or twice (`jti`).
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
fn assertion_is_signed_again_when_it_came_too_late_or_twice(#[case] claim: &str) {
    let world = World::new();
    let tokens = jwt(&FROM_CONSOLE)
        .api_origin(ORIGIN)
        .tokens(world.clone())
        .unwrap();
    let refuse = |times| {
        let mut emulator = world.emulator();
        emulator.queue_fault(Endpoint::Token, refusal(claim), times);
    };
    refuse(1);
    world.within(Duration::from_secs(1), async {
        tokens.token(None).await.unwrap()
    });
    assert_eq!(world.token_requests(), 2);
}

#[test]
fn accurate_clock_is_not_blamed_for_a_refusal() {
    let world = World::new();
    let tokens = jwt(&FROM_CONSOLE)
        .api_origin(ORIGIN)
        .tokens(world.clone())
        .unwrap();
    let mut emulator = world.emulator();
    emulator.queue_fault(Endpoint::Token, refusal("exp"), 2);
    drop(emulator);
    let error = world.within(Duration::from_secs(1), async {
        tokens.token(None).await.unwrap_err()
    });
    assert_eq!(error.kind(), TokenErrorKind::Transient);
}

/// Returns the configuration with another value at `path`.
fn with(path: &str, value: impl Into<Value>) -> Value {
    let mut configuration = configuration(&FROM_CONSOLE);
    *configuration.pointer_mut(path).unwrap() = value.into();
    configuration
}

const APP_AUTH: &str = "/boxAppSettings/appAuth";

#[rstest]
#[case::nothing(json!({}), "line 1")]
#[case::no_key(with(APP_AUTH, json!({"publicKeyID": "k1"})), "line 1")]
#[case::no_pem(with("/boxAppSettings/appAuth/privateKey", "canary"), "not PEM")]
#[case::a_torn_key(
    with(
        "/boxAppSettings/appAuth/privateKey",
        "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"
    ),
    "is damaged"
)]
#[case::wrong_passphrase(
    with("/boxAppSettings/appAuth/passphrase", "canary"),
    "is the passphrase the right one?"
)]
#[case::no_passphrase(
    with("/boxAppSettings/appAuth/passphrase", Value::Null),
    "there is no passphrase"
)]
#[case::empty_passphrase(
    with("/boxAppSettings/appAuth/passphrase", ""),
    "there is no passphrase"
)]
#[case::numbers(with("/boxAppSettings/clientSecret", 4711), "line 1")]
#[case::no_enterprise_id(with("/enterpriseID", true), "line 1")]
fn invalid_configuration_is_refused_without_showing_it(
    #[case] configuration: Value,
    #[case] cause: &str,
) {
    let error = JwtBearer::from_json(configuration.to_string()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let said = format!("{error} {error:?}");
    assert!(said.contains(cause), "{said}");
    for secret in ["canary", "4711", PASSPHRASE] {
        assert!(!said.contains(secret), "{said}");
    }
}

#[test]
fn an_application_without_an_enterprise_needs_a_subject() {
    for nobody in [json!("0"), json!(0), Value::Null] {
        let app =
            || JwtBearer::from_json(with("/enterpriseID", nobody.clone()).to_string()).unwrap();
        let world = World::new();
        let error = app().tokens(world.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        app().subject(Subject::user(USER)).tokens(world).unwrap();
    }
}

#[test]
fn an_enterprise_id_may_be_a_number() {
    let number: u64 = ENTERPRISE.parse().unwrap();
    let app = JwtBearer::from_json(with("/enterpriseID", number).to_string()).unwrap();
    assert_gives_a_token(app);
}

#[test]
fn a_byte_order_mark_before_the_configuration_is_ignored() {
    let json = format!("\u{feff}{}", configuration(&FROM_CONSOLE));
    let app = JwtBearer::from_json(json).unwrap();
    assert_gives_a_token(app);
}

#[test]
fn configuration_in_utf_16_is_an_error_that_names_utf_16() {
    let text = format!("\u{feff}{}", configuration(&FROM_CONSOLE));
    for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
        let json: Vec<u8> = text.encode_utf16().flat_map(bytes).collect();
        let error = JwtBearer::from_json(json).unwrap_err();
        assert!(error.to_string().contains("UTF-16"), "{error}");
    }
}

#[track_caller]
pub(crate) fn assert_gives_a_token(app: JwtBearer) {
    let world = World::new();
    let tokens = app.api_origin(ORIGIN).tokens(world.clone()).unwrap();
    world.within(Duration::from_secs(1), async {
        tokens.token(None).await.unwrap();
    });
}
