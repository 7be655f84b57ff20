//! Times the parts of a catch-up, each alone and without a network: `cargo bench --bench parts`.
//!
//! With `--times PART COUNT` the program runs one part `COUNT` times and measures nothing.
//! `instructions.sh` uses that to count instructions. `benches/README.md` explains the figures.
//! Start from [`Part`].

use std::env;
use std::fmt;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use box_longpoll::event::EventFilter;
use box_longpoll::protocol::{Call, Input, LongPoll, Output};
use box_longpoll::transport::Moment;
use box_longpoll::{AccessToken, Batch, LongPollClient, StartAt};
use box_longpoll_testkit::{Config, Emulator};
use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use http::Response;

/// The number of events in a page: the maximum that Box sends at once.
const PAGE: usize = 500;

/// The number of pages that are used in turn. The window of 2,500 ids has forgotten the first page
/// when its turn comes next.
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

/// A part of a catch-up.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// Reads a page of new events, and delivers every event.
    NewEvents,
    /// Reads a page of repeats, delivers nothing, and listens.
    Repeats,
    /// Reads an empty page, then listens until a signal makes the engine fetch again.
    EmptyPage,
    /// Reads every field of the events of a page.
    Details,
    /// Reads one field of the events of a page.
    OneField,
    /// Matches the events of a page with a filter of types.
    FilterByType,
    /// Matches the events of a page with a filter of users.
    FilterByUser,
    /// Matches the events of a page with a filter of folders.
    FilterByFolder,
}

#[divan::bench(args = Part::ALL)]
fn part(bencher: Bencher<'_, '_>, part: Part) {
    let once = part.prepared();
    bencher.counter(ItemsCount::new(PAGE)).bench_local(once);
}

impl Part {
    const ALL: [Self; 8] = [
        Self::NewEvents,
        Self::Repeats,
        Self::EmptyPage,
        Self::Details,
        Self::OneField,
        Self::FilterByType,
        Self::FilterByUser,
        Self::FilterByFolder,
    ];

    fn named(name: &str) -> Self {
        let part = Self::ALL.into_iter().find(|part| part.to_string() == name);
        part.expect("the name of a part")
    }

    /// Returns a function that runs the part once.
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
            Self::FilterByType => matching(batch, EventFilter::new().event_types(["LOGIN"])),
            Self::FilterByUser => matching(batch, EventFilter::new().users(["11446498", "2"])),
            Self::FilterByFolder => matching(batch, EventFilter::new().folders(["1"])),
        }
    }
}

/// Returns a function that matches the events with a filter.
fn matching(batch: Batch, filter: EventFilter) -> Box<dyn FnMut()> {
    Box::new(move || {
        for event in &batch {
            black_box(filter.matches(event));
        }
    })
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
        // A page that is fetched ahead would be requested before the batch is delivered.
        let config = LongPollClient::builder()
            .read_ahead(0)
            .config()
            .expect("the settings are good");
        let mut engine = Self {
            engine: LongPoll::new(Arc::new(config), StartAt::Oldest, 1, now),
            now,
            token: AccessToken::new("token").expect("a token"),
        };
        engine.go_on();
        engine
    }

    /// Responds with a page, and runs the engine until it fetches the next one. Returns the
    /// delivered events.
    fn take(&mut self, page: &Bytes) -> Option<Batch> {
        self.respond(Call::Fetch, page.clone());
        self.go_on()
    }

    /// Runs the engine until it fetches a page. Returns the delivered events.
    fn go_on(&mut self) -> Option<Batch> {
        let mut delivered = None;
        loop {
            // Longer than any pause and any wait of the pace.
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

/// Returns `count` pages of different events, of 1.8 KB per event.
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
