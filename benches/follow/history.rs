//! The plan of `--history`: the time in which one stream reads the past of a large enterprise, and
//! then the live events that Box still keeps.
//!
//! The floor has no counterpart of this, so the figures stand alone. Start from
//! [`HistoryPlan::carry_out`] in the harness, and from [`read`] in the client's process.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use box_longpoll::enterprise::{AdminLogs, AdminLogsStreaming};
use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{AccessToken, BatchStream, LongPollClient, StartAt, Status};
use box_longpoll_testkit::PastEvents;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::arguments::Arguments;
use crate::control::{self, Process};
use crate::emulator::{Address, Conditions, Emulator, Order};
use crate::measure::{Usage, as_f64, now_ns, seconds};
use crate::report::{Report, Unit};
use crate::runtime::{Runtime as _, Tokio};
use crate::subject::{Name, exit_with};

/// The account whose past is read.
const ADMIN: &str = "admin";

/// The calls that Box permits a user in a minute.
const CALLS_PER_MINUTE: u32 = 1_000;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// The time in which no event may come after the last one, to show that none is repeated.
const QUIET: Duration = Duration::from_secs(3);

/// The longest time until the next events come.
const STALLED: Duration = Duration::from_secs(60);

/// The longest time of a run.
const AT_MOST: Duration = Duration::from_secs(3_600);

/// The number of events, and of those that are read without parallel slices.
pub(crate) struct HistoryPlan {
    events: u32,
    serial_events: u32,
}

/// The task of a client.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Task {
    events: u32,
    /// The number of slices side by side. `None` for the default.
    parallel: Option<usize>,
    /// `true` for a query, which reads all events from the history.
    is_query: bool,
}

/// The figures of a client.
#[derive(Serialize, Deserialize)]
struct Outcome {
    start: Usage,
    /// The time of the last event of the history.
    history_ended_ns: u64,
    /// The time of the last event.
    ended_ns: u64,
    /// The usage when nothing more had come for a while.
    end: Usage,
    ids: Fingerprint,
}

/// Identifies a multiset of ids without storing them, so that the check takes no memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Fingerprint {
    count: u64,
    sum: u64,
}

impl Fingerprint {
    fn add(&mut self, id: &str) {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        self.count += 1;
        self.sum = self.sum.wrapping_add(hasher.finish());
    }
}

impl HistoryPlan {
    /// Returns the plan, if the arguments select it.
    pub(crate) fn of(arguments: &Arguments) -> Option<Self> {
        let events = if arguments.quick { 20_000 } else { 1_000_000 };
        arguments.history.then_some(Self {
            events,
            serial_events: events / 10,
        })
    }

    pub(crate) fn carry_out(&self, report: &mut Report) {
        let parallel = Task {
            events: self.events,
            parallel: None,
            is_query: false,
        };
        let query = Task {
            is_query: true,
            ..parallel
        };
        let serial = Task {
            events: self.serial_events,
            parallel: Some(1),
            ..parallel
        };
        for (figure, gzip, task) in [
            ("history_query", true, query),
            ("history", true, parallel),
            ("history_plain", false, parallel),
            ("history_serial", true, serial),
        ] {
            eprintln!("{figure}, {} events", task.events);
            if let Err(error) = measure(figure, gzip, task, report) {
                report.record(Name::Reqwest, figure, Unit::Seconds, Err(error));
            }
        }
    }
}

/// Returns the conditions of a server that does all that Box does, from far away.
fn conditions(gzip: bool) -> Conditions {
    Conditions {
        tls: false,
        settings: json!({
            "admin_logs_order": "chronological",
            "admin_logs_retention_ms": 365 * DAY_MS,
            "streaming_retention_ms": 14 * DAY_MS,
            "late_rate": 0.01,
            "reorder_rate": 0.05,
            "repeat_rate": 0.05,
            "latency_ms": 40,
            "server_time_ms": 400,
            "calls_per_minute": CALLS_PER_MINUTE,
            "gzip": gzip,
        }),
    }
}

