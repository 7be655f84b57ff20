//! The iterator of the blocking client.
//!
//! An [`Iter`] runs an async stream on the client's thread, one page at a time. Between two pages,
//! the stream rests with the consumer: the requests in flight proceed on the client's thread, as
//! far as the transport works without being polled, and no others are sent. If a wait times out,
//! the page stays in flight, and the next call continues to wait for it. Start at
//! [`Iter::next_timeout`].

use std::iter::FusedIterator;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{fmt, mem, vec};

use futures_core::Stream;
use futures_util::StreamExt;

use crate::auth::TokenSource;
use crate::blocking::worker::{Task, Worker};
use crate::error::Error;
use crate::position::StartAt;
use crate::status::Status;
use crate::stream::StreamHandle;
use crate::telemetry::Statistics;

/// The outcome of waiting for an item for a limited time.
#[derive(Clone, Debug)]
#[must_use]
pub enum Timed<I> {
    /// The next item.
    Item(I),
    /// No item arrived in time. The request in flight continues: call again.
    Elapsed,
    /// The iterator has ended.
    Ended,
}

/// The events of an account: one at a time as `Iter<Event>`, page by page as `Iter<Batch>`, and
/// from a checkpoint as `Iter<Update<Delivery>>`. It goes on forever, unless it belongs to a query.
///
/// [`LongPollClient::events`](crate::blocking::LongPollClient::events),
/// [`batches`](crate::blocking::LongPollClient::batches),
/// [`subscribe`](crate::blocking::LongPollClient::subscribe),
/// [`subscribe_from`](crate::blocking::LongPollClient::subscribe_from) and
/// [`AdminLogsQuery`](crate::blocking::AdminLogsQuery) return one. It gives the guarantees of
/// [`EventStream`](crate::EventStream), [`BatchStream`](crate::BatchStream) or
/// [`Subscription`](crate::Subscription).
///
/// An event or a batch counts as handled when you request the next one. An adapter that reads ahead
/// (`peekable`, a channel in between) therefore marks events as handled before your code has seen
/// them. With a checkpoint, you acknowledge each [`Delivery`](crate::blocking::Delivery) instead.
///
/// An error is the last item; [`ErrorKind`](crate::ErrorKind) lists the possible kinds. The
/// iterator retries transient failures itself, and shows them in the [status](Self::status). A
/// [`handle`](Self::handle) stops it from another thread, at once.
///
/// # Cancellation
///
/// Dropping the iterator ends its requests in flight. With isahc, the connection of a poll stays
/// open until the poll would have ended.
///
/// After that, you can still acknowledge the batches that it has delivered. The store is released
/// when the iterator and its batches are dropped. If a request was in flight, the client's thread
/// releases it. A [`CheckpointFile`](crate::checkpoint::CheckpointFile) may therefore stay locked
/// for a moment.
#[must_use = "an iterator does nothing until you request an item"]
pub struct Iter<I> {
    worker: Arc<Worker>,
    handle: StreamHandle,
    tokens: Arc<dyn TokenSource>,
    state: State<I>,
    /// The items of the last page that were not requested yet.
    page: vec::IntoIter<I>,
}

type Pages<I> = Pin<Box<dyn Stream<Item = Result<Vec<I>, Error>> + Send>>;

/// The next page, and the stream for the pages after it.
type NextPage<I> = (Option<Result<Vec<I>, Error>>, Pages<I>);

/// The thread that has the stream.
enum State<I> {
    /// The consumer's thread has it, until the next page is requested.
    Idle(Pages<I>),
    /// The client's thread has it, and returns it with its next page.
    Running(Task<NextPage<I>>),
    /// The stream has ended.
    Done,
}

