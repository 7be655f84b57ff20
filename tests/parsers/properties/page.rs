//! The property of a page of events.

use box_longpoll::protocol::{Call, Input, Output, Page};
use box_longpoll::{LongPollClient, StartAt, StreamPosition};
use bytes::Bytes;
use futures_lite::future::block_on;
use serde_json::value::RawValue;

use super::exchange::{Engine, POSITION, client};
use super::response::response;
use super::{event, shown};

/// Asserts that a page keeps every byte of its events and of its position. A response that is not a
/// page does not move the position.
pub(crate) fn holds(data: &[u8]) {
    let response = response(data);
    let fetched = block_on(client(LongPollClient::builder(), &response).fetch(StartAt::Now));
    let next = match &fetched {
        Ok(page) => {
            assert_kept(page, response.body());
            page.next_position.clone()
        }
        Err(error) => {
            shown::assert_error(error);
            None
        }
    };

    let mut engine = Engine::awaiting(Call::Fetch);
    engine.respond(response);
    // The next requests are sent before a batch is delivered.
    let output = loop {
        match engine.next() {
            Output::Send { .. } => {}
            output => break output,
        }
    };
    if let Output::Deliver(batch) = output {
        assert!(batch.len() <= fetched.expect("a page").events.len());
        assert_eq!(engine.position(), Some(POSITION), "nothing is handled yet");
        engine.engine.handle_input(Input::BatchHandled, engine.now);
    }
    let expected = next.as_ref().map_or(POSITION, StreamPosition::as_str);
    assert_eq!(engine.position(), Some(expected));
}

/// Asserts that each event is a slice of the body, and that the position is in the body.
fn assert_kept(page: &Page, body: &Bytes) {
    for event in &page.events {
        let raw = event.raw();
        assert!(
            body.as_ptr_range().contains(&raw.as_ptr()),
            "not a slice of the body: {raw}"
        );
        assert!(serde_json::from_str::<&RawValue>(raw).is_ok(), "{raw}");
        event::assert_readable(event);
    }
    if let Some(position) = &page.next_position {
        assert_survives(position);
        let has_escapes = body.contains(&b'\\');
        let is_in_body = body
            .windows(position.as_str().len())
            .any(|window| window == position.as_str().as_bytes());
        assert!(has_escapes || is_in_body, "{position} is not in the body");
    }
}

/// Asserts that a position can be written as text and read again, also as a start.
fn assert_survives(position: &StreamPosition) {
    let text = position.to_string();
    assert_eq!(text.parse().as_ref(), Ok(position));
    let start = StartAt::from(position);
    assert_eq!(start.to_string().parse(), Ok(start));
    let json = serde_json::to_string(position).expect("a string");
    assert_eq!(
        &serde_json::from_str::<StreamPosition>(&json).expect(&json),
        position
    );
}
