//! The check for realtime servers that honor the position of a poll. One stream makes it for all
//! streams of its client.

use std::sync::Arc;

use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{EventStream, StartAt};
use box_longpoll_testkit::EmulatorServer;

use crate::world::{TOKEN, client, fake_box, holds, next_event};

/// Drives a stream until it holds a new poll. Returns the number of polls so far.
async fn listen(server: &Arc<EmulatorServer>, events: &mut EventStream<ReqwestTransport>) -> u64 {
    let before = server.counters().realtime.requests;
    let held = holds(server, move |emulator| {
        let counters = emulator.counters();
        counters.open_polls == 1 && counters.realtime.requests > before
    });
    tokio::select! {
        event = events.next() => panic!("unexpected event: {event:?}"),
        () = held => server.counters().realtime.requests,
    }
}

/// Returns the number of polls with which a stream listens, gets an event, and listens again.
async fn polls_for_an_event(
    server: &Arc<EmulatorServer>,
    mut events: EventStream<ReqwestTransport>,
) -> u64 {
    let before = server.counters().realtime.requests;
    listen(server, &mut events).await;
    server.append(TOKEN, 1);
    next_event(&mut events).await;
    let polls = listen(server, &mut events).await - before;
    drop(events);
    holds(server, |emulator| emulator.counters().open_polls == 0).await;
    polls
}

#[tokio::test]
async fn one_stream_finds_out_for_all_of_a_client() {
    let server = fake_box(|_| ());
    let client = client(&server);
    let first = polls_for_an_event(&server, client.events(StartAt::Now)).await;
    assert_eq!(
        first, 4,
        "one poll for the event, two for the check, one to listen again"
    );
    let second = polls_for_an_event(&server, client.events(StartAt::Now)).await;
    assert_eq!(second, 2);
}
