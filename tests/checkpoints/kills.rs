//! A program that is killed again and again.

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use box_longpoll::CheckpointStore as _;
use box_longpoll::FileStore;
use box_longpoll_testkit::{Endpoint, Fault};
use futures_lite::future::block_on;

use crate::fake_box::{TOKEN, fake_box};
use crate::program::Life;

/// As many kills as `CHECKPOINT_KILLS` says, or few enough for every day.
fn kills() -> usize {
    std::env::var("CHECKPOINT_KILLS").map_or(20, |kills| kills.parse().unwrap())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a random moment is what it is for"
)]
fn live_on(time: Duration) {
    thread::sleep(time);
}

#[test]
fn killed_at_any_moment_it_misses_nothing_and_acknowledges_everything() {
    let seed = std::env::var("CHECKPOINT_SEED")
        .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("CHECKPOINT_SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let server = fake_box(|settings| {
        settings.repeat_rate = 0.05;
        settings.short_page_rate = 0.2;
        settings.empty_page_rate = 0.05;
        settings.hold_ms = 500;
    });
    let faults = [
        Fault::ServerError,
        Fault::Reset,
        Fault::CloseInBody,
        Fault::Garbage,
        Fault::MissingPosition,
        Fault::StalePage,
    ];
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("checkpoint");

    // The first life starts at now, before there are events.
    let mut life = Life::start(&server, &file);
    assert!(server.wait_until(crate::fake_box::PATIENCE, |emulator| {
        emulator.counters().open_polls == 1
    }));
    server.append(TOKEN, 300);
    server.change_settings(|settings| settings.rate = 200.0);

    let mut first_seen = Vec::new();
    let mut known = HashSet::new();
    let mut again = 0;
    let mut take = |ids: Vec<String>| {
        for id in ids {
            if known.insert(id.clone()) {
                first_seen.push(id);
            } else {
                again += 1;
            }
        }
    };
    for _ in 0..kills() {
        let fault = &faults[rng.usize(..faults.len())];
        if server.emulator().queued_faults() == 0 {
            server.queue_fault(Endpoint::Events, fault.clone(), 1);
        }
        if rng.bool() {
            for _ in 0..rng.usize(..60) {
                life.read_line();
            }
        } else {
            live_on(Duration::from_millis(rng.u64(..600)));
        }
        take(life.kill());
        life = Life::start(&server, &file);
    }
    server.change_settings(|settings| settings.rate = 0.0);
    server.emulator().clear_faults();
    // What is appended last is behind all that the lives had to fetch.
    server.append_json(TOKEN, [r#"{"event_id":"the last one"}"#]);
    let log = server.event_ids(TOKEN);
    while !life
        .read
        .last()
        .is_some_and(|line| line.contains("the last one"))
    {
        life.read_line();
    }
    assert!(
        server.wait_until(crate::fake_box::PATIENCE, |emulator| {
            emulator.counters().open_polls == 1
        }),
        "it acknowledges, and listens"
    );
    take(life.kill());
    println!(
        "{} kills, {} events, {again} written again",
        kills(),
        log.len()
    );
    let came = first_seen.len();
    assert!(first_seen == log, "{came} of {} events", log.len());

    let store = FileStore::open(&file).unwrap();
    let kept = block_on(store.load("my account")).unwrap().unwrap();
    let newest = server.emulator().newest_position(TOKEN);
    assert_eq!(kept.position().unwrap().as_str(), newest);
}
