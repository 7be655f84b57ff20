//! Streams whose polls are cut by a proxy. They keep a poll open nearly all the time, deliver
//! events in time, and log nothing.
//!
//! CI runs a short test. A long one takes six minutes, prints a table, and is run by hand:
//!
//! ```sh
//! cargo test --features full --test backends -- --ignored --nocapture cut_for_minutes
//! ```

mod log;
mod relay;
mod report;

use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use box_longpoll::config::RealtimeHosts;
use box_longpoll::transport::Moment;
use box_longpoll::{AccessToken, HttpTransport, LongPollClient, StartAt};
use box_longpoll_testkit::{EmulatorServer, Endpoint};
use fastrand::Rng;
use futures_lite::future::or;
use futures_util::future::join_all;
use tokio::runtime::{Builder, Runtime};
use tracing::subscriber::with_default;

use self::log::Log;
use self::relay::{CUTS, Cut, Relay};
use self::report::Report;
use crate::backend::Backend;
use crate::fake_box::{TOKEN, fake_box};
use crate::memory::BACKENDS;
use crate::trial::{event, side_by_side};

/// The time between two checks of a condition.
const SLICE: Duration = Duration::from_millis(20);

/// The number of checks before a test fails: two minutes.
const SLICES: usize = 6_000;

#[test]
fn streams_listen_and_log_nothing_when_polls_are_cut() {
    // Long enough that a poll counts as held. Two polls are cut before the third event.
    const AFTER: Duration = Duration::from_secs(11);
    const GAPS_MS: [u64; 4] = [4_000, 1_700, 24_600, 1_700];
    let reports = follow_all(&[(AFTER, 1)], async |stream, _| {
        for gap in GAPS_MS {
            stream.append_after(Duration::from_millis(gap)).await;
        }
        let polls = &stream.relay.polls;
        stream
            .until("the third cut, and a poll after it", || {
                polls.cuts() >= 3 && polls.is_open()
            })
            .await;
    });
    assert_kept(&reports, Report::broken_by_count);
}

#[test]
#[ignore = "takes six minutes: see the command at the top of the file"]
fn streams_keep_their_promises_when_polls_are_cut_for_minutes() {
    let times = [(20, 1), (60, 1), (110, 2)]
        .map(|(seconds, streams)| (Duration::from_secs(seconds), streams));
    let reports = follow_all(&times, async |stream, mut rng| {
        let end = now() + MINUTES;
        loop {
            // Most polls are cut. Each quiet time is followed by a few events in quick succession.
            let quiet = stream.combination.after.mul_f64(0.5 + 2.0 * rng.f64());
            let left = end.saturating_duration_since(now());
            if left < quiet {
                return stream.transport.sleep(left).await.unwrap();
            }
            stream.append_after(quiet).await;
            for _ in 0..rng.usize(..5) {
                let gap = Duration::from_millis(rng.u64(1_200..2_200));
                stream.append_after(gap).await;
            }
        }
    });
    assert_kept(&reports, Report::broken_by_time);
}

/// The duration of the long test.
const MINUTES: Duration = Duration::from_secs(360);

/// Follows accounts with all combinations of a time, a backend and a kind of cut, in parallel.
///
/// Each time has the number of its streams. The script appends the events of an account.
fn follow_all(
    times: &[(Duration, usize)],
    script: impl AsyncFn(&Stream, Rng) + Sync,
) -> Vec<Report> {
    let proxies = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let reports = Mutex::new(Vec::new());
    let mut combinations = Vec::new();
    for &backend in BACKENDS {
        for cut in CUTS {
            for &(after, streams) in times {
                let combination = Combination {
                    backend,
                    cut,
                    after,
                };
                combinations.push((combination, streams));
            }
        }
    }
    side_by_side(
        combinations
            .into_iter()
            .zip(0..)
            .map(|((combination, streams), number)| {
                let (reports, proxies, script) = (&reports, &proxies, &script);
                let follow = move || {
                    let report = combination.follow(streams, 10 * number, proxies, script);
                    reports.lock().unwrap().push(report);
                };
                (combination.to_string(), follow)
            }),
    );
    let mut reports = reports.into_inner().unwrap();
    reports.sort_by_key(|report| report.combination.to_string());
    reports
}

