//! Work that blocks, away from whoever polls.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{io, thread};

use futures_channel::oneshot;

/// Why there is no outcome.
pub(crate) enum NoOutcome {
    /// The thread could not be started.
    NotStarted(io::Error),
    /// The work panicked.
    Panicked,
}

/// Runs the work on a thread of its own, on no runtime, and waits for its outcome.
///
/// The work begins when the future is first polled, and goes on to its end when the future is dropped.
pub(crate) async fn run<R: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, NoOutcome> {
    let (answer, outcome) = oneshot::channel();
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            // Nobody waits any more, where this fails.
            let _ = answer.send(catch_unwind(AssertUnwindSafe(work)));
        })
        .map_err(NoOutcome::NotStarted)?;
    match outcome.await {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(_)) | Err(oneshot::Canceled) => Err(NoOutcome::Panicked),
    }
}