impl<I: Send + 'static> Iter<I> {
    pub(super) fn new(
        worker: Arc<Worker>,
        handle: StreamHandle,
        tokens: Arc<dyn TokenSource>,
        pages: impl Stream<Item = Result<Vec<I>, Error>> + Send + 'static,
    ) -> Self {
        Self {
            worker,
            handle,
            tokens,
            state: State::Idle(Box::pin(pages)),
            page: Vec::new().into_iter(),
        }
    }

    /// Returns the next item if one arrives within `timeout`. If none does, it returns
    /// [`Timed::Elapsed`], the request in flight continues, and nothing is lost.
    pub fn next_timeout(&mut self, timeout: Duration) -> Timed<Result<I, Error>> {
        // Requesting the next page would mark this one as handled, and it is not.
        if self.page.len() > 0 && self.handle.is_stopped() {
            self.state = State::Done;
            return Timed::Ended;
        }
        loop {
            if let Some(item) = self.page.next() {
                return Timed::Item(Ok(item));
            }
            // An idle iterator frees the memory of its last page.
            self.page = Vec::new().into_iter();
            match self.next_page(timeout) {
                Timed::Item(Ok(page)) => self.page = page.into_iter(),
                Timed::Item(Err(error)) => return Timed::Item(Err(error)),
                Timed::Elapsed => return Timed::Elapsed,
                Timed::Ended => return Timed::Ended,
            }
        }
    }

    fn next_page(&mut self, timeout: Duration) -> Timed<Result<Vec<I>, Error>> {
        let task = match mem::replace(&mut self.state, State::Done) {
            State::Done => return Timed::Ended,
            State::Running(task) => task,
            State::Idle(pages) => {
                if let Err(error) = self.worker.start() {
                    self.handle.fail(&error);
                    return Timed::Item(Err(error));
                }
                match self.worker.begin(pages.into_future()) {
                    Ok(task) => task,
                    Err(error) => return Timed::Item(Err(error)),
                }
            }
        };
        match task.wait_for(timeout) {
            None => {
                self.state = State::Running(task);
                Timed::Elapsed
            }
            // The page arrived after the last wait had timed out, and the stream was stopped before
            // this call.
            Some(Ok((Some(Ok(_)), _))) if self.handle.is_stopped() => Timed::Ended,
            Some(Ok((Some(page), pages))) => {
                self.state = State::Idle(pages);
                Timed::Item(page)
            }
            Some(Ok((None, _))) => Timed::Ended,
            Some(Err(error)) => Timed::Item(Err(error)),
        }
    }

    /// Returns the position to resume from: the end of the last page whose events are all handled.
    /// With a checkpoint, it is the end of what is acknowledged and saved.
    ///
    /// For a start at `now`, it is [`StartAt::Now`] until Box has returned a position. For a start
    /// at `oldest`, it is [`StartAt::Oldest`] until the first page is handled. For a start at a
    /// [time](StartAt::Since), it is that time or a later one until the first page of live events
    /// is handled. Store it with `to_string` and read it back with `parse`.
    #[must_use]
    pub fn resume_at(&self) -> StartAt {
        self.handle.resume_at()
    }

    /// Returns a time: your program has handled every event that was created before it, if Box
    /// showed each of them within the [`event_delay`](crate::LongPollClientBuilder::event_delay).
    /// `None` until a page proves such a time. With a checkpoint, the events before this time are
    /// acknowledged. See [`StreamHandle::complete_until`].
    #[must_use]
    pub fn complete_until(&self) -> Option<SystemTime> {
        self.handle.complete_until()
    }

    /// Returns the current status of the stream.
    #[must_use]
    pub fn status(&self) -> Status {
        self.handle.status()
    }

    /// Returns the numbers of the stream since it was created, and the times that a health check
    /// needs.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.handle.statistics()
    }

    /// Returns a handle that watches and stops the iterator from any thread.
    #[must_use]
    pub fn handle(&self) -> StreamHandle {
        self.handle.clone()
    }
}

impl<I: Send + 'static> Iterator for Iter<I> {
    type Item = Result<I, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        // No clock reaches this deadline, so the call never times out.
        match self.next_timeout(Duration::MAX) {
            Timed::Item(item) => Some(item),
            Timed::Elapsed | Timed::Ended => None,
        }
    }
}

impl<I: Send + 'static> FusedIterator for Iter<I> {}

/// Lets a token refresh in flight continue on the client's thread.
impl<I> Drop for Iter<I> {
    fn drop(&mut self) {
        let tokens = self.tokens.clone();
        self.worker.finish(async move { tokens.flush().await });
    }
}

impl<I> fmt::Debug for Iter<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter")
            .field("page", &self.page.len())
            .field("status", &self.handle.status())
            .field("resume_at", &self.handle.resume_at())
            .finish_non_exhaustive()
    }
}
