//! Tokens by Box's grants: months of them by a clock that the test moves, and what goes wrong with them.

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
mod refusals;
mod renewals;
mod sockets;
mod world;
