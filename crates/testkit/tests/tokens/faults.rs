//! Faults on token requests: the cases in which a refresh token is used up although the client gets
//! no token.

use box_longpoll_testkit::{Delivery, Endpoint, Fault, Grant, Outcome, Reply};
use rstest::rstest;

use crate::world::{APP, World, token_request};

/// Sends a refresh that meets a fault. Returns its reply, and `true` if its refresh token was used
/// up.
fn refresh_with(fault: &Fault) -> (World, Reply, bool) {
    let mut world = World::new();
    let token = world.emulator.grant_refresh_token(APP, "1", world.now);
    world
        .emulator
        .queue_fault(Endpoint::Token, fault.clone(), 1);
    let form = [("grant_type", "refresh_token"), ("refresh_token", &token)];
    let reply = world.send(&token_request(APP, &form));
    let record = world.last_record();
    assert_eq!(record.fault, Some(fault.name()));
    assert_eq!(record.grant, Some(Grant::RefreshToken));
    let used_up = world.refresh(&token).is_err();
    assert_eq!(record.token.is_some(), used_up, "{}", fault.name());
    (world, reply, used_up)
}

#[test]
fn every_fault_on_a_token_request_is_met_and_logged() {
    let faults = Fault::all().into_iter();
    for fault in faults.filter(|fault| fault.applies_to(Endpoint::Token)) {
        let (world, reply, _) = refresh_with(&fault);
        let is_silent = [Fault::Silence, Fault::WithheldResponse].contains(&fault);
        let held = matches!(reply, Reply::Hold { until: None, .. });
        assert_eq!(held, is_silent, "{}", fault.name());
        assert_eq!(world.emulator.counters().token.requests, 2);
    }
}

#[rstest]
#[case(Fault::CloseBeforeHeaders)]
#[case(Fault::Reset)]
#[case(Fault::Silence)]
#[case(Fault::Unavailable)]
#[case(Fault::RateLimited { seconds: 1 })]
#[case(Fault::Html)]
#[case(Fault::Garbage)]
#[case(Fault::WrongTypes)]
fn a_fault_without_the_regular_response_keeps_the_refresh_token(#[case] fault: Fault) {
    let (_, _, used_up) = refresh_with(&fault);
    assert!(!used_up);
}

#[rstest]
#[case(Fault::CloseInHeaders)]
#[case(Fault::CloseInBody)]
#[case(Fault::ResetInBody)]
#[case(Fault::TruncatedJson)]
#[case(Fault::LostResponse)]
#[case(Fault::WithheldResponse)]
fn a_broken_or_lost_response_uses_up_the_refresh_token(#[case] fault: Fault) {
    let (_, _, used_up) = refresh_with(&fault);
    assert!(used_up);
}

#[test]
fn a_lost_response_is_a_reset_connection() {
    let (_, reply, _) = refresh_with(&Fault::LostResponse);
    let delivery = reply.response().map(|response| response.delivery);
    assert_eq!(delivery, Some(Delivery::Reset));
}

#[test]
fn a_withheld_response_is_held_until_the_client_disconnects() {
    let (mut world, reply, _) = refresh_with(&Fault::WithheldResponse);
    let Reply::Hold { id, .. } = reply else {
        panic!("the request was not held")
    };
    world.emulator.hang_up(id);
    let first = world.emulator.requests().next().expect("a request");
    assert_eq!((&first.outcome, first.token), (&Outcome::HungUp, Some(0)));
}

#[test]
fn a_refusal_is_logged_even_if_its_response_is_lost() {
    let mut world = World::new();
    world
        .emulator
        .queue_fault(Endpoint::Token, Fault::LostResponse, 1);
    world.send(&token_request(APP, &[]));
    let record = world.last_record();
    assert_eq!(
        (record.token, record.refusal),
        (None, Some("invalid_request"))
    );
}

#[test]
fn only_token_responses_can_be_lost() {
    for fault in [Fault::LostResponse, Fault::WithheldResponse] {
        let endpoints = Endpoint::ALL.into_iter();
        let meaningful: Vec<_> = endpoints.filter(|&at| fault.applies_to(at)).collect();
        assert_eq!(meaningful, [Endpoint::Token]);
    }
}
