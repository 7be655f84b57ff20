//! A stream that is told again and again to list the servers anew.

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

/// The emulator remembers its channels and the trial its requests: a kilobyte a reconnect.
const LITTLE: usize = 8 << 20;

/// Alone in its program, so that what is measured is its own.
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
    assert!(more < LITTLE, "{more} bytes");
}

fn begin(backend: Backend) -> Trial {
    let server = Arc::new(EmulatorServer::start_with(Config {
        // What it remembers is not what is measured.
        journal_capacity: 100,
        ..Config::default()
    }));
    let builder = builder(&server).pace(quick());
    let mut trial = Trial::begin(backend, Facade::Async, &server, builder);
    // By then the client knows that the server honors positions, and checks no more for late events after each signal.
    for _ in 0..5 {
        append(&trial.server, 1);
        trial.brings_all();
        trial.listens();
    }
    trial
}

/// All at once, since each of them mostly waits.
fn each_reconnects(trials: &mut [Trial], times: u32) {
    thread::scope(|scope| {
        for trial in trials {
            scope.spawn(move || reconnects(trial, times));
        }
    });
}

/// An event comes before every hundredth: it ends the poll that is held.
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
