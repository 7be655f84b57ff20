//! Subscriptions and their checkpoints, from the outside: against the emulator, over real sockets.

mod acknowledging;
mod bindings;
#[cfg(feature = "blocking")]
mod blocking;
mod directories;
#[path = "../client/fake_box.rs"]
mod fake_box;
mod files;
#[cfg(target_os = "linux")]
mod full_disk;
mod gaps;
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
