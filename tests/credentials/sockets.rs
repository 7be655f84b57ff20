//! Tests of the grants over real sockets, with each HTTP backend, and of exchanges whose caller is
//! dropped.

use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::auth::TokenError;
use box_longpoll::auth::{
    Credential, CredentialStore, JwtAlgorithm, LockedCredential, RefreshToken, RefreshedTokens,
};
use box_longpoll::blocking::Timed;
use box_longpoll::config::RealtimeHosts;
use box_longpoll::{
    AccessToken, HttpTransport, LongPollClient, LongPollClientBuilder, StartAt, TokenSource as _,
};
use box_longpoll_testkit::{EmulatorServer, Endpoint, Fault, RequestRecord, Settings};
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use rstest::rstest;

use crate::backend::Backend;
use crate::grants::{Grant, InMemory};
use crate::world::{CLIENT_ID, SECRET, USER, application};

/// Long enough for the slowest machine. A test that waits for this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn fake_box() -> EmulatorServer {
    let server = EmulatorServer::start_with(Settings {
        issued_tokens_only: true,
        ..Settings::default()
    });
    server.register(application());
    server
}

pub(crate) fn builder(server: &EmulatorServer) -> LongPollClientBuilder {
    LongPollClient::builder()
        .api_origin(server.origin())
        .realtime_hosts(RealtimeHosts::default().allow_loopback())
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn each_grant_gives_tokens_that_are_refreshed(
    #[case] backend: Backend,
    #[values(
        Grant::ServiceAccount,
        Grant::User,
        Grant::RefreshToken,
        Grant::Jwt(JwtAlgorithm::Rs256)
    )]
    grant: Grant,
) {
    let server = fake_box();
    let authorized = server.grant_refresh_token(CLIENT_ID, USER);
    backend.runtime().block_on(async {
        let transport = backend.transport();
        let tokens = grant.tokens(server.origin(), authorized, transport.clone());
        let client = builder(&server).build(transport, tokens.clone()).unwrap();
        for n in 1..=3 {
            server.append(&grant.account(), 1);
            let page = client.fetch(StartAt::Oldest).await.unwrap();
            assert_eq!(page.events.len(), n);
            let token = tokens.token(None).await.unwrap();
            tokens.token(Some(&token)).await.unwrap();
        }
    });
    assert_eq!(token_requests(&server), 4);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn a_grant_acts_for_a_user_too(#[case] backend: Backend) {
    let server = fake_box();
    server.append("4711", 2);
    backend.runtime().block_on(async {
        let transport = backend.transport();
        let tokens =
            Grant::ServiceAccount.tokens(server.origin(), String::new(), transport.clone());
        let client = builder(&server).build(transport, tokens).unwrap();
        let client = client.as_user("4711").unwrap();
        let page = client.fetch(StartAt::Oldest).await.unwrap();
        assert_eq!(page.events.len(), 2);
    });
}

/// A store that sends each saved credential to a channel.
struct Reporting(InMemory, Sender<Credential>);

struct ReportingLocked(Box<dyn LockedCredential>, Sender<Credential>);

#[async_trait]
impl CredentialStore for Reporting {
    async fn lock(&self) -> Result<Box<dyn LockedCredential>, TokenError> {
        let locked = ReportingLocked(self.0.lock().await?, self.1.clone());
        Ok(Box::new(locked))
    }
}

#[async_trait]
impl LockedCredential for ReportingLocked {
    async fn load(&mut self) -> Result<Credential, TokenError> {
        self.0.load().await
    }

    async fn save(&mut self, credential: &Credential) -> Result<(), TokenError> {
        self.0.save(credential).await?;
        // The receiver is gone if the test is over.
        let _ = self.1.send(credential.clone());
        Ok(())
    }
}

/// Returns a user's tokens, whose next exchange gets a slow response, and the credentials that are
/// saved.
fn slow_exchange(
    server: &EmulatorServer,
    transport: impl HttpTransport,
) -> (RefreshedTokens, Receiver<Credential>) {
    let slowly = Fault::Drip { interval_ms: 5 };
    server.queue_fault(Endpoint::Token, slowly, 1);
    let store = InMemory::new(server.grant_refresh_token(CLIENT_ID, USER));
    let (sender, saved) = channel();
    let tokens = RefreshToken::new(CLIENT_ID, SECRET, Reporting(store, sender))
        .api_origin(server.origin())
        .tokens(transport)
        .unwrap();
    (tokens, saved)
}

/// Asserts that the intent is saved, and then the outcome.
#[track_caller]
fn assert_finished(server: &EmulatorServer, saved: &Receiver<Credential>) {
    let written = [(); 2].map(|()| {
        let credential = saved.recv_timeout(PATIENCE).expect("it is saved");
        serde_json::to_value(credential).unwrap()
    });
    assert!(written[0]["exchanging_since"].is_string(), "{written:?}");
    assert!(written[1]["access_token"].is_string());
    assert_eq!(token_requests(server), 1);
}

/// Returns a future that resolves when the token endpoint has received a request.
fn token_request(server: &Arc<EmulatorServer>) -> oneshot::Receiver<()> {
    let (sender, received) = oneshot::channel();
    let server = server.clone();
    thread::spawn(move || {
        assert!(server.wait_until(PATIENCE, |emulator| {
            emulator
                .requests()
                .any(|request| request.endpoint == Endpoint::Token)
        }));
        sender.send(())
    });
    received
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn exchange_is_finished_when_its_stream_is_dropped(#[case] backend: Backend) {
    let server = Arc::new(fake_box());
    let runtime = backend.runtime();
    let saved = runtime.block_on(async {
        let transport = backend.transport();
        let (tokens, saved) = slow_exchange(&server, transport.clone());
        let client = builder(&server).build(transport, tokens).unwrap();
        let mut events = client.events(StartAt::Now);
        match select(pin!(events.next()), token_request(&server)).await {
            Either::Left((event, _)) => panic!("{event:?}"),
            Either::Right((received, _)) => received.unwrap(),
        }
        saved
    });
    assert_finished(&server, &saved);
    drop(runtime);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn exchange_is_finished_when_its_blocking_client_is_dropped(
    #[case] backend: Backend,
    #[values(false, true)] derived: bool,
) {
    let server = Arc::new(fake_box());
    let transport = backend.transport();
    let (tokens, saved) = slow_exchange(&server, transport.clone());
    let client = if derived {
        let nobodys = AccessToken::new("nobody's").unwrap();
        let first = builder(&server).build_blocking(transport, nobodys).unwrap();
        first.with_tokens(tokens)
    } else {
        builder(&server).build_blocking(transport, tokens).unwrap()
    };
    let mut events = client.events(StartAt::Now);
    let mut received = token_request(&server);
    while received.try_recv().unwrap().is_none() {
        let event = events.next_timeout(Duration::from_millis(5));
        assert!(matches!(event, Timed::Elapsed), "{event:?}");
    }
    drop((events, client));
    assert_finished(&server, &saved);
}

fn token_requests(server: &EmulatorServer) -> usize {
    let of_tokens = |request: &RequestRecord| request.endpoint == Endpoint::Token;
    server
        .requests()
        .iter()
        .filter(|request| of_tokens(request))
        .count()
}
