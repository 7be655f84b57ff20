//! Proves that the example `exactly_once` stores each event once, although it is killed at random
//! moments.
//!
//! `ONCE_SEED` repeats a run's moments, though not the timing of the machine.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use box_longpoll_testkit::{EmulatorServer, Settings};
use rusqlite::Connection;

use crate::{PATIENCE, TOKEN, executable};

const KILLS: usize = 100;

fn start(server: &EmulatorServer, database: &Path) -> Child {
    Command::new(executable("exactly_once"))
        .arg(database)
        .env("BOX_ACCESS_TOKEN", TOKEN)
        .env("BOX_API", server.origin())
        .stdin(Stdio::null())
        .spawn()
        .expect("the program starts")
}

/// Returns the ids of the stored events, in the order in which they were stored.
fn stored(database: &Path) -> Vec<String> {
    let database = Connection::open(database).unwrap();
    let select = "SELECT json ->> 'event_id' FROM events ORDER BY number";
    let Ok(mut events) = database.prepare(select) else {
        // The program was killed before it created its tables.
        return Vec::new();
    };
    let ids = events.query_map([], |row| row.get(0)).unwrap();
    ids.map(Result::unwrap).collect()
}

/// Returns `true` if the program has stored its start.
fn has_started(database: &Path) -> bool {
    let count = "SELECT count(*) FROM checkpoints";
    let database = Connection::open(database).unwrap();
    let count = database.query_row(count, [], |row| row.get::<_, i64>(0));
    count.is_ok_and(|count| count == 1)
}

pub(crate) fn kill(program: &mut Child) {
    program.kill().expect("it can be killed");
    program.wait().expect("it has ended");
}

#[expect(
    clippy::disallowed_methods,
    reason = "a random moment of a kill, or the interval of a check"
)]
pub(crate) fn pause(millis: u64) {
    thread::sleep(Duration::from_millis(millis));
}

#[track_caller]
pub(crate) fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let holds_in_time = (0..PATIENCE.as_millis() / 20).any(|_| {
        pause(20);
        holds()
    });
    assert!(holds_in_time, "did not happen in time: {what}");
}

#[test]
fn each_event_is_stored_once_when_the_program_is_killed() {
    let seed =
        std::env::var("ONCE_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("ONCE_SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let server = EmulatorServer::start_with(Settings {
        repeat_rate: 0.1,
        short_page_rate: 0.3,
        hold_ms: 500,
        ..Settings::default()
    });
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("events.db");
    // The first process stores its start before there are events.
    let mut program = start(&server, &database);
    wait_until("the start is stored", || has_started(&database));
    kill(&mut program);
    server.change_settings(|settings| settings.rate = 100.0);
    let mut kills_with_events = 0;
    let mut longest_life = 150;
    for _ in 0..KILLS {
        let before = stored(&database).len();
        let mut program = start(&server, &database);
        // The kill comes at any moment: before the start, or in the middle of a transaction. On a
        // busy machine, the program needs longer for either.
        pause(rng.u64(..longest_life));
        kill(&mut program);
        if stored(&database).len() > before {
            kills_with_events += 1;
            longest_life = (longest_life * 3 / 4).max(150);
        } else {
            longest_life = longest_life * 9 / 8;
        }
    }
    server.change_settings(|settings| settings.rate = 0.0);
    server.append_json(TOKEN, [r#"{"event_id":"the last one"}"#]);
    let mut program = start(&server, &database);
    wait_until("the last event is stored", || {
        stored(&database)
            .last()
            .is_some_and(|id| id == "the last one")
    });
    kill(&mut program);

    let stored = stored(&database);
    println!(
        "{kills_with_events} of {KILLS} processes stored events, {} in all",
        stored.len()
    );
    assert_eq!(stored, server.event_ids(TOKEN));
    assert!(kills_with_events > 0, "no process lived long enough");
}
