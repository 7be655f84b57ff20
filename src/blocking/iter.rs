//! The blocking facade's iterators: each turn is a call of the stream, on the client's thread.

use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;
use std::time::Duration;
use std::vec;

use crate::batch::Batch;
use crate::blocking::pull::{Pull, Timed};
use crate::blocking::worker::Worker;
use crate::error::Error;
use crate::event::Event;
use crate::position::StartAt;
use crate::status::Status;
use crate::stream::BatchStream;
use crate::stream::StreamHandle;
use crate::transport::HttpTransport;

/// The events of an account, one at a time, for ever. Made by
/// [`LongPollClient::events`](crate::blocking::LongPollClient::events)
/// and, up to their end, by
/// [`AdminLogsQuery`](crate::blocking::AdminLogsQuery).
///
/// An event counts as handled when the next one is asked for; [`resume_at`](EventIter::resume_at) is the end of the last
/// page whose events are all handled. What asks ahead (`peekable`, a channel in between) therefore acknowledges events
/// before your code has seen them.
///
/// Its errors are those that it stops with, each the last item; the kinds of [`ErrorKind`](crate::ErrorKind) say which
/// those are. What may pass is retried, and shown in the [status](EventIter::status) meanwhile. A
/// [`handle`](EventIter::handle) stops it from another thread, at once.
///
/// # Cancellation
///
/// Dropping the iterator ends the request that an elapsed [`next_timeout`](EventIter::next_timeout) has left under way.
/// With isahc the request's connection stays open until the poll would have ended.
#[must_use = "an iterator does nothing until an item is asked for"]
pub struct EventIter<T: HttpTransport = Arc<dyn HttpTransport>> {
    batches: BatchIter<T>,
    page: vec::IntoIter<Event>,
}

impl<T: HttpTransport> EventIter<T> {
    pub(crate) fn new(batches: BatchIter<T>) -> Self {
        Self {
            batches,
            page: Vec::new().into_iter(),
        }
    }

    /// The next event, if one comes in time. Where none does, what is under way goes on and nothing is lost.
    pub fn next_timeout(&mut self, timeout: Duration) -> Timed<Result<Event, Error>> {
        self.advance(Some(timeout))
    }

    /// Returns where to resume: the end of the last page whose events are all handled.
    ///
    /// It is [`StartAt::Now`] until a start at `now` is resolved, and [`StartAt::Oldest`] until the first page of such a start
    /// is handled. Store it with `to_string` and read it back with `parse`.
    #[must_use]
    pub fn resume_at(&self) -> StartAt {
        self.batches.resume_at()
    }

    /// What the stream is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        self.batches.status()
    }

    /// A handle that watches and stops the iterator, from any thread.
    #[must_use]
    pub fn handle(&self) -> StreamHandle {
        self.batches.handle()
    }

    fn advance(&mut self, timeout: Option<Duration>) -> Timed<Result<Event, Error>> {
        // Asking for the next batch would say that this one is handled, and it is not.
        if self.batches.pull.handle().is_stopped() && self.page.len() > 0 {
            return Timed::Ended;
        }
        loop {
            if let Some(event) = self.page.next() {
                return Timed::Item(Ok(event));
            }
            self.page = Vec::new().into_iter();
            match self.batches.pull.advance(timeout) {
                Timed::Item(Ok(batch)) => self.page = batch.into_iter(),
                Timed::Item(Err(error)) => return Timed::Item(Err(error)),
                Timed::Elapsed => return Timed::Elapsed,
                Timed::Ended => return Timed::Ended,
            }
        }
    }
}

impl<T: HttpTransport> Iterator for EventIter<T> {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance(None).into_option()
    }
}

impl<T: HttpTransport> FusedIterator for EventIter<T> {}

/// The events of an account by page, for ever. Made by
/// [`LongPollClient::batches`](crate::blocking::LongPollClient::batches)
/// and, up to their end, by
/// [`AdminLogsQuery`](crate::blocking::AdminLogsQuery).
///
/// Asking for the next batch says that the one before is handled; what asks ahead acknowledges batches before your code has
/// seen them. Store [`Batch::resume_at`] once you have handled a
/// batch, before you ask for the next; [`BatchStream`] shows how such a program starts. Errors, handle and cancellation are
/// as of [`EventIter`].
#[must_use = "an iterator does nothing until an item is asked for"]
pub struct BatchIter<T: HttpTransport = Arc<dyn HttpTransport>> {
    pull: Pull<BatchStream<T>>,
}

impl<T: HttpTransport> BatchIter<T> {
    pub(crate) fn new(worker: Arc<Worker>, stream: BatchStream<T>) -> Self {
        let handle = stream.handle();
        Self {
            pull: Pull::new(worker, handle, stream.tokens(), stream),
        }
    }

    /// The next batch, if one comes in time. Where none does, what is under way goes on and nothing is lost.
    pub fn next_timeout(&mut self, timeout: Duration) -> Timed<Result<Batch, Error>> {
        self.pull.advance(Some(timeout))
    }

    /// Returns where to resume: the end of what is handled.
    ///
    /// It is [`StartAt::Now`] until a start at `now` is resolved, and [`StartAt::Oldest`] until the first page of such a start
    /// is handled. Store it with `to_string` and read it back with `parse`.
    #[must_use]
    pub fn resume_at(&self) -> StartAt {
        self.pull.handle().resume_at()
    }

    /// What the stream is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        self.pull.handle().status()
    }

    /// A handle that watches and stops the iterator, from any thread.
    #[must_use]
    pub fn handle(&self) -> StreamHandle {
        self.pull.handle().clone()
    }
}

impl<T: HttpTransport> Iterator for BatchIter<T> {
    type Item = Result<Batch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.pull.advance(None).into_option()
    }
}

impl<T: HttpTransport> FusedIterator for BatchIter<T> {}

impl<T: HttpTransport> fmt::Debug for EventIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventIter")
            .field("page", &self.page.len())
            .field("status", &self.status())
            .field("resume_at", &self.resume_at())
            .finish_non_exhaustive()
    }
}

impl<T: HttpTransport> fmt::Debug for BatchIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchIter")
            .field("status", &self.status())
            .field("resume_at", &self.resume_at())
            .finish_non_exhaustive()
    }
}
