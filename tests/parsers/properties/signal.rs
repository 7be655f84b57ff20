//! The end of a poll.

use box_longpoll::LongPollClient;
use box_longpoll::protocol::{Call, Output, Signal};
use bytes::Bytes;
use futures_lite::future::block_on;
use http::Response;

use super::answer::answer;
use super::exchange::{Engine, ONE_SERVER, POSITION, client};
use super::shown;

/// Whatever ends a poll, a page is fetched from the same position after it.
pub(crate) fn holds(data: &[u8]) {
    let answer = answer(data);
    let list = Response::new(Bytes::from_static(ONE_SERVER.as_bytes()));
    let servers = block_on(client(LongPollClient::builder(), &list).realtime_servers());
    let server = servers.expect("a list").remove(0);
    let position = POSITION.parse().expect("a position");
    match block_on(client(LongPollClient::builder(), &answer).listen(&server, &position)) {
        Ok(Signal::Other(text)) => assert!(answer.body().len() >= text.len()),
        Ok(_) => {}
        Err(error) => shown::assert_error(&error),
    }

    let mut engine = Engine::asking(Call::Listen);
    engine.answer(answer);
    let Output::Send { call, .. } = engine.next() else {
        panic!("a signal stops nothing");
    };
    assert_eq!(call, Call::Fetch);
    assert_eq!(engine.position(), Some(POSITION));
}
