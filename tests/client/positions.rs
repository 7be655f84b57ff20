//! One stream finds out for all of its client if the realtime servers honor the position of a poll.

use std::sync::Arc;

use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{EventStream, StartAt};
use box_longpoll_testkit::EmulatorServer;

use crate::world::{TOKEN, client, fake_box, holds, next_event};

/// Follows until a poll is held, and gives how many there were so far.
async fn listen(server: &Arc<EmulatorServer>, events: &mut EventStream<ReqwestTransport>) -> u64 {
    let before = server.counters().realtime.requests;
    let held = holds(server, move |emulator| {
        let counters = emulator.counters();
        counters.open_polls == 1 && counters.realtime.requests > before
    });
    tokio::select! {
        event = events.next() => panic!("this came: {event:?}"),
        () = held => server.counters().realtime.requests,
    }
}

/// How many polls a stream takes that listens, gets an event and listens again.
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
        "one for the event, two to find out, one to listen"
    );
    let second = polls_for_an_event(&server, client.events(StartAt::Now)).await;
    assert_eq!(second, 2);
}
