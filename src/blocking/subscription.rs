//! The blocking facade of subscriptions.

use std::fmt;
use std::iter::FusedIterator;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::batch::Batch;
use crate::blocking::pull::{Pull, Timed};
use crate::blocking::worker::Worker;
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::event::Event;
use crate::position::StartAt;
use crate::status::Status;
use crate::stream::StreamHandle;
use crate::subscription::{self, Update};
use crate::transport::HttpTransport;

/// The events of an account by page, for ever, from a checkpoint that moves as they are acknowledged. Made by
/// [`LongPollClient::subscribe`](crate::blocking::LongPollClient::subscribe).
///
/// It keeps the promises of [`crate::Subscription`]. The store is called on the client's thread.
///
/// Its errors are those that it stops with, each the last item. What may pass is retried, and shown in the
/// [status](Subscription::status) meanwhile. A [`handle`](Subscription::handle) stops it from another thread, at once.
///
/// # Cancellation
///
/// Dropping the iterator ends the request that an elapsed [`next_timeout`](Subscription::next_timeout) has left under way.
/// A batch that is out by then can still be acknowledged. The store is let go of with the last of them, on the client's
/// thread where something was under way: a [`CheckpointFile`](crate::checkpoint::CheckpointFile) may stay locked for a moment.
#[must_use = "an iterator does nothing until an item is asked for"]
pub struct Subscription<T: HttpTransport = Arc<dyn HttpTransport>> {
    pull: Pull<subscription::Subscription<T>>,
}

impl<T: HttpTransport> Subscription<T> {
    pub(crate) fn new(worker: Arc<Worker>, stream: subscription::Subscription<T>) -> Self {
        let handle = stream.handle();
        Self {
            pull: Pull::new(worker, handle, stream.tokens(), stream),
        }
    }

    /// The next batch, or the news that some may be missing, if it comes in time. Where nothing does, what is under way goes on
    /// and nothing is lost.
    pub fn next_timeout(&mut self, timeout: Duration) -> Timed<Result<Update<Delivery>, Error>> {
        self.advance(Some(timeout))
    }

    /// Returns where a restart resumes: the end of what is acknowledged and saved.
    ///
    /// It is [`StartAt::Now`] until a start at `now` is resolved and saved, and [`StartAt::Oldest`] until the first page of such
    /// a start is.
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

    fn advance(&mut self, timeout: Option<Duration>) -> Timed<Result<Update<Delivery>, Error>> {
        match self.pull.advance(timeout) {
            Timed::Item(Ok(Update::Batch(delivery))) => {
                let worker = self.pull.worker().clone();
                Timed::Item(Ok(Update::Batch(Delivery { delivery, worker })))
            }
            Timed::Item(Ok(Update::Started(start))) => Timed::Item(Ok(Update::Started(start))),
            Timed::Item(Ok(Update::Moved(progress))) => Timed::Item(Ok(Update::Moved(progress))),
            Timed::Item(Ok(Update::PossibleGap(gap))) => Timed::Item(Ok(Update::PossibleGap(gap))),
            Timed::Item(Err(error)) => Timed::Item(Err(error)),
            Timed::Elapsed => Timed::Elapsed,
            Timed::Ended => Timed::Ended,
        }
    }
}

impl<T: HttpTransport> Iterator for Subscription<T> {
    type Item = Result<Update<Delivery>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance(None).into_option()
    }
}

impl<T: HttpTransport> FusedIterator for Subscription<T> {}

impl<T: HttpTransport> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("status", &self.status())
            .field("resume_at", &self.resume_at())
            .finish_non_exhaustive()
    }
}

/// A batch that wants to be acknowledged. Never empty.
///
/// Dropping it without an acknowledgement ends the subscription: what comes after it could never be made durable.
#[must_use = "to drop a batch without an acknowledgement ends the subscription"]
pub struct Delivery {
    delivery: subscription::Delivery,
    worker: Arc<Worker>,
}

impl Delivery {
    /// Returns the checkpoint of a restart behind this batch; see [`crate::Delivery::checkpoint`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Checkpoint`](crate::ErrorKind::Checkpoint) if a batch before this one is not stored yet, or if the
    /// subscription has a store.
    pub fn checkpoint(&self) -> Result<Checkpoint, Error> {
        self.delivery.checkpoint()
    }

    /// Says that the program has stored the [checkpoint](Self::checkpoint); see [`crate::Delivery::stored`].
    pub fn stored(self) {
        self.delivery.stored();
    }

    /// Says that the events are handled: they won't come again. Blocks until that is durable, or, where a batch before this
    /// one is not acknowledged yet, until it is recorded; see [`crate::Delivery::ack`].
    ///
    /// # Errors
    ///
    /// As there, and [`ErrorKind::Runtime`](crate::ErrorKind::Runtime) where the client's thread can't be started: the batch
    /// counts as dropped then.
    pub fn ack(self) -> Result<(), Error> {
        let Self { delivery, worker } = self;
        worker.run(delivery.ack())?
    }
}

/// The events, and where to resume after them.
impl Deref for Delivery {
    type Target = Batch;

    fn deref(&self) -> &Batch {
        &self.delivery
    }
}

impl<'a> IntoIterator for &'a Delivery {
    type Item = &'a Event;
    type IntoIter = std::slice::Iter<'a, Event>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.delivery.fmt(f)
    }
}
