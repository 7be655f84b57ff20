//! The log, the statistics and the metrics of streams, against the emulator.
//!
//! Each test has the log and the metrics of its own thread. Start at [`log::logged`].

#![cfg(feature = "reqwest")]

#[path = "../client/fake_box.rs"]
mod fake_box;
mod life;
mod log;
#[cfg(feature = "metrics")]
mod metrics;
mod statistics;
#[path = "../checkpoints/store.rs"]
#[expect(dead_code, reason = "these stores neither panic nor forget")]
mod store;
mod world;
