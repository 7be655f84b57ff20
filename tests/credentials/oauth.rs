//! Tests of refresh tokens, each of which works once: exchanges, lost responses, and failing
//! stores.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::TokenSource;
use box_longpoll::auth::{
    CredentialStore, LockedCredential, RefreshToken, RefreshedTokens, TokenError, TokenErrorKind,
};
use box_longpoll_testkit::{Endpoint, Fault};
use rstest::rstest;

use crate::grants::{InMemory, oauth};
use crate::world::{CLIENT_ID, ORIGIN, SECRET, USER, World};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// Returns the store and the tokens of a user who has authorized the application.
fn authorized(world: &World) -> (InMemory, RefreshedTokens) {
    let now = world.clock.now().monotonic;
    let token = world.emulator().grant_refresh_token(CLIENT_ID, USER, now);
    let store = InMemory::new(token);
    let tokens = process(world, &store);
    (store, tokens)
}

/// Returns the tokens of another process that shares the store.
fn process(world: &World, store: &InMemory) -> RefreshedTokens {
    oauth(store)
        .api_origin(ORIGIN)
        .tokens(world.clone())
        .unwrap()
}

#[test]
fn restarted_process_uses_the_stored_access_token() {
    let world = World::new();
    let (store, tokens) = authorized(&world);
    let first = world.within(SECOND, async { tokens.token(None).await.unwrap() });
    drop(tokens);
    let again = process(&world, &store);
    let second = world.within(SECOND, async { again.token(None).await.unwrap() });
    assert!(first == second);
    assert_eq!(world.token_requests(), 1);
}

#[test]
fn stored_access_token_is_not_used_when_its_refresh_is_due() {
    let world = World::new();
    let (store, tokens) = authorized(&world);
    let first = world.within(SECOND, async { tokens.token(None).await.unwrap() });
    drop(tokens);
    world.within(HOUR, world.clock.wait(58 * 60 * SECOND));
    let again = process(&world, &store);
    let second = world.within(SECOND, async { again.token(None).await.unwrap() });
    assert!(first != second);
    assert_eq!(world.token_requests(), 2);
}

#[test]
fn processes_that_share_a_store_exchange_a_token_once() {
    let world = World::new();
    let (store, _) = authorized(&world);
    let processes: Vec<_> = (0..10).map(|_| process(&world, &store)).collect();
    for hour in 1..=24 {
        world.within(HOUR, async {
            let tokens = processes.iter().map(|tokens| tokens.token(None));
            let tokens = futures_util::future::join_all(tokens).await;
            let first = tokens[0].as_ref().unwrap();
            assert!(tokens.iter().all(|token| token.as_ref().unwrap() == first));
            assert_eq!(world.token_requests(), hour);
            world.clock.wait(59 * 60 * SECOND).await;
        });
    }
}

#[test]
fn rejected_token_is_refreshed_before_it_expires() {
    let world = World::new();
    let (_, tokens) = authorized(&world);
    world.within(SECOND, async {
        let first = tokens.token(None).await.unwrap();
        let second = tokens.token(Some(&first)).await.unwrap();
        assert!(first != second);
        // Another stream got the same 401 later.
        assert!(tokens.token(Some(&first)).await.unwrap() == second);
    });
    assert_eq!(world.token_requests(), 2);
}

#[rstest]
#[case::the_connection_is_reset(Fault::LostResponse)]
#[case::no_response_arrives(Fault::WithheldResponse)]
fn lost_response_means_the_user_has_to_authorize_again(#[case] fault: Fault) {
    let world = World::new();
    let (store, tokens) = authorized(&world);
    world.emulator().queue_fault(Endpoint::Token, fault, 1);
    let error = world.within(2 * HOUR, async {
        let lost = tokens.token(None).await.unwrap_err();
        assert_eq!(lost.kind(), TokenErrorKind::Transient);
        world.clock.wait(60 * SECOND).await;
        tokens.token(None).await.unwrap_err()
    });
    assert_eq!(error.kind(), TokenErrorKind::ReauthorizationRequired);
    assert!(
        error
            .to_string()
            .contains("the response with the next one was lost"),
        "{error}"
    );
    // The next process gets the same error.
    let again = process(&world, &store);
    let error = world.within(SECOND, async { again.token(None).await.unwrap_err() });
    assert_eq!(error.kind(), TokenErrorKind::ReauthorizationRequired);
    assert!(error.to_string().contains("was lost"), "{error}");
}

