//! Tests of the grants that give tokens: refreshes, failures, keys, and credentials in files.
//!
//! Most tests use a virtual clock and a fake Box in memory, which [`world`] has. The others use
//! real sockets or processes.

#![cfg(all(feature = "blocking", feature = "jwt", feature = "reqwest"))]

#[path = "../backends/backend.rs"]
mod backend;
#[path = "../clock/mod.rs"]
mod clock;
#[cfg(unix)]
mod files;
mod grants;
mod jwt;
mod key_formats;
#[path = "../keys/mod.rs"]
mod keys;
mod lifetimes;
mod oauth;
#[cfg(unix)]
mod processes;
mod real_time;
mod reentry;
mod refreshes;
mod refusals;
mod sockets;
mod world;
