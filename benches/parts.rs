//! The parts of a catch-up, each for itself and without a network: `cargo bench --bench parts`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use box_longpoll::protocol::{Input, LongPoll, Output};
use box_longpoll::{AccessToken, Batch, LongPollClient, Moment, StartAt};
use box_longpoll_testkit::{Config, Emulator};
use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use http::{Method, Response};

/// The most that Box sends at once.
const PAGE: usize = 500;

/// So many pages in turn that the window has forgotten the first when it comes again.
const PAGES_BEYOND_THE_WINDOW: usize = 6;

fn main() {
    divan::main();
}

/// Reads the page, and hands every event out.
#[divan::bench]
fn page_of_new_events(bencher: Bencher<'_, '_>) {
    let pages = pages(PAGES_BEYOND_THE_WINDOW);
    let mut engine = Engine::new();
    let mut turn = pages.iter().cycle();
    bencher.counter(ItemsCount::new(PAGE)).bench_local(|| {
        let page = turn.next().expect("a cycle");
        engine.take(page).expect("new events")
    });
}

/// Reads the page, hands nothing out, and listens.
#[divan::bench]
fn page_of_repeats(bencher: Bencher<'_, '_>) {
    let page = &pages(1)[0];
    let mut engine = Engine::new();
    engine.take(page);
    bencher
        .counter(ItemsCount::new(PAGE))
        .bench_local(|| assert!(engine.take(page).is_none()));
}

/// What the engine does from a signal over an empty page to the next one.
#[divan::bench]
fn empty_page(bencher: Bencher<'_, '_>) {
    let page = page("");
    let mut engine = Engine::new();
    bencher.bench_local(|| assert!(engine.take(&page).is_none()));
}

/// Reads every field of the events of a page.
#[divan::bench]
fn details(bencher: Bencher<'_, '_>) {
    let batch = Engine::new().take(&pages(1)[0]).expect("new events");
    bencher.counter(ItemsCount::new(PAGE)).bench_local(|| {
        for event in &batch {
            black_box(event.details());
        }
    });
}

/// Reads one field of the events of a page.
#[divan::bench]
fn one_field(bencher: Bencher<'_, '_>) {
    let batch = Engine::new().take(&pages(1)[0]).expect("new events");
    bencher.counter(ItemsCount::new(PAGE)).bench_local(|| {
        for event in &batch {
            black_box(event.session_id());
        }
    });
}

/// An engine that waits for a page.
struct Engine {
    engine: LongPoll,
    now: Moment,
    token: AccessToken,
}

impl Engine {
    fn new() -> Self {
        let now = Moment::read_clocks();
        let config = LongPollClient::builder()
            .config()
            .expect("the defaults are good");
        let mut engine = Self {
            engine: LongPoll::new(Arc::new(config), StartAt::Oldest, 1, now),
            now,
            token: AccessToken::new("token").expect("a token"),
        };
        engine.go_on();
        engine
    }

    /// Gives it a page, and goes on until it waits for the next. Returns the events that came out.
    fn take(&mut self, page: &Bytes) -> Option<Batch> {
        self.answer(page.clone());
        self.go_on()
    }

    fn go_on(&mut self) -> Option<Batch> {
        let mut delivered = None;
        loop {
            // Late enough for any pace and any pause.
            self.now.monotonic += Duration::from_secs(60);
            let input = match self.engine.poll_output(self.now) {
                Output::GetToken { .. } => Input::Token(Ok(self.token.clone())),
                Output::Send(request) if request.request().method() == Method::OPTIONS => {
                    self.answer(Bytes::from_static(SERVERS));
                    continue;
                }
                Output::Send(request) if request.request().uri().path() == "/2.0/events" => {
                    return delivered;
                }
                Output::Send(_) => {
                    self.answer(Bytes::from_static(SIGNAL));
                    continue;
                }
                Output::Deliver(batch) => {
                    delivered = Some(batch);
                    Input::BatchHandled
                }
                Output::WaitUntil(_) => continue,
                output => unreachable!("{output:?}"),
            };
            self.engine.handle_input(input, self.now);
        }
    }

    fn answer(&mut self, body: Bytes) {
        let answer = Input::Answer(Ok(Response::new(body)));
        self.engine.handle_input(answer, self.now);
    }
}

const SERVERS: &[u8] = br#"{"chunk_size":1,"entries":[{"type":"realtime_server","url":"https://2.realtime.services.box.net/subscribe?channel=c&stream_type=all","ttl":"10","max_retries":"10","retry_timeout":610}]}"#;
const SIGNAL: &[u8] = br#"{"message":"new_change"}"#;

/// Pages of different events, of 1.8 KB each.
fn pages(count: usize) -> Vec<Bytes> {
    let now = Moment::read_clocks().monotonic;
    let mut emulator = Emulator::new(Config::default(), now);
    emulator.append("account", count * PAGE, now);
    let events = emulator.events("account");
    let pages = events.chunks(PAGE).map(|events| page(&events.join(",")));
    pages.collect()
}

fn page(events: &str) -> Bytes {
    format!(r#"{{"chunk_size":0,"next_stream_position":"1","entries":[{events}]}}"#).into()
}
