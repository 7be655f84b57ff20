//! The proof that kills lose nothing, for any place for events.
//!
//! To prove it for another place, implement [`KillableSink`] for a value that owns it, such as a
//! receiver on loopback or a file that a command appends to. Then call [`survives_kills`] with
//! [`kills`] and [`events`], so that `SINK_KILLS=100` makes the test a long one:
//!
//! ```sh
//! SINK_KILLS=100 cargo test -p box-tail --test tail sinks::kills -- --nocapture
//! ```

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use box_longpoll_testkit::{EmulatorServer, Endpoint, Fault, Settings};
use rstest::rstest;
use rusqlite::Connection;
use tempfile::TempDir;

use super::{files, ids, jsonl};
use crate::kills::sleep_for;
use crate::program::{TOKEN, Tail};

/// A place for events that outlives the program.
pub(crate) trait KillableSink {
    /// Returns the arguments that select the place, and the checkpoint if the place keeps none.
    fn arguments(&self) -> Vec<String>;

    /// Returns the guarantee that the place gives.
    fn guarantee(&self) -> Guarantee;

    /// Returns the ids of the events in the place, in the order in which they came. This is called
    /// once, after the last run. It asserts that nothing is torn.
    fn ids(&mut self) -> Vec<String>;
}

/// The number of times that an event is in the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guarantee {
    ExactlyOnce,
    AtLeastOnce,
}

/// Returns the number of kills: the variable `SINK_KILLS`, or a small default.
pub(crate) fn kills() -> usize {
    std::env::var("SINK_KILLS").map_or(15, |kills| kills.parse().unwrap())
}

/// Returns the least number of events that arrive meanwhile.
pub(crate) fn events() -> usize {
    2_000.max(100 * kills())
}

/// The rate of the events, per second.
const RATE: f64 = 250.0;

/// Runs the program and kills it by SIGKILL at random moments, until it was killed `kills` times and
/// at least `events` events have arrived at Box, which fails all the while. Then the program runs to
/// the end. Asserts that no event is missing, and that they came in order.
#[track_caller]
pub(crate) fn survives_kills(mut sink: impl KillableSink, kills: usize, events: usize) {
    let seed =
        std::env::var("SINK_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("SINK_SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let server = EmulatorServer::start_with(Settings {
        repeat_rate: 0.05,
        short_page_rate: 0.2,
        empty_page_rate: 0.05,
        hold_ms: 500,
        ..Settings::default()
    });
    let arguments = sink.arguments();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let start = || Tail::of(&server, &arguments);

    // The first run starts at the current position, before there are events.
    let mut tail = start();
    tail.wait_for_report(|line| line == "listening");
    server.append(TOKEN, 300);
    server.change_settings(|settings| settings.rate = RATE);
    let mut killed = 0;
    while killed < kills || server.event_ids(TOKEN).len() < events {
        if server.emulator().queued_faults() == 0 {
            let fault = rng.choice(faults()).expect("there is one");
            server.queue_fault(Endpoint::Events, fault, rng.u32(1..3));
        }
        if rng.bool() {
            // The program writes pages now.
            for _ in 0..rng.usize(1..4) {
                tail.wait_for_report(|line| line.starts_with("position "));
            }
            sleep_for(Duration::from_micros(rng.u64(..30_000)));
        } else {
            sleep_for(Duration::from_millis(rng.u64(..600)));
        }
        tail.kill();
        killed += 1;
        tail = start();
    }
    server.change_settings(|settings| settings.rate = 0.0);
    server.emulator().clear_faults();
    // The last event comes after all others, so the position after it says that all were written.
    server.append_json(TOKEN, [r#"{"event_id":"the last one"}"#]);
    let newest = server.emulator().newest_position(TOKEN);
    tail.wait_for_report(|line| line == format!("position {newest}"));
    tail.kill();

    let written = sink.ids();
    let log = server.event_ids(TOKEN);
    let mut known = HashSet::new();
    let first: Vec<&String> = written.iter().filter(|id| known.insert(*id)).collect();
    let (found, all, repeats) = (first.len(), log.len(), written.len() - first.len());
    println!("{killed} kills, {all} events, {repeats} written again");
    assert!(first.into_iter().eq(&log), "{found} of {all} events");
    if sink.guarantee() == Guarantee::ExactlyOnce {
        assert_eq!(repeats, 0);
    }
}

/// Returns the faults of the server between the kills.
fn faults() -> [Fault; 8] {
    [
        Fault::ServerError,
        Fault::Unavailable,
        Fault::RateLimited { seconds: 1 },
        Fault::Reset,
        Fault::ResetInBody,
        Fault::CloseInBody,
        Fault::MissingPosition,
        Fault::StalePage,
    ]
}

#[rstest]
#[case::plain(&[])]
#[case::gzip(&["--gzip"])]
#[case::rotated(&["--rotate-size", "100kB"])]
#[case::gzip_rotated(&["--gzip", "--rotate-size", "20kB"])]
fn killed_program_loses_no_line(#[case] options: &'static [&'static str]) {
    let sink = JsonLines {
        directory: tempfile::tempdir().unwrap(),
        options,
    };
    survives_kills(sink, kills(), events());
}

#[test]
fn killed_program_stores_each_row_once() {
    let sink = Sqlite {
        directory: tempfile::tempdir().unwrap(),
    };
    survives_kills(sink, kills(), events());
}

/// A file of lines, and a checkpoint.
struct JsonLines {
    directory: TempDir,
    options: &'static [&'static str],
}

impl KillableSink for JsonLines {
    fn arguments(&self) -> Vec<String> {
        let [file, checkpoint] =
            ["events.jsonl", "checkpoint"].map(|name| self.directory.path().join(name));
        let place = jsonl(&file);
        let checkpoint = checkpoint.to_str().unwrap();
        let fixed = ["--to", &place, "--checkpoint", checkpoint];
        let arguments = fixed.iter().chain(self.options);
        arguments.map(|argument| (*argument).to_owned()).collect()
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    fn ids(&mut self) -> Vec<String> {
        let is_compressed = self.options.contains(&"--gzip");
        let extension = if is_compressed { ".gz" } else { "" };
        let files = files(self.directory.path(), &format!("events.jsonl{extension}"));
        println!("{} files", files.len());
        let is_rotated = self.options.contains(&"--rotate-size");
        assert_eq!(files.len() > 1, is_rotated);
        files.iter().flat_map(|file| ids(file)).collect()
    }
}

/// A database, which is its own checkpoint.
struct Sqlite {
    directory: TempDir,
}

impl Sqlite {
    fn file(&self) -> PathBuf {
        self.directory.path().join("events.db")
    }
}

impl KillableSink for Sqlite {
    fn arguments(&self) -> Vec<String> {
        vec!["--to".into(), format!("sqlite:{}", self.file().display())]
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn ids(&mut self) -> Vec<String> {
        let database = Connection::open(self.file()).unwrap();
        let check = database.query_row("PRAGMA integrity_check", [], |row| row.get(0));
        assert_eq!(check, Ok("ok".to_owned()));
        let mut select = database
            .prepare("SELECT event_id FROM events ORDER BY number")
            .unwrap();
        let ids = select.query_map([], |row| row.get(0)).unwrap();
        ids.collect::<Result<_, _>>().unwrap()
    }
}
