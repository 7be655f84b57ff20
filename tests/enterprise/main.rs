//! An enterprise's events: followed as they happen, and queried. By a clock that the tests move, over an emulator without a
//! network; `tests/backends/enterprise.rs` has the same over sockets.

#[path = "../clock/mod.rs"]
mod clock;
mod following;
mod queries;
mod restarts;
mod world;
