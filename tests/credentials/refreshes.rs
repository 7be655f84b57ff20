//! Tests of the time at which a token is refreshed, and of callers that wait while the token
//! endpoint fails.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::auth::TokenError;
use box_longpoll::auth::{RefreshedTokens, TokenErrorKind};
use box_longpoll::transport::{Moment, TransportError, TransportErrorKind, TransportRequest};
use box_longpoll::{AccessToken, HttpTransport, StartAt, TokenSource as _};
use box_longpoll_testkit::{Endpoint, Fault};
use bytes::Bytes;
use http::Response;

use crate::grants::Grant;
use crate::world::{CLIENT_ID, ORIGIN, World};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

fn tokens(world: &World) -> RefreshedTokens {
    Grant::ServiceAccount.tokens(ORIGIN, String::new(), world.clone())
}

/// Waits for `time`, and then requests a token. Returns the outcome, and the duration of the call.
#[track_caller]
fn token_after(
    world: &World,
    tokens: &RefreshedTokens,
    time: Duration,
) -> (Result<AccessToken, TokenError>, Duration) {
    world.within(time + MINUTE + SECOND, async {
        world.clock.wait(time).await;
        let began = world.clock.now().monotonic;
        let outcome = tokens.token(None).await;
        (outcome, world.clock.now().monotonic - began)
    })
}

#[test]
fn a_thousand_waiting_callers_make_one_request() {
    let world = World::new();
    let tokens = tokens(&world);
    let waiting = (0..1_000).map(|_| tokens.token(None));
    let all = world.within(SECOND, futures_util::future::join_all(waiting));
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(world.token_requests(), 1);
}

#[test]
fn a_token_is_refreshed_after_51_to_57_of_its_60_minutes() {
    let refreshed_after: Vec<u64> = (0..50)
        .map(|_| {
            let world = World::new();
            let tokens = tokens(&world);
            let mut minutes = 0;
            token_after(&world, &tokens, Duration::ZERO).0.unwrap();
            while world.token_requests() == 1 {
                token_after(&world, &tokens, MINUTE).0.unwrap();
                minutes += 1;
            }
            minutes
        })
        .collect();
    let (least, most) = (refreshed_after.iter().min(), refreshed_after.iter().max());
    assert!(
        least >= Some(&51) && most <= Some(&57),
        "{refreshed_after:?}"
    );
    assert!(least < most, "not all at the same moment");
}

#[test]
fn token_is_used_and_retries_back_off_when_the_endpoint_fails() {
    let world = World::new();
    let tokens = tokens(&world);
    let (first, _) = token_after(&world, &tokens, Duration::ZERO);
    let first = first.unwrap();
    world
        .emulator()
        .queue_fault(Endpoint::Token, Fault::Unavailable, u32::MAX);
    token_after(&world, &tokens, 57 * MINUTE).0.unwrap();
    // A caller requests the token every 100 ms, for two minutes.
    for _ in 0..1_200 {
        let (token, waited) = token_after(&world, &tokens, SECOND / 10);
        assert!(token.unwrap() == first);
        assert!(waited < SECOND, "{waited:?}");
    }
    let requests = world.token_requests();
    // The waits are random: there are at least 7 requests, usually about 16, and more than 60 in
    // one run of a million.
    assert!((5..=60).contains(&requests), "{requests} requests");
    // Then the token expires.
    let (none, _) = token_after(&world, &tokens, 2 * MINUTE);
    assert_eq!(none.unwrap_err().kind(), TokenErrorKind::Transient);
    world.emulator().clear_faults();
    let (next, _) = token_after(&world, &tokens, MINUTE);
    assert!(next.unwrap() != first);
}

#[test]
fn silent_endpoint_delays_a_valid_token_once_by_five_seconds() {
    let world = World::new();
    let tokens = tokens(&world);
    token_after(&world, &tokens, Duration::ZERO).0.unwrap();
    world
        .emulator()
        .queue_fault(Endpoint::Token, Fault::Silence, 1);
    let (token, waited) = token_after(&world, &tokens, 57 * MINUTE);
    token.unwrap();
    assert_eq!(waited, 5 * SECOND);
    let (token, waited) = token_after(&world, &tokens, SECOND);
    token.unwrap();
    assert_eq!(waited, Duration::ZERO, "the refresh is still in flight");
}

