use std::time::Duration;

use box_longpoll_testkit::{Reply, Request, Settings};
use serde_json::Value;

use crate::world::{World, api_call};

#[test]
fn two_hundred_lifetimes_of_one_stream_are_one_caller() {
    let mut world = World::new();
    for _ in 0..200 {
        let token = world.token_for("user", "1");
        assert_eq!(world.call(&token), 200);
        world.pass(Duration::from_secs(3600));
    }
    let callers = world.emulator.callers();
    assert_eq!(callers.len(), 1);
    assert_eq!(callers["1 by app"].requests, 200);
}

#[test]
fn what_a_caller_was_sent_is_known_after_a_renewal() {
    let mut world = World::new();
    world.emulator.append("1", 5, world.now);
    let [before, after] = [(); 2].map(|()| world.token_for("user", "1"));
    let mut new_events = |token: &str| {
        world.call(token);
        world.last_record().new_events
    };
    assert_eq!([new_events(&before), new_events(&after)], [5, 0]);
}

#[test]
fn a_renewal_does_not_lift_the_limit_of_calls() {
    let mut world = World::with(Settings {
        calls_per_minute: Some(1),
        ..Settings::default()
    });
    let statuses = [(); 2].map(|()| {
        let token = world.token_for("user", "1");
        world.call(&token)
    });
    assert_eq!(statuses, [200, 429]);
}

#[test]
fn a_realtime_url_that_was_given_for_one_token_is_good_with_the_next() {
    let mut world = World::with(Settings {
        realtime_needs_token: true,
        ..Settings::default()
    });
    let bearer =
        |request: Request, token: &str| request.header("Authorization", &format!("Bearer {token}"));
    let [before, after] = [(); 2].map(|()| world.token_for("user", "1"));
    let stranger = world.token_for("user", "2");
    let list = world.answer(&bearer(Request::new("OPTIONS", "/2.0/events"), &before));
    let list: Value = serde_json::from_slice(&list.body).expect("JSON");
    let url = list["entries"][0]["url"].as_str().expect("a url");
    let mut held = |token| {
        let poll = bearer(Request::get(url), token);
        matches!(world.ask(&poll), Reply::Hold { .. })
    };
    assert!(held(&after));
    assert!(!held(&stranger));
}

#[test]
fn different_accounts_and_made_up_tokens_are_callers_of_their_own() {
    let mut world = World::new();
    for token in [
        world.token_for("user", "1"),
        world.token_for("enterprise", "42"),
        "made-up".to_owned(),
    ] {
        world.answer(&api_call(&token));
    }
    let callers: Vec<_> = world.emulator.callers().into_keys().collect();
    assert_eq!(callers, ["1 by app", "enterprise 42 by app", "made-up"]);
}
