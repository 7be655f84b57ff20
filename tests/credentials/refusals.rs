//! What does not pass: one sentence that names the cause.

use std::error::Error as _;
use std::time::Duration;

use box_longpoll::auth::TokenError;
use box_longpoll::auth::{ClientCredentials, RefreshedTokens, Subject, TokenErrorKind};
use box_longpoll::{Error, ErrorKind, StartAt};
use rstest::rstest;

use crate::grants::{Grant, InMemory, client_credentials, jwt, oauth};
use crate::keys::{FROM_CONSOLE, PASSPHRASE};
use crate::world::{CLIENT_ID, ENTERPRISE, ORIGIN, SECRET, USER, World};

/// An application, and what is wrong with it.
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

/// And no answer tells the time.
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
    "does not take the client id and secret"
)]
#[case::wrong_subject(
    wrong_subject,
    TokenErrorKind::InvalidGrant,
    "refuses a token for enterprise:4711"
)]
#[case::wrong_subject_of_a_jwt(
    wrong_subject_of_a_jwt,
    TokenErrorKind::InvalidGrant,
    "does not take the subject"
)]
#[case::disabled(
    disabled,
    TokenErrorKind::NotAuthorized,
    "an administrator has to authorize it"
)]
#[case::other_grant(other_grant, TokenErrorKind::Permanent, "set up for this grant")]
#[case::expired_key(expired_key, TokenErrorKind::InvalidGrant, "does not take the key")]
#[case::clock_behind(clock_behind, TokenErrorKind::ClockSkew, "clock is not right")]
#[case::clock_ahead(clock_ahead, TokenErrorKind::ClockSkew, "clock is not right")]
#[case::used_refresh_token(
    used_refresh_token,
    TokenErrorKind::AuthorizeAnew,
    "authorize the application anew"
)]
fn what_does_not_pass_stops_a_stream_by_one_sentence_that_names_the_cause(
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
    assert_eq!(of_the_source(&error).kind(), kind);
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
    // An assertion that is refused for its time is made once more, in case it came late.
    let times = if kind == TokenErrorKind::ClockSkew {
        2
    } else {
        1
    };
    assert_eq!(world.token_requests() - before, times);
}

#[track_caller]
fn of_the_source(error: &Error) -> &TokenError {
    error.source().unwrap().downcast_ref().unwrap()
}

/// Ten streams meet the same refusal, and Box is asked once.
#[test]
fn a_refusal_is_told_to_all_who_ask_in_the_next_moment() {
    let world = World::new();
    let client = world.client(wrong_secret(&world));
    for _ in 0..10 {
        let mut events = client.events(StartAt::Now);
        let stopped = world.within(Duration::from_millis(100), events.next());
        stopped.unwrap().unwrap_err();
    }
    assert_eq!(world.token_requests(), 1);
    // The secret has been put right meanwhile.
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
