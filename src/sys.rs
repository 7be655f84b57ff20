//! The operating system: locks, threads for blocking work, and files that survive a crash.
//!
//! [`atomic_file`] writes files, and [`blocking_thread`] keeps blocking calls off the executor.
//! Neither knows about Box. Sockets and timers belong to the transports, not to this module.

pub(crate) mod atomic_file;
pub(crate) mod blocking_thread;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex whose state is valid at every moment, even if a caller's code panicked while it
/// held the lock.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
