//! The emulator in a process of its own, so that it does not count as a client's cost.
//!
//! [`Emulator`] is the harness's side; [`run`] is the process itself, which carries out [`Order`]s.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use box_longpoll_testkit::{Config, EmulatorServer, Outcome, PastEvents, RequestRecord, Settings};
use fastrand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::control::{self, Process};
use crate::measure::now_ns;

/// The time limit for a client without progress. It covers the client's longest backoff.
const STALLED: Duration = Duration::from_secs(30);

/// The pause before the first event, so that the previous subject can receive its last event.
const QUIET: Duration = Duration::from_millis(100);

/// The capacity of the request log if the server cuts polls or refuses calls: more requests than
/// any run makes.
const LOG: usize = 200_000;

/// The time limit of an order, including one to prepare a long log.
const AT_MOST: Duration = Duration::from_secs(300);

/// The network to the emulator, and its behavior.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Conditions {
    pub(crate) tls: bool,
    /// The settings that differ from the emulator's defaults, as a JSON object.
    pub(crate) settings: Value,
}

impl Conditions {
    /// Returns the conditions of a server on the same machine. It compresses nothing, so that its
    /// speed and the client's stay comparable from year to year.
    pub(crate) fn nearby() -> Self {
        Self {
            tls: false,
            settings: json!({"gzip": false}),
        }
    }

    pub(crate) fn with(mut self, setting: &str, value: impl Into<Value>) -> Self {
        self.settings[setting] = value.into();
        self
    }
}

/// The address of a server.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Address {
    pub(crate) origin: String,
    /// The certificate of the authority that the client must trust, in PEM, if the server has TLS.
    pub(crate) authority: Option<String>,
}

/// An order to the emulator's process. The process replies when it has carried the order out.
#[derive(Serialize, Deserialize)]
pub(crate) enum Order {
    /// Gives an account a log of realistic events.
    Prepare { account: String, events: usize },
    /// Gives an account the past events of an enterprise.
    PreparePast { account: String, events: u32 },
    /// Gives each of the [accounts](account) the same log of small events.
    PrepareAll { accounts: usize, events: usize },
    /// Appends realistic events to the [accounts](account), one at a time. Each event carries the
    /// time at which it was appended.
    Emit {
        accounts: usize,
        events: usize,
        gaps: Gaps,
        /// The seed from which accounts and gaps are drawn.
        seed: u64,
    },
    /// Appends realistic events to the [accounts](account) as planned, in the order of time.
    Append { planned: Vec<Planned> },
    /// Waits until that many polls are held.
    AwaitPolls { polls: usize },
    /// Replies at once.
    Count,
}

/// An event to append.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Planned {
    /// The time in milliseconds after the order.
    pub(crate) at_ms: u64,
    /// The number of the [account].
    pub(crate) account: usize,
    /// `true` if the event carries the time at which it was appended, so that the client measures
    /// it.
    pub(crate) is_measured: bool,
}

/// The distribution of the time between two events, over all accounts together.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Gaps {
    /// The distribution of independent sources.
    Exponential { mean_ms: f64 },
    /// All gaps between two bounds are equally likely.
    Uniform { from_ms: f64, to_ms: f64 },
}

/// The reply to an order that has been carried out.
#[derive(Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) at_ns: u64,
    pub(crate) open_polls: usize,
    /// The number of requests so far.
    pub(crate) requests: u64,
    /// The number of polls so far that ended without a response, because the server cut them.
    pub(crate) cut_polls: u64,
    /// The number of requests so far that got a 429, because they were too many.
    pub(crate) refused: u64,
}

/// Returns the name of one of many accounts.
pub(crate) fn account(number: usize) -> String {
    format!("account-{number}")
}

impl Gaps {
    fn next(self, rng: &mut Rng) -> Duration {
        let ms = match self {
            // 1 minus a number below 1 is never 0, so the logarithm is finite.
            Self::Exponential { mean_ms } => -(1.0 - rng.f64()).ln() * mean_ms,
            Self::Uniform { from_ms, to_ms } => from_ms + (to_ms - from_ms) * rng.f64(),
        };
        Duration::from_secs_f64(ms / 1000.0)
    }
}

/// The harness's handle of an emulator's process.
pub(crate) struct Emulator {
    process: Process,
    pub(crate) address: Address,
}

impl Emulator {
    pub(crate) fn start(conditions: &Conditions) -> Result<Self, String> {
        let conditions = serde_json::to_string(conditions).expect("conditions are JSON");
        let mut process = Process::start(&["emulator", &conditions]);
        let address = process.reply(Duration::from_secs(10))?;
        Ok(Self { process, address })
    }

    /// Sends an order and waits until it is carried out.
    pub(crate) fn carry_out(&mut self, order: &Order) -> Result<Done, String> {
        let planned = match order {
            Order::Append { planned } => planned.last().map_or(0, |last| last.at_ms),
            _ => 0,
        };
        self.process.order(order);
        let done = self.process.reply(AT_MOST + Duration::from_millis(planned));
        done.map_err(|error| format!("the emulator: {error}"))
    }

    /// Waits until that many polls are held. Fails if the clients stop making progress.
    pub(crate) fn await_polls(&mut self, polls: usize) -> Result<Done, String> {
        let done = self.carry_out(&Order::AwaitPolls { polls })?;
        if done.open_polls < polls {
            let (held, stalled) = (done.open_polls, STALLED.as_secs());
            return Err(format!(
                "{held} of {polls} polls held, and nothing new for {stalled} s"
            ));
        }
        Ok(done)
    }
}

