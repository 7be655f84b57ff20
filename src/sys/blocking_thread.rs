//! Work that blocks, away from whoever polls.

use std::{io, thread};

use futures_channel::oneshot;

/// Runs the work on a thread of its own, on no runtime, and waits for its outcome.
///
/// The work begins when the future is first polled, and goes on to its end when the future is dropped.
///
/// # Errors
///
/// The thread can't be started, or the work panicked.
pub(crate) async fn run<R: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> R + Send + 'static,
) -> io::Result<R> {
    let (answer, outcome) = oneshot::channel();
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            // Nobody waits any more, where this fails.
            let _ = answer.send(work());
        })
        .map_err(|error| {
            let text = format!("the thread {name} can't be started: {error}");
            io::Error::new(error.kind(), text)
        })?;
    let panicked = || io::Error::other(format!("the thread {name} panicked"));
    outcome.await.map_err(|_| panicked())
}
