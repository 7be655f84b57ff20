//! A million events in one run. Alone in its program, so that the memory is its own.

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

/// The next page, whose events were on none before. Everything is as long as on any other.
fn page(number: usize) -> Bytes {
    let mut body = format!(r#"{{"next_stream_position":"{number:019}9","entries":["#);
    for event in 0..PAGE {
        let id = number * PAGE + event;
        let comma = if event > 0 { "," } else { "" };
        write!(body, r#"{comma}{{"event_id":"{id:040}","event_type":"ITEM_UPLOAD","created_at":"2026-01-01T00:00:00Z"}}"#)
            .expect("a string takes it");
    }
    body.push_str("]}");
    body.into()
}

/// Takes a page, and hands its events out and lets them go.
fn turn(engine: &mut LongPoll, token: &AccessToken, page: Bytes, now: Moment) {
    let mut page = Some(page);
    let mut events = 0;
    while events == 0 {
        let input = match engine.poll_output(now) {
            Output::GetToken { .. } => Input::Token(Ok(token.clone())),
            Output::Send { call, .. } => Input::Response {
                call,
                result: Ok(Response::new(page.take().expect("one page a turn"))),
            },
            Output::Deliver(batch) => {
                events = batch.len();
                Input::BatchHandled
            }
            output => panic!("a stream that catches up waits for nothing: {output:?}"),
        };
        engine.handle_input(input, now);
    }
    assert_eq!(events, PAGE);
}

/// What a page takes after so many others: allocations, bytes allocated, and bytes that stay.
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
fn the_last_page_of_a_million_events_takes_what_the_tenth_took() {
    let now = Moment::read_clocks();
    let config = LongPollClient::builder().config().unwrap();
    let token = AccessToken::new("token").unwrap();
    let mut engine = LongPoll::new(Arc::new(config), StartAt::Oldest, 1, now);
    let mut of_the_tenth = None;
    for number in 0..EVENTS / PAGE {
        let page = page(number);
        let before = ALLOCATOR.stats();
        turn(&mut engine, &token, page, now);
        let cost = cost(before, ALLOCATOR.stats());
        // By the tenth the window is full.
        if number >= 10 {
            assert_eq!(cost, *of_the_tenth.get_or_insert(cost), "page {number}");
        }
    }
    println!("allocations, bytes, and bytes that stay: {of_the_tenth:?}");
}
