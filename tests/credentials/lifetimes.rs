//! The test of streams that outlive 200 of their tokens, with a virtual clock. The module
//! `real_time` has the same test with the real clock.

use std::time::Duration;

use box_longpoll::auth::JwtAlgorithm;
use box_longpoll::{Event, StartAt};
use box_longpoll_testkit::Endpoint;
use rstest::rstest;

use crate::grants::Grant;
use crate::world::{CLIENT_ID, ORIGIN, USER, World};

const LIFETIMES: u32 = 200;
const LIFETIME: Duration = Duration::from_secs(5);

/// The mean time between two events, in milliseconds.
const MEAN_GAP_MS: u64 = 700;

#[rstest]
#[case::service_account(Grant::ServiceAccount)]
#[case::user(Grant::User)]
#[case::oauth(Grant::RefreshToken)]
#[case::rs256(Grant::Jwt(JwtAlgorithm::Rs256))]
#[case::rs384(Grant::Jwt(JwtAlgorithm::Rs384))]
#[case::rs512(Grant::Jwt(JwtAlgorithm::Rs512))]
fn stream_loses_and_repeats_nothing_over_200_token_lifetimes(#[case] grant: Grant) {
    let world = World::with(|settings| settings.token_lifetime_ms = 5_000);
    let now = world.clock.now().monotonic;
    let authorized = world.emulator().grant_refresh_token(CLIENT_ID, USER, now);
    let client = world.client(grant.tokens(ORIGIN, authorized, world.clone()));
    let mut events = client.events(StartAt::Oldest);
    let mut rng = fastrand::Rng::with_seed(7);
    let mut seen = Vec::new();
    let mut next = now;
    let end = now + LIFETIMES * LIFETIME;
    while next < end {
        world.append(&grant.account(), 1);
        next += Duration::from_millis(rng.u64(0..2 * MEAN_GAP_MS));
        while let Some(event) = world.drive(events.next(), next) {
            seen.push(id(&event.unwrap().unwrap()));
        }
    }
    let patience = world.clock.now().monotonic + LIFETIME;
    while let Some(event) = world.drive(events.next(), patience) {
        seen.push(id(&event.unwrap().unwrap()));
    }
    assert!(seen == world.emulator().event_ids(&grant.account()));
    let requests = world.token_requests();
    println!(
        "{grant:?}: {} events, {requests} token requests",
        seen.len()
    );
    assert!((200..=260).contains(&requests), "{requests} token requests");
    let emulator = world.emulator();
    let expired = emulator.counters().expired_calls;
    assert!(expired.values().all(|calls| *calls == 1), "{expired:?}");
    let broken = emulator.requests().filter(|request| {
        request.endpoint == Endpoint::Realtime
            && request.outcome == box_longpoll_testkit::Outcome::HungUp
    });
    assert_eq!(broken.count(), 0, "polls stay open through refreshes");
}

fn id(event: &Event) -> String {
    event
        .id()
        .expect("the emulator's events have ids")
        .to_owned()
}
