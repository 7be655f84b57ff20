//! The client against the emulator, over real sockets, by its public API.

#![cfg(feature = "reqwest")]

mod asleep;
mod calls;
#[path = "../clock/mod.rs"]
mod clock;
mod fake_box;
mod modes;
mod portals;
mod positions;
mod secrets;
mod streams;
mod tokens;
mod world;
