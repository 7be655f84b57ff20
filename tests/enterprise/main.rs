//! An enterprise's events: followed as they happen, and queried for a range of time.
//!
//! The tests run on a virtual clock, with an emulator without a network.
//! `tests/backends/enterprise.rs` has similar tests over sockets. Start at `world`.

mod audit;
#[path = "../clock/mod.rs"]
mod clock;
mod complete;
mod filters;
mod following;
mod history;
mod queries;
mod query_subscriptions;
mod restarts;
mod world;
