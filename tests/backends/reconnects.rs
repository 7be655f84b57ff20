//! Streams that get the signal `reconnect` a thousand times: the fault P16.

use std::sync::Arc;
use std::thread;

use box_longpoll_testkit::{Config, EmulatorServer, Endpoint, Fault};

use crate::backend::Backend;
use crate::fake_box::builder;
use crate::follower::Facade;
use crate::memory::{BACKENDS, now};
use crate::pace::quick;
use crate::scripted::in_environment;
use crate::trial::{Trial, append};

const RECONNECTS: u32 = 1_000;

/// The bound for the additional memory, in bytes: 8 MiB. The emulator remembers its channels and
/// the trial its requests, which is about a kilobyte for each reconnect.
const MOST_MEMORY: usize = 8 << 20;

/// Runs in its own process, so that no other test adds to its memory.
#[test]
fn p16_a_thousand_reconnects_take_no_memory_and_lose_nothing() {
    let test = "reconnects::p16_a_thousand_reconnects_take_no_memory_and_lose_nothing";
    if in_environment(test, &[]).is_some() {
        return;
    }
    let mut trials: Vec<Trial> = BACKENDS.iter().map(|&backend| begin(backend)).collect();
    each_reconnects(&mut trials, RECONNECTS / 10);
    let before = now();
    each_reconnects(&mut trials, RECONNECTS);
    let more = now().saturating_sub(before);
    println!("{more} bytes more after {RECONNECTS} reconnects of each backend");
    assert!(more < MOST_MEMORY, "{more} bytes");
}

fn begin(backend: Backend) -> Trial {
    let server = Arc::new(EmulatorServer::start_with(Config {
        // The log is short, because the test does not measure its memory.
        request_log_capacity: 100,
        ..Config::default()
    }));
    let builder = builder(&server).pace(quick());
    let mut trial = Trial::begin(backend, Facade::Async, &server, builder);
    // After five events the client knows that the server honors positions. From then on it no
    // longer checks for late events after each signal.
    for _ in 0..5 {
        append(&trial.server, 1);
        trial.brings_all();
        trial.listens();
    }
    trial
}

/// Runs all trials in parallel, because each waits most of the time.
fn each_reconnects(trials: &mut [Trial], times: u32) {
    thread::scope(|scope| {
        for trial in trials {
            scope.spawn(move || reconnects(trial, times));
        }
    });
}

/// Makes the stream reconnect. An event before every hundred reconnects ends the held poll.
#[track_caller]
fn reconnects(trial: &mut Trial, times: u32) {
    let message = "reconnect".to_owned();
    for _ in 0..times / 100 {
        let fault = Fault::Signal {
            message: message.clone(),
        };
        trial.server.queue_fault(Endpoint::Realtime, fault, 100);
        append(&trial.server, 1);
        trial.meets_its_faults();
        trial.brings_all();
    }
}