#[rstest]
#[case::unavailable(Fault::Unavailable)]
#[case::reset(Fault::Reset)]
fn unprocessed_request_is_retried_with_the_same_token(#[case] fault: Fault) {
    let world = World::new();
    let (_, tokens) = authorized(&world);
    world.emulator().queue_fault(Endpoint::Token, fault, 3);
    world.within(HOUR, async {
        for _ in 0..3 {
            let error = tokens.token(None).await.unwrap_err();
            assert_eq!(error.kind(), TokenErrorKind::Transient);
            world.clock.wait(60 * SECOND).await;
        }
        tokens.token(None).await.unwrap();
    });
}

#[test]
fn a_token_is_not_exchanged_before_the_intent_is_durable() {
    let world = World::new();
    let (store, tokens) = authorized(&world);
    store.fail([true, true]);
    world.within(HOUR, async {
        for _ in 0..2 {
            let error = tokens.token(None).await.unwrap_err();
            assert!(
                error.to_string().contains("the disk is read-only"),
                "{error}"
            );
            world.clock.wait(60 * SECOND).await;
        }
        assert_eq!(world.token_requests(), 0);
        tokens.token(None).await.unwrap();
    });
    assert_eq!(world.token_requests(), 1);
}

#[test]
fn uncertain_intent_is_saved_again_before_the_next_request() {
    let world = World::new();
    let (store, tokens) = authorized(&world);
    let mut emulator = world.emulator();
    emulator.queue_fault(Endpoint::Token, Fault::Unavailable, 1);
    drop(emulator);
    world.within(HOUR, async {
        tokens.token(None).await.unwrap_err();
        assert!(store.json()["exchanging_since"].is_string());
        store.fail([true]);
        world.clock.wait(60 * SECOND).await;
        tokens.token(None).await.unwrap_err();
    });
    assert_eq!(world.token_requests(), 1, "no request without the intent");
}

/// Plans the next saves: the intent is saved, and then `outcomes` saves of its outcome fail.
fn failing(outcomes: usize) -> impl Iterator<Item = bool> {
    std::iter::once(false).chain(std::iter::repeat_n(true, outcomes))
}

/// The number of failed saves of an outcome after which `token` returns an error.
const GIVES_UP: usize = 7;

#[test]
fn a_new_token_is_not_used_before_it_is_durable() {
    let world = World::new();
    let (store, tokens) = authorized(&world);
    store.fail(failing(GIVES_UP - 1));
    world.within(HOUR, async {
        let began = world.clock.now().monotonic;
        tokens.token(None).await.unwrap();
        assert!(world.clock.now().monotonic - began > 60 * SECOND);
    });
    assert!(store.json()["access_token"].is_string());
    assert_eq!(world.token_requests(), 1, "the token that Box gave is kept");
}

#[test]
fn a_new_token_that_cannot_be_saved_is_not_lost() {
    let world = World::new();
    let (store, tokens) = authorized(&world);
    store.fail(failing(GIVES_UP));
    world.within(HOUR, async {
        let error = tokens.token(None).await.unwrap_err();
        assert!(
            error.to_string().contains("the disk is read-only"),
            "{error}"
        );
        assert_eq!(
            error.kind(),
            TokenErrorKind::Transient,
            "only this process has it"
        );
        assert!(store.json()["access_token"].is_null());
        world.clock.wait(60 * SECOND).await;
        tokens.token(None).await.unwrap();
    });
    assert!(store.json()["access_token"].is_string());
    assert_eq!(world.token_requests(), 1);
}

