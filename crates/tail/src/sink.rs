//! [`Sink`]: a place for events, and the ways in which it can fail.
//!
//! A sink writes a page, and returns when the events are as safe as it promises. It does not retry,
//! and moves no position: the [`Outlet`](crate::output::Outlet) decides what follows from an error,
//! and the position moves after the outlet has written the page. The README's table says what each
//! sink guarantees.

mod exec;
mod jsonl;
mod local_file;
mod sqlite;
mod stdout;
mod webhook;

use std::error::Error;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::Event;
use box_longpoll::checkpoint::Checkpoint;

pub(crate) use self::exec::Exec;
pub(crate) use self::jsonl::{Encoding, JsonLines, Rotation};
pub(crate) use self::sqlite::Sqlite;
pub(crate) use self::stdout::{Stdout, print};
pub(crate) use self::webhook::{Endpoint, SigningSecrets, Webhook};

/// A place for events.
#[async_trait]
pub(crate) trait Sink: Send {
    /// Writes the events of a page, in order.
    ///
    /// # Cancellation
    ///
    /// The future is dropped when the program is told to end. Events may then be written whose
    /// position is not, and are written once more in the next run.
    async fn write(&mut self, page: Page<'_>) -> Result<(), SinkError>;

    /// Returns `true` if the sink keeps the checkpoint beside the events, in one transaction.
    fn keeps_checkpoint(&self) -> bool {
        false
    }

    /// Returns the checkpoint that the sink keeps, or `None` if it has none yet.
    async fn checkpoint(&mut self) -> Result<Option<Checkpoint>, SinkError> {
        Ok(None)
    }

    /// Returns the longest time that the sink gives an event. Zero if it sets no limit.
    fn time_limit(&self) -> Duration {
        Duration::ZERO
    }

    /// Returns `true` if the sink has files, which another program may move away.
    fn has_files(&self) -> bool {
        false
    }

    /// Opens the files again. If that fails, the next page tries it again, and reports the error.
    async fn reopen(&mut self) {}
}

/// The events to write, and the checkpoint after them.
#[derive(Clone, Copy)]
pub(crate) struct Page<'a> {
    /// There may be none, if only the checkpoint has moved.
    pub(crate) events: &'a [Event],
    /// The checkpoint after these events, for a sink that keeps it. `None` if there is more of the
    /// page that is not to be written.
    pub(crate) checkpoint: Option<&'a Checkpoint>,
}

/// The reason why a sink has not written all events of a page.
#[derive(Debug)]
pub(crate) struct SinkError {
    kind: Failure,
    written: usize,
    retry_after: Option<Duration>,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The meaning of a failure for the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The sink can't be used now. It may work later.
    Unavailable,
    /// The receiver refuses the event.
    Refused,
    /// Nobody reads the output any more.
    ReaderLeft,
    /// No event can be written any more, now or later.
    Permanent,
}

impl SinkError {
    /// Creates an error. The first `written` events of the page were written.
    pub(crate) fn new(kind: Failure, written: usize, message: impl Into<String>) -> Self {
        Self {
            kind,
            written,
            retry_after: None,
            message: message.into(),
            source: None,
        }
    }

    /// Adds the error that caused this one.
    pub(crate) fn because(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            source: Some(source.into()),
            ..self
        }
    }

    /// Adds the time for which the receiver wants to get nothing.
    pub(crate) fn retry_after(self, retry_after: Option<Duration>) -> Self {
        Self {
            retry_after,
            ..self
        }
    }

    /// Returns the shortest pause before the next attempt, if the receiver named one.
    pub(crate) fn pause(&self) -> Option<Duration> {
        self.retry_after
    }

    pub(crate) fn kind(&self) -> Failure {
        self.kind
    }

    /// Returns the number of events at the start of the page that were written.
    pub(crate) fn written(&self) -> usize {
        self.written
    }
}

impl fmt::Display for SinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for SinkError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}
