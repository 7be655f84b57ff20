//! Behavior in which Box may differ from the emulator's defaults: the client is right with each
//! variant.

use std::time::Duration;

use box_longpoll::config::{Pace, RealtimeToken};
use box_longpoll::{StartAt, Status};
use box_longpoll_testkit::{PollPosition, Settings, Spelling};
use rstest::rstest;
use serde_json::json;

use crate::world::{TOKEN, build, builder, fake_box, in_time, next_ids};

/// Appends sixty events, three at a time, when the client has delivered the ones before.
#[rstest]
#[case::with_strings(|settings: &mut Settings| {
    settings.position_spelling = Spelling::String;
    settings.retry_timeout = json!("610");
    settings.list_types = false;
})]
#[case::with_numbers(|settings: &mut Settings| {
    settings.ttl = json!(10);
    settings.max_retries = json!(10);
    settings.signal_version = true;
})]
#[case::poll_ignores_the_position(|settings: &mut Settings| {
    settings.poll_position = PollPosition::Ignored;
    settings.hold_ms = 300;
})]
#[case::every_poll_says_new_change(|settings: &mut Settings| {
    settings.poll_position = PollPosition::AlwaysNewChange;
})]
#[case::signals_are_lost(|settings: &mut Settings| {
    settings.drop_signals = true;
    settings.hold_ms = 100;
})]
#[case::events_repeat(|settings: &mut Settings| settings.repeat_rate = 0.5)]
#[case::times_are_out_of_order(|settings: &mut Settings| settings.reorder_rate = 0.5)]
#[case::pages_are_short(|settings: &mut Settings| settings.short_page_rate = 0.9)]
#[case::pages_are_empty(|settings: &mut Settings| settings.empty_page_rate = 0.5)]
#[case::urls_are_used_up_at_once(|settings: &mut Settings| {
    settings.polls_per_url = Some(1);
    settings.max_retries_status = 404;
})]
#[case::holds_are_short(|settings: &mut Settings| settings.hold_ms = 20)]
#[case::with_five_servers(|settings: &mut Settings| settings.realtime_servers = 5)]
#[case::without_servers(|settings: &mut Settings| settings.realtime_servers = 0)]
#[case::poll_wants_a_token(|settings: &mut Settings| {
    settings.realtime_needs_token = true;
})]
#[case::calls_are_limited(|settings: &mut Settings| settings.calls_per_minute = Some(1_000))]
#[tokio::test]
async fn every_event_is_seen_once_and_in_order(#[case] change: fn(&mut Settings)) {
    sees_every_event(20, change).await;
}

/// Each event becomes visible after 100 ms. The client finds it a second after its first fetch.
#[tokio::test]
async fn late_events_are_seen_once_and_in_order() {
    sees_every_event(6, |settings| settings.visible_after_ms = 100).await;
}

async fn sees_every_event(times: usize, change: impl FnOnce(&mut Settings)) {
    let server = fake_box(change);
    // The pace is high, so that the test ends soon. The default pace has its own tests.
    let pace = Pace::default()
        .per_second(25)
        .per_minute(1_200)
        .small_pages_per_minute(1_200);
    let mut events = build(builder(&server).pace(pace)).events(StartAt::Oldest);
    let mut ids = Vec::new();
    for _ in 0..times {
        server.append(TOKEN, 3);
        let log = server.event_ids(TOKEN);
        let missing = log.len() - ids.len();
        ids.extend(next_ids(&mut events, missing).await);
    }
    assert_eq!(ids, server.event_ids(TOKEN));
}

#[tokio::test]
async fn poll_carries_the_token_when_the_caller_chose_so() {
    let server = fake_box(|settings| settings.realtime_needs_token = true);
    let client = build(builder(&server).realtime_token(RealtimeToken::Send));
    let batches = crate::world::listening(&server, &client).await;
    assert!(matches!(batches.status(), Status::Listening { .. }));
    assert_eq!(server.counters().realtime.with_authorization, 1);
}

#[tokio::test]
async fn poll_is_held_no_longer_than_the_caller_permits() {
    let server = fake_box(|settings| settings.drop_signals = true);
    let client = build(builder(&server).max_hold(Duration::from_secs(1)));
    let mut events = client.events(StartAt::Oldest);
    server.append(TOKEN, 1);
    next_ids(&mut events, 1).await;
    // The next event causes no signal. The client finds it when the poll ends.
    let appended = async {
        crate::world::holds(&server, |emulator| emulator.counters().open_polls == 1).await;
        server.append(TOKEN, 1);
    };
    let (ids, ()) = in_time(async { tokio::join!(next_ids(&mut events, 1), appended) }).await;
    assert_eq!(ids, server.event_ids(TOKEN)[1..]);
}
