//! Tests of permanent failures: each stops the stream with one sentence that names the cause.

use std::error::Error as _;
use std::time::Duration;

use box_longpoll::auth::TokenError;
use box_longpoll::auth::{ClientCredentials, RefreshedTokens, Subject, TokenErrorKind};
use box_longpoll::{Error, ErrorKind, StartAt};
use rstest::rstest;

use crate::grants::{Grant, InMemory, client_credentials, jwt, oauth};
use crate::keys::{FROM_CONSOLE, PASSPHRASE};
use crate::world::{CLIENT_ID, ENTERPRISE, ORIGIN, SECRET, USER, World};

/// A function that makes the tokens of an application with one fault.
type Case = fn(&World) -> RefreshedTokens;

fn wrong_secret(world: &World) -> RefreshedTokens {
    ClientCredentials::new(CLIENT_ID, "another secret", Subject::enterprise(ENTERPRISE))
        .api_origin(ORIGIN)
        .tokens(world.clone())
        .unwrap()
}

fn wrong_subject(world: &World) -> RefreshedTokens {
    client_credentials(Subject::enterprise("4711"))
        .api_origin(ORIGIN)
        .tokens(world.clone())
        .unwrap()
}

fn wrong_subject_of_a_jwt(world: &World) -> RefreshedTokens {
    jwt(&FROM_CONSOLE)
        .subject(Subject::enterprise("4711"))
        .api_origin(ORIGIN)
        .tokens(world.clone())
        .unwrap()
}

fn disabled(world: &World) -> RefreshedTokens {
    let mut emulator = world.emulator();
    emulator.change_application(CLIENT_ID, |application| application.authorized = false);
    drop(emulator);
    Grant::ServiceAccount.tokens(ORIGIN, String::new(), world.clone())
}

fn other_grant(world: &World) -> RefreshedTokens {
    let mut emulator = world.emulator();
    emulator.change_application(CLIENT_ID, |application| application.grants.clear());
    drop(emulator);
    Grant::ServiceAccount.tokens(ORIGIN, String::new(), world.clone())
}

fn expired_key(world: &World) -> RefreshedTokens {
    let mut emulator = world.emulator();
    emulator.change_application(CLIENT_ID, |application| application.public_keys.clear());
    drop(emulator);
    jwt(&FROM_CONSOLE)
        .api_origin(ORIGIN)
        .tokens(world.clone())
        .unwrap()
}

fn clock_behind(world: &World) -> RefreshedTokens {
    off_by(world, 600)
}

fn clock_ahead(world: &World) -> RefreshedTokens {
    off_by(world, -600)
}

/// Makes the tokens of a machine whose clock differs from Box's by this many seconds. Responses
/// have no `Date`, so the client can't correct its clock.
fn off_by(world: &World, seconds: i64) -> RefreshedTokens {
    world.emulator().change_settings(|settings| {
        settings.clock_skew_seconds = seconds;
        settings.no_date = true;
    });
    jwt(&FROM_CONSOLE)
        .api_origin(ORIGIN)
        .tokens(world.clone())
        .unwrap()
}

fn used_refresh_token(world: &World) -> RefreshedTokens {
    let now = world.clock.now().monotonic;
    let authorized = world.emulator().grant_refresh_token(CLIENT_ID, USER, now);
    let thief = Grant::RefreshToken.tokens(ORIGIN, authorized.clone(), world.clone());
    world.within(Duration::from_secs(1), async {
        box_longpoll::TokenSource::token(&thief, None)
            .await
            .unwrap()
    });
    oauth(&InMemory::new(authorized))
        .api_origin(ORIGIN)
        .tokens(world.clone())
        .unwrap()
}

#[rstest]
#[case::wrong_secret(
    wrong_secret,
    TokenErrorKind::InvalidClient,
    "does not accept the client id and secret"
)]
#[case::wrong_subject(
    wrong_subject,
    TokenErrorKind::InvalidGrant,
    "refuses a token for enterprise:4711"
)]
#[case::wrong_subject_of_a_jwt(
    wrong_subject_of_a_jwt,
    TokenErrorKind::InvalidGrant,
    "does not accept the subject"
)]
#[case::disabled(
    disabled,
    TokenErrorKind::NotAuthorized,
    "an administrator has to authorize it"
)]
#[case::other_grant(other_grant, TokenErrorKind::Permanent, "set up for this grant")]
#[case::expired_key(expired_key, TokenErrorKind::InvalidGrant, "does not accept the key")]
#[case::clock_behind(clock_behind, TokenErrorKind::ClockSkew, "clock is not right")]
#[case::clock_ahead(clock_ahead, TokenErrorKind::ClockSkew, "clock is not right")]
#[case::used_refresh_token(
    used_refresh_token,
    TokenErrorKind::ReauthorizationRequired,
    "authorize the application again"
)]
fn permanent_failure_stops_a_stream_and_names_the_cause(
    #[case] case: Case,
    #[case] kind: TokenErrorKind,
    #[case] cause: &str,
) {
    let world = World::new();
    let client = world.client(case(&world));
    let before = world.token_requests();
    let mut events = client.events(StartAt::Now);
    let error = world
        .within(Duration::from_secs(10), events.next())
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert_eq!(token_error_of(&error).kind(), kind);
    let sentence = error.display_chain().to_string();
    println!("{sentence}");
    assert!(sentence.contains(cause), "{sentence}");
    assert!(
        !sentence.contains('\n') && sentence.len() < 500,
        "{sentence}"
    );
    for secret in [SECRET, PASSPHRASE, "another secret", "PRIVATE KEY"] {
        assert!(!sentence.contains(secret), "{sentence}");
    }
    // After a refusal for its time, the assertion is signed and sent once more, in case it was
    // late.
    let times = if kind == TokenErrorKind::ClockSkew {
        2
    } else {
        1
    };
    assert_eq!(world.token_requests() - before, times);
}

#[track_caller]
fn token_error_of(error: &Error) -> &TokenError {
    error.source().unwrap().downcast_ref().unwrap()
}

/// Ten streams get the same refusal, and only one request goes to Box.
#[test]
fn refusal_is_shared_by_streams_that_start_soon_after() {
    let world = World::new();
    let client = world.client(wrong_secret(&world));
    for _ in 0..10 {
        let mut events = client.events(StartAt::Now);
        let stopped = world.within(Duration::from_millis(100), events.next());
        stopped.unwrap().unwrap_err();
    }
    assert_eq!(world.token_requests(), 1);
    // Meanwhile, the secret is corrected.
    world
        .emulator()
        .change_application(CLIENT_ID, |application| {
            application.client_secret = "another secret".into();
        });
    let later = world.clock.now().monotonic + Duration::from_secs(60);
    assert!(world.drive(std::future::pending::<()>(), later).is_none());
    world.append(&Grant::ServiceAccount.account(), 1);
    let mut events = client.events(StartAt::Oldest);
    let event = world.within(Duration::from_secs(1), events.next());
    event.unwrap().unwrap();
}