#[test]
fn flush_saves_a_token_that_could_not_be_saved() {
    let world = World::new();
    let (store, tokens) = authorized(&world);
    store.fail(failing(GIVES_UP + 3));
    world.within(HOUR, async {
        tokens.token(None).await.unwrap_err();
        tokens.flush().await;
    });
    assert!(store.json()["access_token"].is_string());
}

/// A store that panics when it is locked for the first time.
struct Careless {
    store: InMemory,
    is_first: AtomicBool,
}

#[async_trait]
impl CredentialStore for Careless {
    async fn lock(&self) -> Result<Box<dyn LockedCredential>, TokenError> {
        let is_first = self.is_first.swap(false, Ordering::Relaxed);
        assert!(!is_first, "a careless store");
        self.store.lock().await
    }
}

#[test]
fn tokens_try_again_when_a_store_has_panicked() {
    let world = World::new();
    let (store, _) = authorized(&world);
    let is_first = AtomicBool::new(true);
    let tokens = RefreshToken::new(CLIENT_ID, SECRET, Careless { store, is_first })
        .api_origin(ORIGIN)
        .tokens(world.clone())
        .unwrap();
    world.within(HOUR, async {
        let error = tokens.token(None).await.unwrap_err();
        assert_eq!(error.kind(), TokenErrorKind::Transient);
        assert_eq!(error.to_string(), "the token source panicked");
        world.clock.wait(60 * SECOND).await;
        tokens.token(None).await.unwrap();
    });
}

#[test]
fn old_token_stays_locked_while_the_new_one_is_unsaved() {
    let world = World::new();
    let (store, tokens) = authorized(&world);
    store.fail(failing(GIVES_UP));
    let other = process(&world, &store);
    world.within(HOUR, async {
        tokens.token(None).await.unwrap_err();
        let mut waiting = std::pin::pin!(other.token(None));
        tokio::select! {
            biased;
            outcome = &mut waiting => panic!("{outcome:?}"),
            () = world.clock.wait(60 * SECOND) => {}
        }
        let token = tokens.token(None).await.unwrap();
        assert!(waiting.await.unwrap() == token);
    });
    assert_eq!(world.token_requests(), 1);
}

#[test]
fn waiting_for_a_locked_credential_fails_after_five_minutes() {
    let world = World::new();
    let (store, _) = authorized(&world);
    let tokens = process(&world, &store);
    world.within(HOUR, async {
        let _locked = store.lock().await.unwrap();
        let began = world.clock.now().monotonic;
        let error = tokens.token(None).await.unwrap_err();
        assert_eq!(error.kind(), TokenErrorKind::Transient);
        let waited = world.clock.now().monotonic - began;
        assert_eq!(waited, 5 * 60 * SECOND);
    });
    world.within(HOUR, async { tokens.token(None).await.unwrap() });
}

#[test]
fn token_that_was_loaded_late_is_refreshed_by_its_own_age() {
    let world = World::new();
    let (store, tokens) = authorized(&world);
    world.within(HOUR, async {
        let first = tokens.token(None).await.unwrap();
        world.clock.wait(50 * 60 * SECOND).await;
        let late = process(&world, &store);
        assert!(late.token(None).await.unwrap() == first);
        world.clock.wait(8 * 60 * SECOND).await;
        assert!(
            late.token(None).await.unwrap() != first,
            "it expires in two minutes"
        );
    });
}

#[test]
fn new_credential_is_json_with_only_a_refresh_token() {
    let world = World::new();
    let now = world.clock.now().monotonic;
    let token = world.emulator().grant_refresh_token(CLIENT_ID, USER, now);
    let store = InMemory::new(token.clone());
    assert_eq!(store.json(), serde_json::json!({"refresh_token": token}));
}
