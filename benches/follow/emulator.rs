//! The emulator as a process of its own.

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

/// How long a client may make no progress: its backoff, and no more.
const STALLED: Duration = Duration::from_secs(30);

/// Whoever had a turn before has its last event after this.
const QUIET: Duration = Duration::from_millis(100);

/// How long an order may take, that of following a long log included.
const AT_MOST: Duration = Duration::from_secs(300);

/// What the emulator's process is told to do. It replies to each when it is done.
#[derive(Serialize, Deserialize)]
pub(crate) enum Order {
    /// Gives an account a log of realistic events.
    Prepare { account: String, events: usize },
    /// Gives each of the [accounts](account) the same log of small events.
    PrepareAll { accounts: usize, events: usize },
    /// Appends realistic events to the [accounts](account), one at a time, that say when.
    Emit {
        accounts: usize,
        events: usize,
        gaps: Gaps,
        /// Of the accounts and the gaps, which are drawn.
        seed: u64,
    },
    /// Waits until as many polls are held.
    AwaitPolls { polls: usize },
}

/// The time between two events, whichever accounts they belong to.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Gaps {
    /// As independent sources have them.
    Exponential {
        mean_ms: f64,
    },
    Uniform {
        from_ms: f64,
        to_ms: f64,
    },
}

/// That an order has been carried out.
#[derive(Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) at_ns: u64,
    pub(crate) open_polls: usize,
}

/// The name of one of many accounts.
pub(crate) fn account(number: usize) -> String {
    format!("account-{number}")
}

impl Gaps {
    fn next(self, rng: &mut Rng) -> Duration {
        let ms = match self {
            // 1 less a number below 1 is never 0.
            Self::Exponential { mean_ms } => -(1.0 - rng.f64()).ln() * mean_ms,
            Self::Uniform { from_ms, to_ms } => from_ms + (to_ms - from_ms) * rng.f64(),
        };
        Duration::from_secs_f64(ms / 1000.0)
    }
}

/// A process with an emulator, as the harness sees it.
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

    /// Gives an order and waits until it is carried out.
    pub(crate) fn carry_out(&mut self, order: &Order) -> Result<Done, String> {
        self.process.order(order);
        let done = self.process.reply(AT_MOST);
        done.map_err(|error| format!("the emulator: {error}"))
    }

    /// Waits until as many polls are held.
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

/// What the emulator's process does.
pub(crate) fn run() {
    let (sender, orders) = channel();
    control::obey(move |order: Order| {
        // The other end ends with the process only.
        let _ = sender.send(order);
    });
    let (server, origin) = served();
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

/// The API and the realtime server have addresses of their own, as at Box: else polls would be held on connections whose
/// buffers have grown with pages.
fn served() -> (EmulatorServer, String) {
    let config = Config {
        journal_capacity: 0,
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

/// Waits until as many polls are held, or no client gets any further. The reply says how many there are.
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
        // Telling this thread of each change would slow the emulator down.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

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

/// An event of some 200 bytes.
fn small_event(number: usize) -> String {
    format!(
        r#"{{"type":"event","event_id":"{number:032x}","created_at":"2026-01-01T00:00:00-08:00","event_type":"ITEM_UPLOAD","source":{{"type":"file","id":"{number}","name":"a file of no importance.pdf"}}}}"#
    )
}
