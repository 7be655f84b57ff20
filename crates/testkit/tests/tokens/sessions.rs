//! Sessions: a caller keeps its rate limit and its realtime URLs when it refreshes its token.

use std::time::Duration;

use box_longpoll_testkit::{Reply, Request, Settings};
use serde_json::Value;

use crate::world::{World, api_call};

#[test]
fn two_hundred_successive_tokens_are_one_caller() {
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
fn a_refreshed_caller_is_still_known_to_have_its_events() {
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
fn a_refresh_does_not_reset_the_rate_limit() {
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
fn a_realtime_url_works_with_the_next_token() {
    let mut world = World::with(Settings {
        realtime_needs_token: true,
        ..Settings::default()
    });
    let bearer =
        |request: Request, token: &str| request.header("Authorization", &format!("Bearer {token}"));
    let [before, after] = [(); 2].map(|()| world.token_for("user", "1"));
    let stranger = world.token_for("user", "2");
    let list = world.response(&bearer(Request::new("OPTIONS", "/2.0/events"), &before));
    let list: Value = serde_json::from_slice(&list.body).expect("JSON");
    let url = list["entries"][0]["url"].as_str().expect("a url");
    let mut held = |token| {
        let poll = bearer(Request::get(url), token);
        matches!(world.send(&poll), Reply::Hold { .. })
    };
    assert!(held(&after));
    assert!(!held(&stranger));
}

#[test]
fn each_account_and_made_up_token_is_a_caller() {
    let mut world = World::new();
    for token in [
        world.token_for("user", "1"),
        world.token_for("enterprise", "42"),
        "made-up".to_owned(),
    ] {
        world.response(&api_call(&token));
    }
    let callers: Vec<_> = world.emulator.callers().into_keys().collect();
    assert_eq!(callers, ["1 by app", "enterprise 42 by app", "made-up"]);
}
