//! Tests of subscriptions and their checkpoints through the public API.
//!
//! The client follows the emulator over real sockets. [`world`] has the clients, the subscriptions
//! and the helpers that the tests share, and [`store`] has a store that fails on demand.

mod acknowledging;
mod bindings;
#[cfg(feature = "blocking")]
mod blocking;
mod complete;
mod directories;
#[path = "../client/fake_box.rs"]
mod fake_box;
mod files;
mod filters;
#[cfg(target_os = "linux")]
mod full_disk;
mod gaps;
mod history_ids;
mod long_wait;
mod own_transactions;
mod restarts;
mod saving;
mod starting;
mod store;
mod subjects;
mod troubles;
mod waking;
mod world;
