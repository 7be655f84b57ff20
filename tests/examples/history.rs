//! Proves that the example `history_then_live` stores each event once, although it is killed at
//! random moments, while it reads the past and while it follows live events. A program that
//! acknowledges its batches instead misses nothing.
//!
//! `ONCE_SEED` repeats a run's moments, though not the timing of the machine.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use box_longpoll::checkpoint::CheckpointFile;
use box_longpoll::config::RealtimeHosts;
use box_longpoll::enterprise::AdminLogsStreaming;
use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{AccessToken, LongPollClient, StartAt, Update};
use box_longpoll_testkit::{AdminLogsOrder, EmulatorServer, PastEvents, Settings};
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;

use crate::exactly_once::{kill, pause, wait_until};
use crate::{TOKEN, executable};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// The sizes of a run.
struct Run {
    past_events: u32,
    kills: usize,
    /// The live events in each second.
    rate: f64,
    /// The longest life of a process that is killed, in milliseconds.
    longest_life: u64,
    /// The longest time until all past events are stored, after the last kill.
    patience: Duration,
}

const SHORT: Run = Run {
    past_events: 40_000,
    kills: 20,
    rate: 20.0,
    longest_life: 400,
    patience: Duration::from_secs(120),
};

const LONG: Run = Run {
    past_events: 1_000_000,
    kills: 200,
    rate: 20.0,
    longest_life: 6_000,
    patience: Duration::from_secs(1_800),
};

/// Starts a fake Box with the past events of an enterprise, and the troubles of a large one.
fn fake_box(run: &Run) -> EmulatorServer {
    let server = EmulatorServer::start_with(Settings {
        admin_logs_order: AdminLogsOrder::Chronological,
        admin_logs_retention_ms: Some(365 * DAY_MS),
        streaming_retention_ms: Some(14 * DAY_MS),
        admin_logs_delay_ms: 60_000,
        late_rate: 0.05,
        late_by_ms: 20 * DAY_MS,
        reorder_rate: 0.1,
        repeat_rate: 0.1,
        calls_per_minute: Some(1_000),
        ..Settings::default()
    });
    server.append_past(
        TOKEN,
        &PastEvents::year_until(server.unix(), run.past_events),
    );
    server.change_settings(|settings| settings.rate = run.rate);
    server
}

