//! Tests in which the program is killed repeatedly, at random moments.

use std::collections::HashSet;
use std::fmt;
use std::thread;
use std::time::Duration;

use box_longpoll::checkpoint::{CheckpointFile, CheckpointStore as _};
use box_longpoll_testkit::{EmulatorServer, Endpoint, Fault, Settings};
use futures_lite::future::block_on;
use rstest::rstest;

use crate::program::{BACKENDS, CLIENTS, Ended, TOKEN, Tail};

#[test]
fn killed_program_loses_nothing_when_resumed_by_position() {
    const KILLS: usize = 30;
    const EVENTS: usize = 2_000;
    let seed =
        std::env::var("TAIL_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("TAIL_SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);

    let server = EmulatorServer::start_with(Settings {
        repeat_rate: 0.05,
        ..Settings::default()
    });
    let mut from = server.emulator().newest_position(TOKEN);
    server.append(TOKEN, 500);
    server.change_settings(|settings| settings.rate = 250.0);

    let mut written = Written::default();
    let mut kills = 0;
    while kills < KILLS || server.event_ids(TOKEN).len() < EVENTS {
        let backend = rng.choice(BACKENDS).expect("there is one");
        let client = rng.choice(CLIENTS).expect("there is one");
        let arguments = ["--json", "--from", &from, "--backend", backend];
        let mut tail = Tail::of(&server, &[&arguments, *client].concat());
        if rng.bool() {
            tail.read_events(rng.usize(..100));
        } else {
            sleep_for(Duration::from_millis(rng.u64(..1_200)));
        }
        let ended = tail.kill();
        kills += 1;
        from = ended.position().unwrap_or(&from).to_owned();
        written.add(&ended);
    }
    server.change_settings(|settings| settings.rate = 0.0);
    let newest = server.emulator().newest_position(TOKEN);
    let mut tail = Tail::of(&server, &["--json", "--from", &from]);
    tail.wait_for_report(|line| line == format!("position {newest}"));
    written.add(&tail.kill());

    println!("{kills} kills, {written:?}");
    let log = server.event_ids(TOKEN);
    let count = written.first_seen.len();
    assert!(written.first_seen == log, "{count} of {} events", log.len());
    assert!(written.runs_with_repeats > 0, "no kill was inside a batch");
}

/// Returns the number of kills: the variable `CHECKPOINT_KILLS`, or a small default.
fn kills() -> usize {
    std::env::var("CHECKPOINT_KILLS").map_or(8, |kills| kills.parse().unwrap())
}

/// The minimum number of events per kill.
const EVENTS_PER_KILL: usize = 100;

/// The faults of the server between the kills.
const FAULTS: [Fault; 6] = [
    Fault::ServerError,
    Fault::Reset,
    Fault::CloseInBody,
    Fault::Garbage,
    Fault::MissingPosition,
    Fault::StalePage,
];

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest("reqwest"))]
#[cfg_attr(feature = "surf", case::surf("surf"))]
#[cfg_attr(feature = "isahc", case::isahc("isahc"))]
fn killed_program_loses_nothing_with_a_checkpoint(#[case] backend: &str) {
    let seed = std::env::var("CHECKPOINT_SEED")
        .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("CHECKPOINT_SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let server = EmulatorServer::start_with(Settings {
        repeat_rate: 0.05,
        short_page_rate: 0.2,
        empty_page_rate: 0.05,
        hold_ms: 500,
        ..Settings::default()
    });
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("checkpoint");
    let start = || {
        let checkpoint = ["--json", "--checkpoint", file.to_str().unwrap()];
        Tail::of(
            &server,
            &[&checkpoint[..], &["--backend", backend]].concat(),
        )
    };

    // The first run starts at the current position, before there are events.
    let mut tail = start();
    tail.wait_for_report(|line| line == "listening");
    server.append(TOKEN, 300);
    server.change_settings(|settings| settings.rate = 300.0);

    let mut written = Written::default();
    let mut killed = 0;
    while killed < kills() || server.event_ids(TOKEN).len() < EVENTS_PER_KILL * kills() {
        if server.emulator().queued_faults() == 0 {
            let fault = rng.choice(FAULTS).expect("there is one");
            server.queue_fault(Endpoint::Events, fault, 1);
        }
        if rng.bool() {
            tail.read_events(rng.usize(..60));
        } else {
            sleep_for(Duration::from_millis(rng.u64(..600)));
        }
        written.add(&tail.kill());
        killed += 1;
        tail = start();
    }
    server.change_settings(|settings| settings.rate = 0.0);
    server.emulator().clear_faults();
    // The last event comes after all others, so all of them have been fetched when it is printed.
    server.append_json(TOKEN, [r#"{"event_id":"the last one"}"#]);
    tail.wait_for_event(|line| line.contains("the last one"));
    let newest = server.emulator().newest_position(TOKEN);
    tail.wait_for_report(|line| line == format!("position {newest}"));
    written.add(&tail.kill());
    println!("{backend}: {killed} kills, {written:?}");
    let log = server.event_ids(TOKEN);
    let count = written.first_seen.len();
    assert!(written.first_seen == log, "{count} of {} events", log.len());

    let store = CheckpointFile::open(&file).unwrap();
    let checkpoint = block_on(store.load("tail")).unwrap().unwrap();
    assert_eq!(checkpoint.resume_at().to_string(), newest);
}

/// The events that several runs of the program wrote.
#[derive(Default)]
pub(crate) struct Written {
    pub(crate) first_seen: Vec<String>,
    seen: HashSet<String>,
    pub(crate) repeats: usize,
    /// The number of runs that began with an event that an earlier run had already written, because
    /// the earlier run was killed inside a batch.
    runs_with_repeats: usize,
}

impl Written {
    /// Adds the events of a run.
    pub(crate) fn add(&mut self, run: &Ended) {
        let ids = run.ids();
        let repeats = ids.first().is_some_and(|id| self.seen.contains(id));
        self.runs_with_repeats += usize::from(repeats);
        for id in ids {
            if self.seen.insert(id.clone()) {
                self.first_seen.push(id);
            } else {
                self.repeats += 1;
            }
        }
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (events, repeats) = (self.first_seen.len(), self.repeats);
        let runs = self.runs_with_repeats;
        write!(
            f,
            "{runs} of them inside a batch; {events} events, {repeats} written twice"
        )
    }
}

/// Sleeps while the program runs.
#[expect(
    clippy::disallowed_methods,
    reason = "the test kills at random moments"
)]
pub(crate) fn sleep_for(time: Duration) {
    thread::sleep(time);
}
