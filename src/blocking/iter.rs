//! The blocking client's iterator: each page is a call of a stream, on the client's thread.

use std::iter::FusedIterator;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, mem, vec};

use futures_core::Stream;
use futures_util::StreamExt;

use crate::auth::TokenSource;
use crate::blocking::worker::{Call, Worker};
use crate::error::Error;
use crate::position::StartAt;
use crate::status::Status;
use crate::stream::StreamHandle;

/// The outcome of waiting for an item for a limited time.
#[derive(Clone, Debug)]
#[must_use]
pub enum Timed<I> {
    /// The next item.
    Item(I),
    /// Nothing came in time. The request in flight goes on: call again.
    Elapsed,
    /// The iterator has ended.
    Ended,
}

/// The events of an account, for ever, or of a query up to its end: one at a time as `Iter<Event>`, by page as `Iter<Batch>`,
/// and from a checkpoint as `Iter<Update<Delivery>>`.
///
/// [`LongPollClient::events`](crate::blocking::LongPollClient::events), [`batches`](crate::blocking::LongPollClient::batches)
/// and [`subscribe`](crate::blocking::LongPollClient::subscribe) make one, and so do
/// [`subscribe_from`](crate::blocking::LongPollClient::subscribe_from) and
/// [`AdminLogsQuery`](crate::blocking::AdminLogsQuery). It keeps the promises of [`EventStream`](crate::EventStream),
/// [`BatchStream`](crate::BatchStream) or [`Subscription`](crate::Subscription).
///
/// An event or a batch counts as handled when you ask for the next one. An adapter that asks ahead (`peekable`, a channel in
/// between) therefore acknowledges events before your code has seen them. With a checkpoint, you acknowledge each
/// [`Delivery`](crate::blocking::Delivery) instead.
///
/// Its errors are those that it stops with, each the last item; the kinds of [`ErrorKind`](crate::ErrorKind) say which
/// those are. It retries the others itself, and shows them in the [status](Self::status) meanwhile. A
/// [`handle`](Self::handle) stops it from another thread, at once.
///
/// # Cancellation
///
/// Dropping the iterator ends the request that an elapsed [`next_timeout`](Self::next_timeout) has left in flight. With isahc
/// the request's connection stays open until the poll would have ended. A batch that is out by then can still be
/// acknowledged. The last of them lets go of the store, on the client's thread if something was in flight: a
/// [`CheckpointFile`](crate::checkpoint::CheckpointFile) may stay locked for a moment.
#[must_use = "an iterator does nothing until an item is asked for"]
pub struct Iter<I> {
    worker: Arc<Worker>,
    handle: StreamHandle,
    tokens: Arc<dyn TokenSource>,
    state: State<I>,
    /// The items of the last page that the consumer has not asked for yet.
    page: vec::IntoIter<I>,
}

type Pages<I> = Pin<Box<dyn Stream<Item = Result<Vec<I>, Error>> + Send>>;

/// The next page, and the stream for the ones after it.
type NextPage<I> = (Option<Result<Vec<I>, Error>>, Pages<I>);

/// Which thread has the stream.
enum State<I> {
    /// The consumer's, which has yet to ask.
    Idle(Pages<I>),
    /// The client's thread, which gives it back with its next page.
    Running(Call<NextPage<I>>),
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

    /// Returns the next item, if one comes in time. If none does, the request in flight goes on and nothing is lost.
    pub fn next_timeout(&mut self, timeout: Duration) -> Timed<Result<I, Error>> {
        // Asking for the next page would say that this one is handled, and it is not.
        if self.page.len() > 0 && self.handle.is_stopped() {
            return Timed::Ended;
        }
        loop {
            if let Some(item) = self.page.next() {
                return Timed::Item(Ok(item));
            }
            // An idle iterator keeps no room for its last page.
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
        let call = match mem::replace(&mut self.state, State::Done) {
            State::Done => return Timed::Ended,
            State::Running(call) => call,
            State::Idle(pages) => {
                if let Err(error) = self.worker.start() {
                    self.handle.fail(&error);
                    return Timed::Item(Err(error));
                }
                match self.worker.begin(pages.into_future()) {
                    Ok(call) => call,
                    Err(error) => return Timed::Item(Err(error)),
                }
            }
        };
        match call.wait_for(timeout) {
            None => {
                self.state = State::Running(call);
                Timed::Elapsed
            }
            // It came after the consumer had waited, and was told to stop before the consumer asked again.
            Some(Ok((Some(Ok(_)), _))) if self.handle.is_stopped() => Timed::Ended,
            Some(Ok((Some(page), pages))) => {
                self.state = State::Idle(pages);
                Timed::Item(page)
            }
            Some(Ok((None, _))) => Timed::Ended,
            Some(Err(error)) => Timed::Item(Err(error)),
        }
    }

    /// Returns where to resume: the end of the last page whose events are all handled, and with a checkpoint the end of what is
    /// acknowledged and saved.
    ///
    /// It is [`StartAt::Now`] until a start at `now` is resolved, and [`StartAt::Oldest`] until the first page of such a start
    /// is handled. Store it with `to_string` and read it back with `parse`.
    #[must_use]
    pub fn resume_at(&self) -> StartAt {
        self.handle.resume_at()
    }

    /// What the stream is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        self.handle.status()
    }

    /// A handle that watches and stops the iterator, from any thread.
    #[must_use]
    pub fn handle(&self) -> StreamHandle {
        self.handle.clone()
    }
}

impl<I: Send + 'static> Iterator for Iter<I> {
    type Item = Result<I, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        // No clock reaches that deadline, so the call never elapses.
        match self.next_timeout(Duration::MAX) {
            Timed::Item(item) => Some(item),
            Timed::Elapsed | Timed::Ended => None,
        }
    }
}

impl<I: Send + 'static> FusedIterator for Iter<I> {}

/// A refresh of the token that is in flight goes on, on the client's thread.
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
