//! The operating system: locks, threads for work that blocks, and files that survive a crash.

pub(crate) mod atomic_file;
pub(crate) mod blocking_thread;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex whose state is valid at every moment, also where code of others panics under it.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
