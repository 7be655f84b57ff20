//! Tests that no panic message shows a secret, even if careless code panics with values that hold
//! one.

#![cfg(feature = "reqwest")]

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, Once};

use async_trait::async_trait;
use box_longpoll::auth::TokenError;
use box_longpoll::checkpoint::{Checkpoint, CheckpointError, CheckpointStore};
use box_longpoll::{AccessToken, StartAt, Status, TokenSource};
use box_longpoll_testkit::{EmulatorServer, Endpoint};
use futures_lite::future::or;

use crate::backend::Backend;
use crate::canary::{TOKEN, assert_hidden, echoes, list, token};
use crate::fake_box::{builder, fake_box};

static SAID: Mutex<String> = Mutex::new(String::new());

/// Runs `work`, which has to panic, and returns all messages that the panic hook has received so
/// far.
fn said_by(work: impl AsyncFnOnce(Arc<EmulatorServer>)) -> String {
    static KEPT: Once = Once::new();
    KEPT.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            SAID.lock().unwrap().push_str(&format!("{info}\n"));
            before(info);
        }));
    });
    let server = fake_box(|_| ());
    server.append(TOKEN, 2);
    server.queue_fault(Endpoint::Options, list(&server), 1);
    let work = AssertUnwindSafe(|| Backend::Reqwest.runtime().block_on(work(server)));
    assert!(panic::catch_unwind(work).is_err(), "it panics");
    SAID.lock().unwrap().clone()
}

#[track_caller]
fn assert_harmless(said: &str, sign: &str) {
    assert!(said.contains(sign), "no {sign:?} in {said}");
    assert_hidden("a panic's message", said);
}

/// A token source that panics instead of returning a token, with itself in the message.
#[derive(Debug)]
struct CarelessSource(AccessToken);

#[async_trait]
impl TokenSource for CarelessSource {
    async fn token(&self, rejected: Option<&AccessToken>) -> Result<AccessToken, TokenError> {
        panic!("a careless source: {self:?} {:?} {rejected:?}", self.0)
    }
}

#[test]
fn a_token_source_that_panics_shows_no_secret() {
    let said = said_by(async |server| {
        let source = CarelessSource(token());
        let client = builder(&server).build(Backend::Reqwest.transport(), source);
        client.unwrap().events(StartAt::Oldest).next().await;
    });
    assert_harmless(&said, "a careless source");
}

/// A store that panics instead of saving, with the checkpoint in the message.
#[derive(Clone, Debug)]
struct CarelessStore;

#[async_trait]
impl CheckpointStore for CarelessStore {
    async fn load(&self, _key: &str) -> Result<Option<Checkpoint>, CheckpointError> {
        Ok(None)
    }

    async fn save(&self, _key: &str, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        panic!("a careless store: {checkpoint:?}")
    }
}

#[test]
fn a_store_that_panics_shows_no_secret() {
    let said = said_by(async |server| {
        let client = builder(&server).build(Backend::Reqwest.transport(), token());
        let client = client.unwrap();
        let mut subscription = client.subscribe(CarelessStore, "ada", StartAt::Now);
        let mut handle = subscription.handle();
        let is_not_saved = async {
            while !matches!(handle.status(), Status::NotSaving { .. }) {
                handle.changed().await;
            }
        };
        let starts = async {
            subscription.next().await;
        };
        or(starts, is_not_saved).await;
        panic!("{:?}", subscription.status());
    });
    assert_harmless(&said, "a careless store");
}

#[test]
fn a_consumer_that_panics_shows_no_secret() {
    let said = said_by(async |server| {
        let client = builder(&server).build(Backend::Reqwest.transport(), token());
        let client = client.unwrap();
        let servers = client.realtime_servers().await.unwrap();
        let mut batches = client.batches(StartAt::Oldest);
        let batch = batches.next().await;
        panic!("a careless consumer: {client:?} {servers:?} {batches:?} {batch:?}");
    });
    assert_harmless(&said, "a careless consumer");
}

#[test]
fn an_error_that_is_unwrapped_shows_no_secret() {
    for status in [200, 401, 403, 500] {
        for n in 0..3 {
            let said = said_by(async |server| {
                let client = builder(&server).build(Backend::Reqwest.transport(), token());
                let echo = echoes(&server, status)[n].clone();
                server.queue_fault(Endpoint::Events, echo, 1);
                client.unwrap().fetch(StartAt::Oldest).await.unwrap();
            });
            assert_harmless(&said, "called `Result::unwrap()` on an `Err` value: Error");
        }
    }
}

#[test]
fn tokens_that_are_compared_show_no_secret() {
    let said = said_by(async |_| {
        assert_eq!(token(), AccessToken::new("another-token").unwrap());
    });
    assert_harmless(&said, "AccessToken(..)");
    assert!(!said.contains("another-token"));
}
