//! The client against the emulator, over real sockets, by its public API.

#![cfg(feature = "reqwest")]

mod asleep;
mod calls;
mod fake_box;
mod modes;
mod prepared;
mod secrets;
mod streams;
mod tokens;
mod world;
