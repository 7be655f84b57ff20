//! The operating system: threads for work that blocks, and files that survive a crash.

pub(crate) mod atomic_file;
pub(crate) mod blocking_thread;
