//! [`Outlet`]: the sink of `follow`, the number of events that it still gets, and what happens
//! after an error.

use box_longpoll::Event;
use box_longpoll::checkpoint::Checkpoint;

use crate::sink::{Page, Sink, SinkError};

/// The way out of the program for events.
pub(crate) struct Outlet {
    sink: Box<dyn Sink>,
    /// The number of events that are still to be written. `None` if there is no limit.
    remaining: Option<u64>,
}

/// The part of a page that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// All events of the page.
    All,
    /// A part of the page, up to the number of events that `--count` says.
    Part,
}

impl Outlet {
    pub(crate) fn new(sink: Box<dyn Sink>, remaining: Option<u64>) -> Self {
        Self { sink, remaining }
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

    /// Opens the files of the sink again.
    pub(crate) async fn reopen(&mut self) -> Result<(), SinkError> {
        self.sink.reopen().await
    }

    /// Writes the events of a page, or a part of them up to the limit. `checkpoint` is the one after
    /// the page, for a sink that keeps it.
    pub(crate) async fn write(
        &mut self,
        events: &[Event],
        checkpoint: Option<&Checkpoint>,
    ) -> Result<Written, SinkError> {
        let wanted = self.remaining.map_or(usize::MAX, |remaining| {
            usize::try_from(remaining).unwrap_or(usize::MAX)
        });
        let (events, written) = match events.get(..wanted) {
            Some(part) if part.len() < events.len() => (part, Written::Part),
            _ => (events, Written::All),
        };
        let checkpoint = checkpoint.filter(|_| written == Written::All);
        self.sink.write(Page { events, checkpoint }).await?;
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(events.len() as u64);
        }
        Ok(written)
    }
}
