//! Blocking work on a thread of its own.
//!
//! [`spawn_blocking`] keeps blocking calls, such as those on files, off the thread that polls. It
//! needs no async runtime, and keeps no pool of threads.

use std::{io, thread};

use futures_channel::oneshot;

/// Runs the work on a thread of its own, without a runtime, and returns its outcome.
///
/// The work begins when the future is first polled. If the future is dropped, the work still runs
/// to its end.
///
/// # Errors
///
/// Returns an error if the thread can't be started, or if the work panics.
pub(crate) async fn spawn_blocking<R: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> R + Send + 'static,
) -> io::Result<R> {
    let (sender, outcome) = oneshot::channel();
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            // This fails if the future was dropped.
            let _ = sender.send(work());
        })
        .map_err(|error| {
            let text = format!("the thread {name} can't be started: {error}");
            io::Error::new(error.kind(), text)
        })?;
    let panicked = || io::Error::other(format!("the thread {name} panicked"));
    outcome.await.map_err(|_| panicked())
}
