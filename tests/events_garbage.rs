//! Proves that a large response that is no page costs little memory.
//!
//! It is the only test of its program, so that all measured memory belongs to it.

use std::alloc::System;
use std::sync::Arc;

use box_longpoll::protocol::{Call, Input, LongPoll, Output};
use box_longpoll::transport::Moment;
use box_longpoll::{AccessToken, LongPollClient, StartAt};
use bytes::Bytes;
use http::Response;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The largest body that the client accepts: 16 MiB.
const BODY: usize = 16 * 1024 * 1024;

/// Returns the number of bytes that the engine allocates to reject a body with this beginning and
/// filling.
fn cost(beginning: &str, filling: u8) -> usize {
    let now = Moment::read_clocks();
    let config = LongPollClient::builder().config().unwrap();
    let mut engine = LongPoll::new(Arc::new(config), StartAt::Oldest, 1, now);
    let token = AccessToken::new("a-token-of-nobody").unwrap();
    assert!(matches!(engine.poll_output(now), Output::GetToken { .. }));
    engine.handle_input(Input::Token(Ok(token)), now);
    assert!(matches!(engine.poll_output(now), Output::Send { .. }));
    let mut body = beginning.as_bytes().to_vec();
    body.resize(BODY, filling);
    let input = Input::Response {
        call: Call::Fetch,
        result: Ok(Response::new(Bytes::from(body))),
    };
    let before = ALLOCATOR.stats().bytes_allocated;
    engine.handle_input(input, now);
    assert!(matches!(engine.poll_output(now), Output::WaitUntil(_)));
    ALLOCATOR.stats().bytes_allocated - before
}

#[test]
fn large_response_that_is_no_page_costs_little_memory() {
    let garbage = [
        ("", 0xff),
        ("", b'?'),
        ("<html>", b'x'),
        ("\"", b'x'),
        ("[", b'['),
        ("{", b'x'),
        ("\u{feff}{\"entries\":[]?", b'?'),
        ("{\"entries\":[{\"name\":?", 0xff),
        ("{\"entries\":[{\"name\":\"", b'x'),
    ];
    for (beginning, filling) in garbage {
        let cost = cost(beginning, filling);
        println!("{beginning:?} {filling:#x}: {cost} bytes");
        assert!(cost < 64 * 1024, "{beginning:?} {filling:#x}: {cost} bytes");
    }
}
