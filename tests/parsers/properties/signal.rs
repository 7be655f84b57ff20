//! The property of the response to a poll.

use box_longpoll::LongPollClient;
use box_longpoll::protocol::{Call, Output, Signal};
use bytes::Bytes;
use futures_lite::future::block_on;
use http::Response;

use super::exchange::{Engine, ONE_SERVER, POSITION, client};
use super::response::response;
use super::shown;

/// Asserts that any response to a poll is followed by a fetch from the same position.
pub(crate) fn holds(data: &[u8]) {
    let response = response(data);
    let list = Response::new(Bytes::from_static(ONE_SERVER.as_bytes()));
    let servers = block_on(client(LongPollClient::builder(), &list).realtime_servers());
    let server = servers.expect("a list").remove(0);
    let position = POSITION.parse().expect("a position");
    match block_on(client(LongPollClient::builder(), &response).listen(&server, &position)) {
        Ok(Signal::Other(text)) => assert!(response.body().len() >= text.len()),
        Ok(_) => {}
        Err(error) => shown::assert_error(&error),
    }

    let mut engine = Engine::awaiting(Call::Listen);
    engine.respond(response);
    let Output::Send { call, .. } = engine.next() else {
        panic!("a signal stops nothing");
    };
    assert_eq!(call, Call::Fetch);
    assert_eq!(engine.position(), Some(POSITION));
}