/// Prints a table of the reports. Panics if a promise is broken.
#[track_caller]
fn assert_kept(reports: &[Report], broken: fn(&Report) -> Option<String>) {
    for report in reports {
        println!("{report}");
    }
    let broken: Vec<String> = reports.iter().filter_map(broken).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

/// The properties of streams that share a report.
#[derive(Clone, Copy, Debug)]
struct Combination {
    backend: Backend,
    cut: Cut,
    /// The time after which the proxy cuts a poll.
    after: Duration,
}

impl Combination {
    /// Follows the streams of this combination on this thread, and returns their report.
    fn follow(
        self,
        streams: usize,
        first_seed: u64,
        proxies: &Runtime,
        script: &impl AsyncFn(&Stream, Rng),
    ) -> Report {
        let log = Log::default();
        // The subscriber of this thread gets only the log of these streams.
        let streams = with_default(log.subscriber(), || {
            let transport = self.backend.transport();
            let streams: Vec<Stream> = (0..streams)
                .map(|_| Stream::new(self, proxies, transport.clone()))
                .collect();
            let followed = streams
                .iter()
                .zip(first_seed..)
                .map(|(stream, seed)| stream.follow(script, Rng::with_seed(seed)));
            self.backend.runtime().block_on(join_all(followed));
            streams
        });
        Report::of(self, &streams, log.warnings())
    }
}

impl fmt::Display for Combination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.after.as_secs();
        write!(f, "{:?} {:?} {seconds:3} s", self.backend, self.cut)
    }
}

/// A stream, the account that it follows, and the proxy between them.
struct Stream {
    combination: Combination,
    transport: Arc<dyn HttpTransport>,
    server: Arc<EmulatorServer>,
    relay: Relay,
    /// The events of the account. The id of an event is its index.
    events: RefCell<Vec<Appended>>,
}

/// An event of the account.
struct Appended {
    /// The time at which it was appended.
    at: Instant,
    /// The number of requests before it.
    requests: usize,
    /// The time at which the stream delivered it.
    received: Option<Instant>,
}

impl Stream {
    fn new(combination: Combination, proxies: &Runtime, transport: Arc<dyn HttpTransport>) -> Self {
        let server = fake_box(|_| ());
        let relay = Relay::start(
            proxies.handle(),
            &server,
            combination.cut,
            combination.after,
        );
        server.change_settings(|settings| settings.realtime_origins = vec![relay.origin.clone()]);
        Self {
            combination,
            transport,
            server,
            relay,
            events: RefCell::default(),
        }
    }

    /// Follows the account until the script has ended and every event is delivered.
    async fn follow(&self, append_events: &impl AsyncFn(&Stream, Rng), rng: Rng) {
        let client = LongPollClient::builder()
            .api_origin(self.server.origin())
            .realtime_hosts(RealtimeHosts::default().allow_loopback())
            .build(self.transport.clone(), AccessToken::new(TOKEN).unwrap())
            .unwrap();
        let mut stream = client.events(StartAt::Now);
        let receive = async {
            loop {
                let event = stream.next().await.expect("the stream continues").unwrap();
                let number: usize = event.id().unwrap().parse().unwrap();
                let before = self.events.borrow_mut()[number].received.replace(now());
                assert_eq!(before, None, "event {number} was delivered twice");
            }
        };
        let script = async {
            self.until("a poll", || self.relay.polls.is_open()).await;
            append_events(self, rng).await;
            let all = || {
                self.events
                    .borrow()
                    .iter()
                    .all(|event| event.received.is_some())
            };
            self.until("the last event", all).await;
        };
        or(script, receive).await;
    }

    /// Appends an event after a time.
    async fn append_after(&self, time: Duration) {
        self.transport.sleep(time).await.unwrap();
        let mut events = self.events.borrow_mut();
        let mut emulator = self.server.emulator();
        let at = now();
        events.push(Appended {
            at,
            requests: emulator.requests().count(),
            received: None,
        });
        emulator.append_json(TOKEN, [event(events.len() - 1)], at);
    }

    /// Waits until `holds` returns `true`.
    async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        for _ in 0..SLICES {
            if holds() {
                return;
            }
            self.transport.sleep(SLICE).await.unwrap();
        }
        panic!("timed out before {what}: {:?}", self.relay.polls.list());
    }

    /// Returns the largest number of polls between an event and the next request for a page.
    fn most_polls_before_an_event(&self) -> usize {
        let requests = self.server.requests();
        let polls = |event: &Appended| {
            let later = requests[event.requests..].iter();
            later
                .take_while(|request| request.endpoint != Endpoint::Events)
                .filter(|request| request.endpoint == Endpoint::Realtime)
                .count()
        };
        self.events.borrow().iter().map(polls).max().unwrap_or(0)
    }

    /// Returns the largest number of requests between two polls.
    fn most_requests_between_polls(&self) -> usize {
        let requests = self.server.requests();
        let polls = requests.split(|request| request.endpoint == Endpoint::Realtime);
        // The requests before the first poll are skipped.
        polls.skip(1).map(<[_]>::len).max().unwrap_or(0)
    }
}

fn now() -> Instant {
    Moment::read_clocks().monotonic
}