/// Reads the past once, and checks that each event has come once.
fn measure(figure: &str, gzip: bool, task: Task, report: &mut Report) -> Result<(), String> {
    let mut emulator = Emulator::start(&conditions(gzip))?;
    emulator.carry_out(&Order::PreparePast {
        account: ADMIN.into(),
        events: task.events,
    })?;
    let server = serde_json::to_string(&emulator.address).expect("an address is JSON");
    let order = serde_json::to_string(&task).expect("a task is JSON");
    let mut client = Process::start(&["history-client", &server, &order]);
    let outcome: Outcome = client.reply(AT_MOST)?;
    let done = emulator.carry_out(&Order::Count)?;
    let mut expected = Fingerprint::default();
    // The ids do not depend on the times.
    for id in PastEvents::year_until(0, task.events).ids() {
        expected.add(&id);
    }
    if outcome.ids != expected {
        return Err(format!("{:?} came instead of {expected:?}", outcome.ids));
    }
    let begun = outcome.start.at_ns;
    let cpu = outcome.end.cpu_ns - outcome.start.cpu_ns;
    let mut record = |what: &str, unit, value| {
        report.record(Name::Reqwest, &format!("{figure}{what}"), unit, Ok(value));
    };
    record("", Unit::Seconds, seconds(outcome.ended_ns - begun));
    let live = outcome.ended_ns.saturating_sub(outcome.history_ended_ns);
    record("_live", Unit::Seconds, seconds(live));
    record("_calls", Unit::Count, as_f64(done.requests));
    record("_refused", Unit::Count, as_f64(done.refused));
    let memory = outcome.end.peak.saturating_sub(outcome.start.peak);
    record("_memory", Unit::Bytes, as_f64(memory));
    record("_cpu", Unit::Seconds, seconds(cpu));
    Ok(())
}

/// Runs the client's process.
pub(crate) fn read(server: &Address, task: Task) {
    // The process ends with the harness.
    control::obey(|()| ());
    let batches = batches(server, task);
    let outcome = Tokio::new().block_on(read_all(batches, task));
    control::reply(&outcome);
}

/// Returns the stream of all events since a year ago. It sends nothing before it is polled.
fn batches(server: &Address, task: Task) -> BatchStream<ReqwestTransport> {
    let transport = ReqwestTransport::new().expect("reqwest can be set up");
    let token = AccessToken::new(ADMIN).expect("an account's name is a token");
    let client = LongPollClient::builder()
        .api_origin(&server.origin)
        .build(transport, token);
    let client = client.expect("the settings are right");
    let start = StartAt::Since(Timestamp::now() - SignedDuration::from_hours(365 * 24));
    if task.is_query {
        let query = AdminLogs::new().calls_per_minute(CALLS_PER_MINUTE);
        let query = client.admin_logs(query);
        return query.expect("the settings are right").batches(start);
    }
    let mut settings = AdminLogsStreaming::default().history_calls_per_minute(CALLS_PER_MINUTE);
    if let Some(slices) = task.parallel {
        settings = settings.parallel(slices);
    }
    let client = client.enterprise(settings);
    client.expect("the settings are right").batches(start)
}

async fn read_all(mut batches: BatchStream<ReqwestTransport>, task: Task) -> Outcome {
    let start = Usage::now();
    let mut ids = Fingerprint::default();
    let (mut history_ended_ns, mut ended_ns) = (start.at_ns, start.at_ns);
    loop {
        let has_all = ids.count >= u64::from(task.events);
        let at_most = if has_all { QUIET } else { STALLED };
        let batch = match tokio::time::timeout(at_most, batches.next()).await {
            Ok(Some(Ok(batch))) => batch,
            Ok(Some(Err(error))) => exit_with(&format!("the library: {error:?}")),
            Ok(None) | Err(_) if has_all => break,
            Ok(None) => exit_with("the stream ended"),
            Err(_) => exit_with(&format!(
                "{} of {} events came, and nothing for a minute: {}",
                ids.count,
                task.events,
                batches.status()
            )),
        };
        ended_ns = now_ns();
        if matches!(batches.status(), Status::ReadingHistory(_)) {
            history_ended_ns = ended_ns;
        }
        for event in &batch {
            ids.add(event.id().unwrap_or_default());
        }
    }
    Outcome {
        start,
        history_ended_ns,
        ended_ns,
        end: Usage::now(),
        ids,
    }
}
