//! [`Outlet`]: the sink of `follow`, the number of events that it still gets, and what happens
//! after an error.
//!
//! A sink does not retry. The outlet does, from the first event that was not written, and decides
//! by [`OnError`] how long. Events stay in order: the next event waits until the one before it was
//! written, or has gone to the dead letters.

mod attempts;
mod dead_letters;
mod on_error;

use std::fmt;
use std::time::Duration;

use box_longpoll::Event;
use box_longpoll::checkpoint::Checkpoint;
use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::sleep;

use self::attempts::Attempts;
pub(crate) use self::on_error::OnError;
use crate::report::with_causes;
use crate::sink::{Failure, Page, Sink, SinkError};

/// The way out of the program for events.
pub(crate) struct Outlet {
    sink: Box<dyn Sink>,
    /// The number of events that are still to be written. `None` if there is no limit.
    remaining: Option<u64>,
    on_error: OnError,
}

/// The part of a page that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// All events of the page.
    All,
    /// A part of the page, up to the number of events that `--count` says.
    Part,
}

/// A failure that is retried.
pub(crate) struct Retry {
    pub(crate) error: SinkError,
    /// The time of the next attempt.
    pub(crate) at: Timestamp,
}

impl fmt::Display for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "retrying the output: {}", with_causes(&self.error))
    }
}

impl Outlet {
    /// Creates an outlet. Fails if the file for dead letters can't be written.
    pub(crate) fn new(
        sink: Box<dyn Sink>,
        remaining: Option<u64>,
        on_error: OnError,
    ) -> Result<Self, SinkError> {
        if let OnError::DeadLetter(file) = &on_error {
            dead_letters::create(file)?;
        }
        Ok(Self {
            sink,
            remaining,
            on_error,
        })
    }

    /// Puts a sink around the one that there is.
    pub(crate) fn wrap(self, around: impl FnOnce(Box<dyn Sink>) -> Box<dyn Sink>) -> Self {
        Self {
            sink: around(self.sink),
            ..self
        }
    }

    /// Returns `true` if as many events were written as `--count` says.
    pub(crate) fn has_enough(&self) -> bool {
        self.remaining == Some(0)
    }

    /// Returns the checkpoint that the sink keeps beside the events: `Some(None)` if it keeps one,
    /// and has none yet.
    pub(crate) async fn checkpoint(&mut self) -> Result<Option<Option<Checkpoint>>, SinkError> {
        if self.sink.keeps_checkpoint() {
            self.sink.checkpoint().await.map(Some)
        } else {
            Ok(None)
        }
    }

    /// Returns `true` if [`reopen`](Self::reopen) has an effect.
    pub(crate) fn can_reopen(&self) -> bool {
        self.sink.has_files()
    }

    /// Opens the files of the sink again. If that fails, the next page tries it again, and the
    /// policy for errors applies.
    pub(crate) async fn reopen(&mut self) {
        self.sink.reopen().await;
    }

    /// Returns the time in which the sink writes this many events, if it limits the time.
    pub(crate) fn time_limit(&self, events: usize) -> Duration {
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        self.sink.time_limit().saturating_mul(events)
    }

    /// Writes the events of a page, or a part of them up to the limit. `checkpoint` is the one after
    /// the page, for a sink that keeps it. Failures that are retried go to `retries`.
    ///
    /// # Cancellation
    ///
    /// If you drop the future, a part of the events may have been written.
    pub(crate) async fn write(
        &mut self,
        events: &[Event],
        checkpoint: Option<&Checkpoint>,
        retries: &UnboundedSender<Retry>,
    ) -> Result<Written, SinkError> {
        let wanted = self.remaining.map_or(usize::MAX, |remaining| {
            usize::try_from(remaining).unwrap_or(usize::MAX)
        });
        let (events, written) = match events.get(..wanted) {
            Some(part) if part.len() < events.len() => (part, Written::Part),
            _ => (events, Written::All),
        };
        let checkpoint = checkpoint.filter(|_| written == Written::All);
        self.write_all(Page { events, checkpoint }, retries).await?;
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(events.len() as u64);
        }
        Ok(written)
    }

    /// Writes a page, and retries as often as the policy says.
    async fn write_all(
        &mut self,
        page: Page<'_>,
        retries: &UnboundedSender<Retry>,
    ) -> Result<(), SinkError> {
        let mut left = page.events;
        let mut attempts = Attempts::default();
        let mut at_once = usize::MAX;
        loop {
            let (part, rest) = left.split_at(left.len().min(at_once));
            let part = Page {
                events: part,
                checkpoint: page.checkpoint.filter(|_| rest.is_empty()),
            };
            let Err(mut error) = self.sink.write(part).await else {
                if rest.is_empty() {
                    return Ok(());
                }
                left = rest;
                attempts = Attempts::default();
                continue;
            };
            if error.written() > 0 {
                left = &left[error.written()..];
                attempts = Attempts::default();
            }
            let is_refused = error.kind() == Failure::Refused;
            match (&self.on_error, left) {
                _ if [Failure::ReaderLeft, Failure::Permanent].contains(&error.kind()) => {
                    return Err(error);
                }
                (OnError::Stop, _) => return Err(error),
                (OnError::Skip, [_, next @ ..]) => {
                    left = next;
                    continue;
                }
                (OnError::DeadLetter(file), [event, next @ ..]) if is_refused => {
                    // If a sink refuses several events at once, only one of them may be to blame.
                    at_once = 1;
                    if attempts.is_last_refusal() {
                        match dead_letters::add(file, event, &error).await {
                            Ok(()) => {
                                left = next;
                                attempts = Attempts::default();
                                continue;
                            }
                            Err(failed) => error = failed,
                        }
                    }
                }
                _ => {}
            }
            let pause = attempts.next_pause(error.pause());
            let at = Timestamp::now() + pause;
            // Nobody may be interested.
            let _ = retries.send(Retry { error, at });
            sleep(pause).await;
        }
    }
}
