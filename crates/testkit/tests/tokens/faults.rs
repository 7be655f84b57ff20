use box_longpoll_testkit::{Delivery, Endpoint, Fault, Grant, Outcome, Reply};
use rstest::rstest;

use crate::world::{APP, World, token_request};

/// What became of a refresh that met a fault, and whether its refresh token was used up.
fn refresh_with(fault: &Fault) -> (World, Reply, bool) {
    let mut world = World::new();
    let token = world.emulator.grant_refresh_token(APP, "1", world.now);
    world
        .emulator
        .queue_fault(Endpoint::Token, fault.clone(), 1);
    let form = [("grant_type", "refresh_token"), ("refresh_token", &token)];
    let reply = world.ask(&token_request(APP, &form));
    let record = world.last_record();
    assert_eq!(record.fault, Some(fault.name()));
    assert_eq!(record.grant, Some(Grant::RefreshToken));
    let used_up = world.refresh(&token).is_err();
    assert_eq!(record.token.is_some(), used_up, "{}", fault.name());
    (world, reply, used_up)
}

#[test]
fn every_fault_on_a_token_request_is_met_and_noted() {
    let faults = Fault::all().into_iter();
    for fault in faults.filter(|fault| fault.applies_to(Endpoint::Token)) {
        let (world, reply, _) = refresh_with(&fault);
        let unanswered = [Fault::Silence, Fault::WithheldAnswer].contains(&fault);
        let held = matches!(reply, Reply::Hold { until: None, .. });
        assert_eq!(held, unanswered, "{}", fault.name());
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
fn a_fault_without_the_true_answer_leaves_the_refresh_token_as_it_was(#[case] fault: Fault) {
    let (_, _, used_up) = refresh_with(&fault);
    assert!(!used_up);
}

#[rstest]
#[case(Fault::CloseInHeaders)]
#[case(Fault::CloseInBody)]
#[case(Fault::ResetInBody)]
#[case(Fault::TruncatedJson)]
#[case(Fault::LostAnswer)]
#[case(Fault::WithheldAnswer)]
fn an_answer_that_is_broken_or_lost_has_used_the_refresh_token_up(#[case] fault: Fault) {
    let (_, _, used_up) = refresh_with(&fault);
    assert!(used_up);
}

#[test]
fn a_lost_answer_is_a_reset_connection() {
    let (_, reply, _) = refresh_with(&Fault::LostAnswer);
    let delivery = reply.answer().map(|answer| answer.delivery);
    assert_eq!(delivery, Some(Delivery::Reset));
}

#[test]
fn a_withheld_answer_is_waited_for_until_the_client_goes() {
    let (mut world, reply, _) = refresh_with(&Fault::WithheldAnswer);
    let Reply::Hold { id, .. } = reply else {
        panic!("it was answered")
    };
    world.emulator.hang_up(id);
    let first = world.emulator.requests().next().expect("a request");
    assert_eq!((&first.outcome, first.token), (&Outcome::HungUp, Some(0)));
}

#[test]
fn a_request_that_would_be_refused_is_refused_where_its_answer_is_lost() {
    let mut world = World::new();
    world
        .emulator
        .queue_fault(Endpoint::Token, Fault::LostAnswer, 1);
    world.ask(&token_request(APP, &[]));
    let record = world.last_record();
    assert_eq!(
        (record.token, record.refusal),
        (None, Some("invalid_request"))
    );
}

#[test]
fn an_answer_can_only_be_lost_where_it_matters() {
    for fault in [Fault::LostAnswer, Fault::WithheldAnswer] {
        let endpoints = Endpoint::ALL.into_iter();
        let meaningful: Vec<_> = endpoints.filter(|&at| fault.applies_to(at)).collect();
        assert_eq!(meaningful, [Endpoint::Token]);
    }
}