#[test]
fn retry_after_of_the_endpoint_is_respected() {
    let world = World::new();
    let tokens = tokens(&world);
    let fault = Fault::RateLimited { seconds: 300 };
    world.emulator().queue_fault(Endpoint::Token, fault, 1);
    for _ in 0..290 {
        let (none, _) = token_after(&world, &tokens, SECOND);
        assert_eq!(none.unwrap_err().kind(), TokenErrorKind::Transient);
    }
    assert_eq!(world.token_requests(), 1);
    token_after(&world, &tokens, 20 * SECOND).0.unwrap();
}

#[test]
fn token_is_used_until_it_expires_when_the_next_is_refused() {
    let world = World::new();
    let tokens = tokens(&world);
    let (first, _) = token_after(&world, &tokens, Duration::ZERO);
    let first = first.unwrap();
    world
        .emulator()
        .change_application(CLIENT_ID, |application| {
            application.client_secret = "another secret".into();
        });
    token_after(&world, &tokens, 57 * MINUTE).0.unwrap();
    for _ in 0..100 {
        let (token, _) = token_after(&world, &tokens, SECOND);
        assert!(token.unwrap() == first);
    }
    assert_eq!(world.token_requests(), 2);
}

/// A token endpoint that follows a script.
struct Scripted {
    world: World,
    responses: Mutex<VecDeque<Result<&'static str, TransportErrorKind>>>,
}

impl Scripted {
    fn tokens(
        responses: impl Into<VecDeque<Result<&'static str, TransportErrorKind>>>,
    ) -> (World, RefreshedTokens) {
        let world = World::new();
        let endpoint = Self {
            world: world.clone(),
            responses: Mutex::new(responses.into()),
        };
        let tokens = Grant::ServiceAccount.tokens(ORIGIN, String::new(), endpoint);
        (world, tokens)
    }
}

#[async_trait]
impl HttpTransport for Scripted {
    async fn send(&self, _: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        let response = self.responses.lock().unwrap().pop_front();
        let token = response
            .expect("one request too many")
            .map_err(TransportError::new)?;
        let body = format!(r#"{{"access_token":"{token}","expires_in":3600}}"#);
        Ok(Response::new(body.into()))
    }

    async fn sleep(&self, duration: Duration) -> Result<(), TransportError> {
        self.world.sleep(duration).await
    }

    fn now(&self) -> Moment {
        self.world.now()
    }
}

#[test]
fn rejected_token_is_not_returned_when_the_endpoint_repeats_it() {
    let (world, tokens) = Scripted::tokens([Ok("one"), Ok("one"), Ok("two")]);
    let (first, _) = token_after(&world, &tokens, Duration::ZERO);
    let refreshed = world.within(SECOND, tokens.token(Some(&first.unwrap())));
    assert!(refreshed.unwrap() == AccessToken::new("two").unwrap());
}

#[test]
fn runtime_failure_causes_no_backoff() {
    let (world, tokens) = Scripted::tokens([Err(TransportErrorKind::Runtime), Ok("one")]);
    let (none, _) = token_after(&world, &tokens, Duration::ZERO);
    assert_eq!(none.unwrap_err().kind(), TokenErrorKind::Runtime);
    token_after(&world, &tokens, Duration::ZERO).0.unwrap();
}

#[test]
fn response_without_a_token_is_retried() {
    let world = World::new();
    let tokens = tokens(&world);
    for fault in [Fault::Html, Fault::NoContent] {
        world.emulator().queue_fault(Endpoint::Token, fault, 1);
        let (none, _) = token_after(&world, &tokens, MINUTE);
        assert_eq!(none.unwrap_err().kind(), TokenErrorKind::Transient);
    }
    token_after(&world, &tokens, MINUTE).0.unwrap();
}

#[test]
fn token_expires_while_the_machine_is_suspended() {
    let world = World::new();
    let tokens = tokens(&world);
    token_after(&world, &tokens, Duration::ZERO).0.unwrap();
    world.suspend_machine(2 * HOUR);
    token_after(&world, &tokens, SECOND).0.unwrap();
    assert_eq!(world.token_requests(), 2);
}

#[test]
fn stream_reports_why_it_waits_for_the_endpoint_and_continues() {
    let world = World::new();
    let client = world.client(tokens(&world));
    world
        .emulator()
        .queue_fault(Endpoint::Token, Fault::Unavailable, 3);
    world.append(&Grant::ServiceAccount.account(), 1);
    let mut events = client.events(StartAt::Oldest);
    let soon = world.clock.now().monotonic + SECOND / 25;
    assert!(world.drive(events.next(), soon).is_none());
    let status = events.status().to_string();
    assert!(status.contains("token endpoint responded 503"), "{status}");
    let event = world.within(MINUTE, events.next());
    event.unwrap().unwrap();
}
