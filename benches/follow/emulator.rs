//! The emulator in a process of its own, so that it does not count as a client's cost.
//!
//! [`Emulator`] is the harness's side; [`run`] is the process itself, which carries out [`Order`]s.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use box_longpoll_testkit::{Config, EmulatorServer, Settings};
use fastrand::Rng;
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use crate::control::{self, Process};
use crate::measure::now_ns;

/// The time limit for a client without progress. It covers the client's longest backoff.
const STALLED: Duration = Duration::from_secs(30);

/// The pause before the first event, in which the previous subject receives its last event.
const QUIET: Duration = Duration::from_millis(100);

/// The time limit of an order, including one to prepare a long log.
const AT_MOST: Duration = Duration::from_secs(300);

/// An order to the emulator's process. The process replies when it has carried the order out.
#[derive(Serialize, Deserialize)]
pub(crate) enum Order {
    /// Gives an account a log of realistic events.
    Prepare { account: String, events: usize },
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
    /// Waits until that many polls are held.
    AwaitPolls { polls: usize },
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
    pub(crate) origin: String,
}

impl Emulator {
    pub(crate) fn start() -> Result<Self, String> {
        let mut process = Process::start(&["emulator"]);
        let origin = process.reply(Duration::from_secs(10))?;
        Ok(Self { process, origin })
    }

    /// Sends an order and waits until it is carried out.
    pub(crate) fn carry_out(&mut self, order: &Order) -> Result<Done, String> {
        self.process.order(order);
        let done = self.process.reply(AT_MOST);
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
pub(crate) fn run() {
    let (sender, orders) = channel();
    control::obey(move |order: Order| {
        // The receiver lives as long as the process.
        let _ = sender.send(order);
    });
    let (server, origin) = start_server();
    let timer = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime can be had");
    control::reply(&origin);
    for order in orders {
        carry_out(&server, &timer, &order);
        control::reply(&Done {
            at_ns: now_ns(),
            open_polls: server.counters().open_polls,
        });
    }
}

/// Starts a server, and returns it with the API's origin.
///
/// The API and the realtime server have an address each, as at Box. Otherwise polls would be held
/// on connections whose buffers have grown with pages.
fn start_server() -> (EmulatorServer, String) {
    let config = Config {
        request_log_capacity: 0,
        ..Config::from(Settings::default())
    };
    let server = EmulatorServer::start_on((Ipv4Addr::UNSPECIFIED, 0).into(), config)
        .expect("a port can be had");
    let here = |address| server.origin().replace("0.0.0.0", address);
    let (api, realtime) = (here("127.0.0.1"), here("127.0.0.2"));
    server.change_settings(|settings| settings.realtime_origins = vec![realtime]);
    (server, api)
}

fn carry_out(server: &EmulatorServer, timer: &Runtime, order: &Order) {
    match *order {
        Order::Prepare {
            ref account,
            events,
        } => server.append(account, events),
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
        Order::AwaitPolls { polls } => timer.block_on(await_polls(server, polls)),
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
    const TEMPLATES: &str = "templates";
    server.append(TEMPLATES, events);
    let templates = server.emulator().events(TEMPLATES);
    let new = &templates[templates.len() - events..];
    let mut rng = Rng::with_seed(seed);
    let mut due = tokio::time::Instant::from_std(now()) + QUIET;
    for template in new {
        due += gaps.next(&mut rng);
        tokio::time::sleep_until(due).await;
        let account = account(rng.usize(..accounts));
        let rest = &template[1..];
        let event: Arc<str> = format!(r#"{{"sent_ns":{},{rest}"#, now_ns()).into();
        server.append_json(&account, [event]);
    }
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
