//! The parts of a catch-up, each for itself and without a network: `cargo bench --bench parts`.
//!
//! With `--times PART COUNT` one part is done so often and nothing is measured: `instructions.sh` counts then.

use std::env;
use std::fmt;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use box_longpoll::protocol::{Call, Input, LongPoll, Output};
use box_longpoll::transport::Moment;
use box_longpoll::{AccessToken, Batch, LongPollClient, StartAt};
use box_longpoll_testkit::{Config, Emulator};
use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use http::Response;

/// The most that Box sends at once.
const PAGE: usize = 500;

/// So many pages in turn that the window has forgotten the first when it comes again.
const PAGES_BEYOND_THE_WINDOW: usize = 6;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [times, part, count] = &arguments[..] else {
        return divan::main();
    };
    assert_eq!(times, "--times");
    let mut once = Part::named(part).prepared();
    for _ in 0..count.parse().expect("a count") {
        once();
    }
}

#[derive(Clone, Copy, Debug)]
enum Part {
    /// Reads a page, and hands every event out.
    NewEvents,
    /// Reads a page, hands nothing out, and listens.
    Repeats,
    /// Whatever the engine does from a signal over an empty page to the next one.
    EmptyPage,
    /// Reads every field of the events of a page.
    Details,
    /// Reads one field of the events of a page.
    OneField,
}

#[divan::bench(args = Part::ALL)]
fn part(bencher: Bencher<'_, '_>, part: Part) {
    let once = part.prepared();
    bencher.counter(ItemsCount::new(PAGE)).bench_local(once);
}

impl Part {
    const ALL: [Self; 5] = [
        Self::NewEvents,
        Self::Repeats,
        Self::EmptyPage,
        Self::Details,
        Self::OneField,
    ];

    fn named(name: &str) -> Self {
        let part = Self::ALL.into_iter().find(|part| part.to_string() == name);
        part.expect("the name of a part")
    }

    fn prepared(self) -> Box<dyn FnMut()> {
        let pages = pages(PAGES_BEYOND_THE_WINDOW);
        let mut engine = Engine::new();
        let batch = engine.take(&pages[0]).expect("new events");
        match self {
            Self::NewEvents => {
                let mut turn = 0;
                Box::new(move || {
                    turn = (turn + 1) % pages.len();
                    assert_eq!(
                        black_box(engine.take(&pages[turn])).map(|batch| batch.len()),
                        Some(PAGE)
                    );
                })
            }
            Self::Repeats => Box::new(move || assert!(engine.take(&pages[0]).is_none())),
            Self::EmptyPage => {
                let page = page("");
                Box::new(move || assert!(engine.take(&page).is_none()))
            }
            Self::Details => Box::new(move || {
                for event in &batch {
                    black_box(event.details());
                }
            }),
            Self::OneField => Box::new(move || {
                for event in &batch {
                    black_box(event.session_id());
                }
            }),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
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
        self.respond(Call::Fetch, page.clone());
        self.go_on()
    }

    fn go_on(&mut self) -> Option<Batch> {
        let mut delivered = None;
        loop {
            // Late enough for any pace and any pause.
            self.now.monotonic += Duration::from_secs(60);
            let input = match self.engine.poll_output(self.now) {
                Output::GetToken { .. } => Input::Token(Ok(self.token.clone())),
                Output::Send { call, .. } => {
                    let body = match call {
                        Call::Fetch => return delivered,
                        Call::List => SERVERS,
                        Call::Listen => SIGNAL,
                    };
                    self.respond(call, Bytes::from_static(body));
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

    fn respond(&mut self, call: Call, body: Bytes) {
        let result = Ok(Response::new(body));
        let input = Input::Response { call, result };
        self.engine.handle_input(input, self.now);
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
