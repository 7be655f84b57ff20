//! Proves that a page costs the same memory after a million events as after a few.
//!
//! It is the only test of its program, so that all measured memory belongs to it.

use std::alloc::System;
use std::fmt::Write as _;
use std::sync::Arc;

use box_longpoll::protocol::{Input, LongPoll, Output};
use box_longpoll::transport::Moment;
use box_longpoll::{AccessToken, LongPollClient, StartAt};
use bytes::Bytes;
use http::Response;
use stats_alloc::{INSTRUMENTED_SYSTEM, Stats, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const EVENTS: usize = 1_000_000;
const PAGE: usize = 500;

/// Returns a page of new events. All pages have the same length.
fn page(number: usize) -> Bytes {
    let mut body = format!(r#"{{"next_stream_position":"{number:019}9","entries":["#);
    for event in 0..PAGE {
        let id = number * PAGE + event;
        let comma = if event > 0 { "," } else { "" };
        write!(body, r#"{comma}{{"event_id":"{id:040}","event_type":"ITEM_UPLOAD","created_at":"2026-01-01T00:00:00Z"}}"#)
            .expect("writing to a string can't fail");
    }
    body.push_str("]}");
    body.into()
}

/// Lets the engine decode a page, deliver its events and drop them.
fn read_page(engine: &mut LongPoll, token: &AccessToken, page: Bytes, now: Moment) {
    let mut page = Some(page);
    let mut events = 0;
    while events == 0 {
        let input = match engine.poll_output(now) {
            Output::GetToken { .. } => Input::Token(Ok(token.clone())),
            Output::Send { call, .. } => Input::Response {
                call,
                result: Ok(Response::new(page.take().expect("one fetch per page"))),
            },
            Output::Deliver(batch) => {
                events = batch.len();
                Input::BatchHandled
            }
            output => panic!("a stream that catches up must not wait: {output:?}"),
        };
        engine.handle_input(input, now);
    }
    assert_eq!(events, PAGE);
}

/// Returns the cost of a page: the number of allocations, the allocated bytes, and the bytes that
/// stay.
fn cost(before: Stats, after: Stats) -> (usize, usize, isize) {
    let allocated = after.bytes_allocated - before.bytes_allocated;
    let freed = after.bytes_deallocated - before.bytes_deallocated;
    (
        after.allocations - before.allocations,
        allocated,
        allocated.cast_signed() - freed.cast_signed(),
    )
}

#[test]
fn last_page_of_a_million_events_costs_as_much_as_the_tenth() {
    let now = Moment::read_clocks();
    // Nothing is read ahead, so each page is fetched and delivered before the next one.
    let config = LongPollClient::builder().read_ahead(0).config().unwrap();
    let token = AccessToken::new("token").unwrap();
    let mut engine = LongPoll::new(Arc::new(config), StartAt::Oldest, 1, now);
    let mut cost_of_the_tenth = None;
    for number in 0..EVENTS / PAGE {
        let page = page(number);
        let before = ALLOCATOR.stats();
        read_page(&mut engine, &token, page, now);
        let cost = cost(before, ALLOCATOR.stats());
        // The window is full after ten pages.
        if number >= 10 {
            assert_eq!(
                cost,
                *cost_of_the_tenth.get_or_insert(cost),
                "page {number}"
            );
        }
    }
    println!("allocations, bytes, and bytes that stay: {cost_of_the_tenth:?}");
}