/// Runs the emulator's process.
pub(crate) fn run(conditions: &Conditions) {
    let (sender, orders) = channel();
    control::obey(move |order: Order| {
        // The receiver lives as long as the process.
        let _ = sender.send(order);
    });
    let (server, address) = start_server(conditions);
    let timer = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime can be had");
    control::reply(&address);
    for order in orders {
        carry_out(&server, &timer, &order);
        let counters = server.counters();
        control::reply(&Done {
            at_ns: now_ns(),
            open_polls: counters.open_polls,
            requests: counters.total.requests,
            cut_polls: logged(&server, |request| {
                request.fault == Some("close_before_headers")
            }),
            refused: logged(&server, |request| {
                request.outcome == Outcome::Responded(429)
            }),
        });
    }
}

/// Starts a server, and returns it with the API's address.
///
/// The API and the realtime server have an origin each, as at Box. Otherwise polls would be held on
/// connections whose buffers have grown with pages.
fn start_server(conditions: &Conditions) -> (EmulatorServer, Address) {
    let settings = Settings::default().changed_by(&conditions.settings);
    let settings = settings.expect("the emulator knows these settings");
    let needs_log = settings.cut_polls_after_ms.is_some() || settings.calls_per_minute.is_some();
    let config = Config {
        request_log_capacity: if needs_log { LOG } else { 0 },
        tls: conditions.tls,
        ..Config::from(settings)
    };
    let server = EmulatorServer::start_on((Ipv4Addr::UNSPECIFIED, 0).into(), config)
        .expect("a port can be had");
    // The certificate is for these two names. Over plain HTTP, the API needs no lookup of a name.
    let (api, realtime) = if conditions.tls {
        ("localhost", "127.0.0.1")
    } else {
        ("127.0.0.1", "127.0.0.2")
    };
    let at = |host| server.origin().replace("0.0.0.0", host);
    let realtime = at(realtime);
    server.change_settings(|settings| settings.realtime_origins = vec![realtime]);
    let address = Address {
        origin: at(api),
        authority: server.authority_pem().map(str::to_owned),
    };
    (server, address)
}

/// Returns the number of requests of a kind that only the request log shows.
fn logged(server: &EmulatorServer, is_counted: fn(&RequestRecord) -> bool) -> u64 {
    let emulator = server.emulator();
    let counted = emulator.requests().filter(|request| is_counted(request));
    counted.count() as u64
}

fn carry_out(server: &EmulatorServer, timer: &Runtime, order: &Order) {
    match *order {
        Order::Prepare {
            ref account,
            events,
        } => server.append(account, events),
        Order::PreparePast {
            ref account,
            events,
        } => server.append_past(account, &PastEvents::year_until(server.unix(), events)),
        Order::PrepareAll { accounts, events } => {
            server.append_json(&account(0), (0..events).map(small_event));
            for number in 1..accounts {
                server.copy_log(&account(0), &account(number));
            }
        }
        Order::Emit {
            accounts,
            events,
            gaps,
            seed,
        } => timer.block_on(emit(server, accounts, events, gaps, seed)),
        Order::Append { ref planned } => timer.block_on(append(server, planned)),
        Order::AwaitPolls { polls } => timer.block_on(await_polls(server, polls)),
        Order::Count => {}
    }
}

/// Waits until that many polls are held, or no client makes progress. The reply has their number.
async fn await_polls(server: &EmulatorServer, polls: usize) {
    let mut progress = (0, 0);
    let mut seen = now();
    loop {
        let counters = server.counters();
        if counters.open_polls >= polls {
            return;
        }
        let now = now();
        if progress != (counters.most_open_polls, counters.events_served) {
            progress = (counters.most_open_polls, counters.events_served);
            seen = now;
        }
        if now - seen > STALLED {
            return;
        }
        // The thread polls, because a notification for each change would slow the emulator down.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Appends events to random accounts, at random gaps.
async fn emit(server: &EmulatorServer, accounts: usize, events: usize, gaps: Gaps, seed: u64) {
    let new = new_events(server, events);
    let mut rng = Rng::with_seed(seed);
    let mut due = tokio::time::Instant::from_std(now()) + QUIET;
    for template in new {
        due += gaps.next(&mut rng);
        tokio::time::sleep_until(due).await;
        let account = account(rng.usize(..accounts));
        server.append_json(&account, [measured(&template)]);
    }
}

/// Appends events as planned.
async fn append(server: &EmulatorServer, planned: &[Planned]) {
    let new = new_events(server, planned.len());
    let start = tokio::time::Instant::from_std(now());
    for (planned, template) in planned.iter().zip(new) {
        tokio::time::sleep_until(start + Duration::from_millis(planned.at_ms)).await;
        let event = if planned.is_measured {
            measured(&template)
        } else {
            template
        };
        server.append_json(&account(planned.account), [event]);
    }
}

/// Returns realistic events that no account has yet.
fn new_events(server: &EmulatorServer, events: usize) -> Vec<Arc<str>> {
    const TEMPLATES: &str = "templates";
    server.append(TEMPLATES, events);
    let mut templates = server.emulator().events(TEMPLATES);
    templates.split_off(templates.len() - events)
}

/// Returns an event that carries the present time.
fn measured(template: &str) -> Arc<str> {
    let rest = &template[1..];
    format!(r#"{{"sent_ns":{},{rest}"#, now_ns()).into()
}

#[expect(
    clippy::disallowed_methods,
    reason = "what is measured happens at real moments"
)]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// Returns an event of some 200 bytes.
fn small_event(number: usize) -> String {
    format!(
        r#"{{"type":"event","event_id":"{number:032x}","created_at":"2026-01-01T00:00:00-08:00","event_type":"ITEM_UPLOAD","source":{{"type":"file","id":"{number}","name":"a file of no importance.pdf"}}}}"#
    )
}