/// Kills one process after the other, which `start` starts. `stored` returns the number of rows.
fn kill_again_and_again(run: &Run, start: impl Fn() -> Child, stored: impl Fn() -> usize) {
    let seed =
        std::env::var("ONCE_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("ONCE_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let (mut in_the_past, mut with_events) = (0, 0);
    // On a busy machine, the program needs longer until it stores events.
    let mut longest_life = run.longest_life;
    for _ in 0..run.kills {
        let before = stored();
        let mut program = start();
        pause(rng.u64(..longest_life));
        kill(&mut program);
        let after = stored();
        in_the_past += usize::from(after < run.past_events as usize);
        if after > before {
            with_events += 1;
            longest_life = (longest_life * 3 / 4).max(run.longest_life);
        } else {
            longest_life = longest_life * 9 / 8;
        }
    }
    println!(
        "{} kills, {in_the_past} of them before the past was read, {with_events} of them after \
         events were stored",
        run.kills
    );
    assert!(with_events > 0, "no process lived long enough");
}

/// Appends an event now and then, until it is stored. Returns the longest time that it took.
fn longest_lag(server: &EmulatorServer, is_stored: impl Fn(&str) -> bool) -> Duration {
    let mut longest = Duration::ZERO;
    for number in 0..10 {
        let id = format!("now-{number}");
        let appended = now();
        append_now(server, &id);
        wait_until("a live event is stored", || is_stored(&id));
        longest = longest.max(now() - appended);
        pause(300);
    }
    longest
}

fn append_now(server: &EmulatorServer, id: &str) {
    let created = Timestamp::from_second(server.unix()).unwrap();
    let event = format!(r#"{{"event_id":"{id}","event_type":"LOGIN","created_at":"{created}"}}"#);
    server.append_json(TOKEN, [event]);
}

#[expect(clippy::disallowed_methods, reason = "the lag of real processes")]
fn now() -> Instant {
    Instant::now()
}

/// Waits until the last event is stored.
fn wait_for_the_last(run: &Run, server: &EmulatorServer, is_stored: impl Fn(&str) -> bool) {
    let began = now();
    append_now(server, "the first after the kills");
    while !is_stored("the first after the kills") {
        assert!(now() - began < run.patience, "did not reach the present");
        pause(200);
    }
    println!(
        "it reached the present {:?} after the last kill",
        now() - began
    );
    println!("the longest lag is {:?}", longest_lag(server, &is_stored));
    server.change_settings(|settings| settings.rate = 0.0);
    append_now(server, "the last one");
    wait_until("the last event is stored", || is_stored("the last one"));
}

/// Checks the stored ids. Returns the number of repeats.
#[track_caller]
fn assert_nothing_is_missing(server: &EmulatorServer, stored: &[String]) -> usize {
    let appended: BTreeSet<String> = server.event_ids(TOKEN).into_iter().collect();
    let distinct: BTreeSet<String> = stored.iter().cloned().collect();
    let missing: Vec<_> = appended.difference(&distinct).collect();
    assert!(
        missing.is_empty(),
        "{} are missing, such as {:?}",
        missing.len(),
        missing[0]
    );
    assert_eq!(distinct.len(), appended.len(), "an unknown event");
    println!("{} events", distinct.len());
    stored.len() - distinct.len()
}

fn stores_each_event_once(run: &Run) {
    let server = fake_box(run);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("events.db");
    let start = || {
        Command::new(executable("history_then_live"))
            .arg(&file)
            .env("BOX_ACCESS_TOKEN", TOKEN)
            .env("BOX_API", server.origin())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts")
    };
    kill_again_and_again(run, start, || count(&file, ""));
    let mut program = start();
    wait_for_the_last(run, &server, |id| {
        // The newest rows are enough.
        let newest = "WHERE number > (SELECT max(number) FROM events) - 2000";
        count(&file, &format!("{newest} AND json ->> 'event_id' = '{id}'")) == 1
    });
    kill(&mut program);
    let repeats = assert_nothing_is_missing(&server, &stored(&file));
    assert_eq!(repeats, 0, "events are stored twice");
}

/// Returns the number of stored events.
fn count(file: &Path, condition: &str) -> usize {
    let database = Connection::open(file).unwrap();
    let count = format!("SELECT count(*) FROM events {condition}");
    // The program may have been killed before it created its tables.
    let count = database.query_row(&count, [], |row| row.get::<_, i64>(0));
    count.map_or(0, |count| count.try_into().unwrap())
}

/// Returns the ids of the stored events.
fn stored(file: &Path) -> Vec<String> {
    let database = Connection::open(file).unwrap();
    let select = "SELECT json ->> 'event_id' FROM events";
    let mut events = database.prepare(select).unwrap();
    let ids = events.query_map([], |row| row.get(0)).unwrap();
    ids.map(Result::unwrap).collect()
}

#[test]
fn history_is_stored_once_when_the_program_is_killed() {
    stores_each_event_once(&SHORT);
}

#[test]
#[ignore = "takes a quarter of an hour in a release build"]
fn million_events_are_stored_once_when_the_program_is_killed() {
    stores_each_event_once(&LONG);
}

fn misses_nothing_with_acknowledgements(run: &Run) {
    let server = fake_box(run);
    let directory = tempfile::tempdir().unwrap();
    let rows = directory.path().join("rows");
    let start = || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "history::acknowledging_program"])
            .env("ROWS", &rows)
            .env("BOX_API", server.origin())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("the program starts")
    };
    let ids = || fs::read_to_string(&rows).unwrap_or_default();
    kill_again_and_again(run, start, || ids().lines().count());
    let mut program = start();
    wait_for_the_last(run, &server, |id| {
        ids().lines().rev().take(2_000).any(|row| row == id)
    });
    kill(&mut program);
    let rows: Vec<String> = ids().lines().map(str::to_owned).collect();
    let repeats = assert_nothing_is_missing(&server, &rows);
    println!("{repeats} repeats");
    // Only a batch that is written and not acknowledged comes twice.
    assert!(repeats <= run.kills * 2 * 500, "{repeats} repeats");
}

#[test]
fn history_misses_nothing_when_acknowledged_batches_are_killed() {
    misses_nothing_with_acknowledgements(&SHORT);
}

#[test]
#[ignore = "takes a quarter of an hour in a release build"]
fn million_acknowledged_events_miss_nothing_when_killed() {
    misses_nothing_with_acknowledgements(&LONG);
}

/// The program that acknowledges its batches: a process of its own, for the tests above.
#[test]
#[ignore = "other tests run it as a program"]
fn acknowledging_program() {
    let (Some(rows), Ok(api)) = (std::env::var_os("ROWS"), std::env::var("BOX_API")) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(acknowledge(Path::new(&rows), &api));
}

async fn acknowledge(rows: &Path, api: &str) {
    let client = LongPollClient::builder()
        .api_origin(api)
        .realtime_hosts(RealtimeHosts::default().allow_loopback())
        .build(
            ReqwestTransport::new().unwrap(),
            AccessToken::new(TOKEN).unwrap(),
        );
    let client = client
        .unwrap()
        .enterprise(AdminLogsStreaming::default())
        .unwrap();
    let store = CheckpointFile::open(rows.with_extension("checkpoint")).unwrap();
    let since = Timestamp::now() - SignedDuration::from_hours(365 * 24);
    let mut updates = client.subscribe(store, "mine", StartAt::Since(since));
    let mut file = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(rows)
        .unwrap();
    while let Some(update) = updates.next().await {
        if let Update::Batch(batch) = update.unwrap() {
            let ids = batch.iter().flat_map(|event| [event.id().unwrap(), "\n"]);
            let lines: String = ids.collect();
            // A kill can't cut a single write.
            file.write_all(lines.as_bytes()).unwrap();
            batch.ack().await.unwrap();
        }
    }
}
