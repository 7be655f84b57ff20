//! The async client against the emulator, over real sockets, by its public API.
//!
//! Start at `world`, which has the fake Box and the client of most tests.

#![cfg(feature = "reqwest")]

mod calls;
#[path = "../clock/mod.rs"]
mod clock;
mod complete;
mod fake_box;
mod modes;
mod portals;
mod positions;
mod secrets;
mod streams;
mod suspended;
mod tokens;
mod world;
