//! Streams whose polls are cut by a proxy: a poll is open nearly always, events come in time, and nothing is logged.
//!
//! CI runs a short proof. A long one takes six minutes, prints a table and is run by hand:
//!
//! ```sh
//! cargo test --features full --test backends -- --ignored --nocapture cut_for_minutes
//! ```

mod relay;

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use box_longpoll::{AccessToken, HttpTransport, LongPollClient, Moment, RealtimeHosts, StartAt};
use box_longpoll_testkit::{EmulatorServer, Endpoint};
use fastrand::Rng;
use futures_lite::future::or;
use futures_util::future::join_all;
use tokio::runtime::{Builder, Runtime};
use tracing::Level;
use tracing::subscriber::with_default;

use self::relay::{CUTS, Cut, Relay};
use crate::backend::Backend;
use crate::fake_box::{TOKEN, fake_box};
use crate::memory::BACKENDS;
use crate::trial::{event, side_by_side};

/// How often a condition is looked at, and how often at most: two minutes.
const SLICE: Duration = Duration::from_millis(20);
const SLICES: usize = 6_000;

#[test]
fn streams_listen_and_log_nothing_when_polls_are_cut() {
    // Long enough that a poll counts as held, and that two are cut before the third event.
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
#[ignore = "it takes six minutes: see the command at the top of the file"]
fn streams_keep_their_promises_when_polls_are_cut_for_minutes() {
    let times = [(20, 1), (60, 1), (110, 2)]
        .map(|(seconds, streams)| (Duration::from_secs(seconds), streams));
    let reports = follow_all(&times, async |stream, mut rng| {
        let end = now() + MINUTES;
        loop {
            // Most polls are cut. After a while with nothing, a few events come close to each other.
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

/// How long the long proof takes.
const MINUTES: Duration = Duration::from_secs(360);

/// Follows so many streams for each time, over each backend, with each kind of cut, all at once. The script says what
/// happens on an account.
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

/// Prints a table, and fails if a promise was broken.
#[track_caller]
fn assert_kept(reports: &[Report], broken: fn(&Report) -> Option<String>) {
    for report in reports {
        println!("{report}");
    }
    let broken: Vec<String> = reports.iter().filter_map(broken).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Streams over one backend whose polls are all cut in one way, after one time.
#[derive(Clone, Copy, Debug)]
struct Combination {
    backend: Backend,
    cut: Cut,
    after: Duration,
}

impl Combination {
    fn follow(
        self,
        streams: usize,
        first_seed: u64,
        proxies: &Runtime,
        script: &impl AsyncFn(&Stream, Rng),
    ) -> Report {
        let log = Log::default();
        // This thread drives the streams, and its subscriber sees nobody else's events.
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

/// A stream, the account that it follows, and the proxy on its way.
struct Stream {
    combination: Combination,
    transport: Arc<dyn HttpTransport>,
    server: Arc<EmulatorServer>,
    relay: Relay,
    /// The event ids count them from 0.
    events: RefCell<Vec<Appended>>,
}

/// An event of the account.
struct Appended {
    at: Instant,
    /// How many requests came before it.
    requests: usize,
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

    /// Follows the account until the script has ended and every event has come.
    async fn follow(&self, script: &impl AsyncFn(&Stream, Rng), rng: Rng) {
        let client = LongPollClient::builder()
            .api_origin(self.server.origin())
            .realtime_hosts(RealtimeHosts::default().allow_loopback())
            .build(self.transport.clone(), AccessToken::new(TOKEN).unwrap())
            .unwrap();
        let mut stream = client.events(StartAt::Now);
        let receive = async {
            loop {
                let event = stream.next().await.expect("the stream goes on").unwrap();
                let number: usize = event.id().unwrap().parse().unwrap();
                let before = self.events.borrow_mut()[number].received.replace(now());
                assert_eq!(before, None, "{number} came twice");
            }
        };
        let happen = async {
            self.until("a poll", || self.relay.polls.is_open()).await;
            script(self, rng).await;
            let all = || {
                self.events
                    .borrow()
                    .iter()
                    .all(|event| event.received.is_some())
            };
            self.until("all events", all).await;
        };
        or(happen, receive).await;
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

    async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        for _ in 0..SLICES {
            if holds() {
                return;
            }
            self.transport.sleep(SLICE).await.unwrap();
        }
        panic!("not {what}: {:?}", self.relay.polls.list());
    }

    /// Returns the most polls that were begun between an event and the page that brought it.
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

    /// Returns the most requests between the end of a poll and the next poll.
    fn most_requests_between_polls(&self) -> usize {
        let requests = self.server.requests();
        let polls = requests.split(|request| request.endpoint == Endpoint::Realtime);
        // A stream begins with other requests, and ends with a poll or on the way to one.
        polls.skip(1).map(<[_]>::len).max().unwrap_or(0)
    }
}

/// What came of a combination.
struct Report {
    combination: Combination,
    streams: usize,
    polls: usize,
    cuts: usize,
    /// The smallest part of its time that a stream had a poll open.
    share: f64,
    longest_gap: Duration,
    most_polls_before_an_event: usize,
    most_requests_between_polls: usize,
    /// How long after it was appended each event came, in order.
    late: Vec<Duration>,
    warnings: Vec<String>,
}

impl Report {
    fn of(combination: Combination, streams: &[Stream], warnings: Vec<String>) -> Self {
        let end = now();
        let polls = || streams.iter().map(|stream| &stream.relay.polls);
        let mut late: Vec<Duration> = Vec::new();
        for stream in streams {
            let events = stream.events.borrow();
            late.extend(
                events
                    .iter()
                    .map(|event| event.received.unwrap() - event.at),
            );
        }
        late.sort();
        let most = |count: fn(&Stream) -> usize| streams.iter().map(count).max().unwrap_or(0);
        Self {
            combination,
            streams: streams.len(),
            polls: polls().map(|polls| polls.list().len()).sum(),
            cuts: polls().map(relay::Polls::cuts).sum(),
            share: polls()
                .map(|polls| polls.share_open(end))
                .fold(1.0, f64::min),
            longest_gap: polls()
                .map(relay::Polls::longest_gap)
                .max()
                .unwrap_or_default(),
            most_polls_before_an_event: most(Stream::most_polls_before_an_event),
            most_requests_between_polls: most(Stream::most_requests_between_polls),
            late,
            warnings,
        }
    }

    fn percentile(&self, percent: usize) -> Duration {
        self.late[(self.late.len() - 1) * percent / 100]
    }

    /// Names the promises that were broken, by what can be counted. The share leaves a slow machine a second for each cut.
    fn broken_by_count(&self) -> Option<String> {
        self.broken([
            (self.share < 0.9, "a poll is open too seldom"),
            (
                self.most_polls_before_an_event > 1,
                "an event comes later than by the next poll",
            ),
            (
                self.most_requests_between_polls > 2,
                "too many requests come before the next poll",
            ),
            (!self.warnings.is_empty(), "something is logged"),
        ])
    }

    /// The same by what is promised for hours.
    fn broken_by_time(&self) -> Option<String> {
        // Fewer than one hour's.
        assert!(MINUTES.as_secs() * self.streams as u64 <= 3_600);
        self.broken([
            (self.share < 0.98, "a poll is open too seldom"),
            (
                self.percentile(100) > Duration::from_secs(5),
                "an event is late",
            ),
            (
                self.most_polls_before_an_event > 1,
                "an event comes later than by the next poll",
            ),
            (self.warnings.len() > 1, "more is logged than once an hour"),
        ])
    }

    fn broken(&self, promises: [(bool, &str); 4]) -> Option<String> {
        let broken = promises.into_iter().filter(|(broken, _)| *broken);
        let what: Vec<&str> = broken.map(|(_, what)| what).collect();
        let logged = self.warnings.first();
        (!what.is_empty()).then(|| format!("{}: {what:?} {logged:?}", self.combination))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:29} {:3} polls, {:2} cut, open {:6.2} %, longest gap {:7.1} ms; {:2} events, \
             late p50 {:6.1} ms, p99 {:7.1} ms, max {:7.1} ms; {} warnings",
            self.combination.to_string(),
            self.polls,
            self.cuts,
            100.0 * self.share,
            ms(self.longest_gap),
            self.late.len(),
            ms(self.percentile(50)),
            ms(self.percentile(99)),
            ms(self.percentile(100)),
            self.warnings.len(),
        )
    }
}

/// The warnings and errors that one thread logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn subscriber(&self) -> impl tracing::Subscriber + Send + Sync + use<> {
        let log = self.clone();
        tracing_subscriber::fmt()
            .with_max_level(Level::WARN)
            .with_ansi(false)
            .with_writer(move || log.clone())
            .finish()
    }

    /// Returns those of the library.
    fn warnings(&self) -> Vec<String> {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&bytes);
        let own = text.lines().filter(|line| line.contains(" box_longpoll"));
        own.map(String::from).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn now() -> Instant {
    Moment::read_clocks().monotonic
}

fn ms(time: Duration) -> f64 {
    1_000.0 * time.as_secs_f64()
}
