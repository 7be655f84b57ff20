//! When a token is renewed, and what a sick token endpoint does to those who wait.

use std::time::Duration;

use box_longpoll::auth::{RenewedTokens, TokenErrorKind};
use box_longpoll::{AccessToken, StartAt, TokenError, TokenSource as _};
use box_longpoll_testkit::{Endpoint, Fault};

use crate::grants::Grant;
use crate::world::{ORIGIN, World};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

fn tokens(world: &World) -> RenewedTokens {
    Grant::ServiceAccount.tokens(ORIGIN, String::new(), world.clone())
}

/// The token after so long, and how long it was waited for.
#[track_caller]
fn token_after(
    world: &World,
    tokens: &RenewedTokens,
    time: Duration,
) -> (Result<AccessToken, TokenError>, Duration) {
    world.within(time + MINUTE + SECOND, async {
        world.clock.wait(time).await;
        let asked = world.clock.now().monotonic;
        let outcome = tokens.token().await;
        (outcome, world.clock.now().monotonic - asked)
    })
}

#[test]
fn a_thousand_who_wait_make_one_call() {
    let world = World::new();
    let tokens = tokens(&world);
    let waiting = (0..1_000).map(|_| tokens.token());
    let all = world.within(SECOND, futures_util::future::join_all(waiting));
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(world.token_requests(), 1);
}

#[test]
fn a_token_is_renewed_after_51_to_57_of_its_60_minutes() {
    let renewed_after: Vec<u64> = (0..50)
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
    let (least, most) = (renewed_after.iter().min(), renewed_after.iter().max());
    assert!(least >= Some(&51) && most <= Some(&57), "{renewed_after:?}");
    assert!(least < most, "not all at the same moment");
}

#[test]
fn a_token_is_used_on_while_the_endpoint_fails_and_the_endpoint_is_left_alone_longer_and_longer() {
    let world = World::new();
    let tokens = tokens(&world);
    let (first, _) = token_after(&world, &tokens, Duration::ZERO);
    let first = first.unwrap();
    world
        .emulator()
        .queue_fault(Endpoint::Token, Fault::Unavailable, u32::MAX);
    token_after(&world, &tokens, 57 * MINUTE).0.unwrap();
    // Somebody asks every 100 ms, for two minutes.
    for _ in 0..1_200 {
        let (token, waited) = token_after(&world, &tokens, SECOND / 10);
        assert!(token.unwrap() == first);
        assert!(waited < SECOND, "{waited:?}");
    }
    let requests = world.token_requests();
    // The waits are drawn: there are 7 requests or more, some 16 as a rule, and more than 60 once in a million runs.
    assert!((5..=60).contains(&requests), "{requests} requests");
    // Then it is over.
    let (none, _) = token_after(&world, &tokens, 2 * MINUTE);
    assert_eq!(none.unwrap_err().kind(), TokenErrorKind::Transient);
    world.emulator().clear_faults();
    let (next, _) = token_after(&world, &tokens, MINUTE);
    assert!(next.unwrap() != first);
}

#[test]
fn an_endpoint_that_never_answers_delays_a_good_token_once_and_by_five_seconds() {
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
    assert_eq!(waited, Duration::ZERO, "the call goes on meanwhile");
}

#[test]
fn what_the_endpoint_asks_for_by_retry_after_is_heeded() {
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
fn what_is_no_token_is_asked_for_again() {
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
fn a_token_is_over_when_the_wall_clock_says_so_though_the_machine_slept() {
    let world = World::new();
    let tokens = tokens(&world);
    token_after(&world, &tokens, Duration::ZERO).0.unwrap();
    world.sleep_machine(2 * HOUR);
    token_after(&world, &tokens, SECOND).0.unwrap();
    assert_eq!(world.token_requests(), 2);
}

#[test]
fn a_stream_that_waits_for_the_endpoint_says_why_and_goes_on() {
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
    assert!(status.contains("token endpoint answered 503"), "{status}");
    let event = world.within(MINUTE, events.next());
    event.unwrap().unwrap();
}
