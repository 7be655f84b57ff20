//! The async streams: they run the engine with a transport and deliver events.
//!
//! [`EventStream`] delivers single events and [`BatchStream`] delivers pages. Both run on a
//! [`Driver`], which performs the engine's outputs; [`StreamMap`] polls the streams of many
//! accounts. The streams are plain futures without a task of their own: they make progress while
//! the program polls them. They do not store positions; [`subscription`](crate::subscription) does
//! that.

mod driver;
mod handle;
mod history;
mod map;
mod since;
mod traced;

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;
use std::vec;

use futures_core::Stream;

pub(crate) use self::driver::{Driver, Reached, Step};
pub use self::handle::StreamHandle;
pub use self::map::StreamMap;
use crate::api::Api;
use crate::batch::Batch;
use crate::error::Error;
use crate::event::Event;
use crate::position::StartAt;
use crate::status::Status;
use crate::telemetry::Statistics;
use crate::transport::HttpTransport;

/// The events of an account, one at a time.
/// [`LongPollClient::events`](crate::LongPollClient::events) returns a stream that goes on forever.
/// [`AdminLogsQuery`](crate::enterprise::AdminLogsQuery) returns one that ends with its range.
///
/// An event counts as handled when you request the next one. [`resume_at`](EventStream::resume_at)
/// returns the end of the last page whose events are all handled. Combinators that poll ahead
/// (`buffered`, `ready_chunks`, a channel in between) therefore mark events as handled before your
/// code has seen them. If that matters, handle each event before you request the next one.
///
/// The stream ends after an error, when its [`handle`](EventStream::handle) stops it, or at the end
/// of a query.
///
/// # Cancellation
///
/// The requests in flight belong to the stream. If you drop the future of
/// [`next`](EventStream::next), or wrap it in a timeout, they continue and nothing is lost.
/// Dropping the stream ends the requests.
#[must_use = "a stream does nothing until it is polled"]
pub struct EventStream<T: HttpTransport = Arc<dyn HttpTransport>> {
    batches: BatchStream<T>,
    page: vec::IntoIter<Event>,
}

impl<T: HttpTransport> EventStream<T> {
    pub(crate) fn new(batches: BatchStream<T>) -> Self {
        Self {
            batches,
            page: Vec::new().into_iter(),
        }
    }

    /// Returns the next event, or `None` once the stream has ended.
    ///
    /// # Errors
    ///
    /// The error that stops the stream, which is its last item; [`ErrorKind`](crate::ErrorKind)
    /// lists the possible kinds. The stream retries transient failures itself and shows them in the
    /// [status](EventStream::status).
    ///
    /// # Cancellation
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Result<Event, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Returns the position to resume from: the end of the last page whose events are all handled.
    ///
    /// For a start at `now`, it is [`StartAt::Now`] until Box has returned a position. For a start
    /// at `oldest`, it is [`StartAt::Oldest`] until the first page is handled. For a start at a
    /// [time](StartAt::Since), it is that time or a later one until the first page of live events
    /// is handled. Store it with `to_string` and read it back with `parse`.
    #[must_use]
    pub fn resume_at(&self) -> StartAt {
        self.batches.resume_at()
    }

    /// Returns a time: your program has handled every event that was created before it, if Box
    /// showed each of them within the [`event_delay`](crate::LongPollClientBuilder::event_delay).
    /// `None` until a page proves such a time. See [`StreamHandle::complete_until`].
    #[must_use]
    pub fn complete_until(&self) -> Option<SystemTime> {
        self.batches.complete_until()
    }

    /// Returns the current status of the stream.
    #[must_use]
    pub fn status(&self) -> Status {
        self.batches.status()
    }

    /// Returns the numbers of the stream since it was created, and the times that a health check
    /// needs.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.batches.statistics()
    }

    /// Returns a handle that watches and stops the stream from any task or thread.
    #[must_use]
    pub fn handle(&self) -> StreamHandle {
        self.batches.handle()
    }
}

impl<T: HttpTransport> Stream for EventStream<T> {
    type Item = Result<Event, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Polling for the next batch would mark this one as handled, and it is not.
        if self.batches.driver.telemetry.watch.is_stopped() && self.page.len() > 0 {
            self.batches.driver.cancel();
            return Poll::Ready(None);
        }
        loop {
            if let Some(event) = self.page.next() {
                return Poll::Ready(Some(Ok(event)));
            }
            // An idle stream frees the memory of its last page.
            self.page = Vec::new().into_iter();
            match ready!(Pin::new(&mut self.batches).poll_next(cx)) {
                Some(Ok(batch)) => self.page = batch.into_iter(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

/// The events of an account, page by page.
/// [`LongPollClient::batches`](crate::LongPollClient::batches) returns a stream that goes on
/// forever. [`AdminLogsQuery`](crate::enterprise::AdminLogsQuery) returns one that ends with its
/// range.
///
/// A batch counts as handled when you request the next one. Store [`Batch::resume_at`] once you
/// have handled a batch, before you request the next. Combinators that poll ahead mark a batch as
/// handled before your code has seen it.
///
/// The stream skips events that Box repeats. But a position does not say which events came before
/// it, so a new stream may deliver an event again that an earlier stream has delivered. Use the ids
/// of the events as keys, so that a second delivery changes nothing. Or use
/// [`subscribe`](crate::LongPollClient::subscribe), whose checkpoint carries the ids.
///
/// If your program starts at [`StartAt::Now`], fetch and store the current position first, as
/// below. Otherwise your program stores no position before the first batch. If it crashes before
/// that, the next run starts at a later `now`, and the events in between are lost.
///
/// ```no_run
/// # use box_longpoll::{HttpTransport, LongPollClient, StartAt};
/// # async fn follow<T: HttpTransport>(
/// #     client: LongPollClient<T>,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let start: StartAt = match std::fs::read_to_string("position") {
///     Ok(stored) => stored.trim().parse()?,
///     Err(_) => match client.fetch(StartAt::Now).await?.next_position {
///         Some(position) => {
///             std::fs::write("position", position.to_string())?;
///             position.into()
///         }
///         None => return Err("Box gave no position for now".into()),
///     },
/// };
/// let mut batches = client.batches(start);
/// while let Some(batch) = batches.next().await {
///     let batch = batch?;
///     for event in &batch {
///         println!("{}", event.raw());
///     }
///     std::fs::write("position", batch.resume_at().to_string())?;
/// }
/// # Ok(())
/// # }
/// ```
///
/// The stream ends after an error, when its [`handle`](BatchStream::handle) stops it, or at the end
/// of a query.
///
/// # Cancellation
///
/// The requests in flight belong to the stream. If you drop the future of
/// [`next`](BatchStream::next), or wrap it in a timeout, they continue and nothing is lost.
/// Dropping the stream ends the requests.
#[must_use = "a stream does nothing until it is polled"]
pub struct BatchStream<T: HttpTransport = Arc<dyn HttpTransport>> {
    driver: Driver<T>,
}

impl<T: HttpTransport> BatchStream<T> {
    pub(crate) fn new(client: Arc<Api<T>>, start: StartAt, seed: u64) -> Self {
        Self {
            driver: Driver::new(client, None, start, seed),
        }
    }

    /// Returns the next batch, which is never empty, or `None` once the stream has ended.
    ///
    /// # Errors
    ///
    /// The error that stops the stream, which is its last item; [`ErrorKind`](crate::ErrorKind)
    /// lists the possible kinds. The stream retries transient failures itself and shows them in the
    /// [status](BatchStream::status).
    ///
    /// # Cancellation
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Result<Batch, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Returns the position to resume from: the end of the last batch that is handled.
    ///
    /// For a start at `now`, it is [`StartAt::Now`] until Box has returned a position. For a start
    /// at `oldest`, it is [`StartAt::Oldest`] until the first page is handled. For a start at a
    /// [time](StartAt::Since), it is that time or a later one until the first page of live events
    /// is handled. Store it with `to_string` and read it back with `parse`.
    #[must_use]
    pub fn resume_at(&self) -> StartAt {
        self.driver.resume_at()
    }

    /// Returns a time: your program has handled every event that was created before it, if Box
    /// showed each of them within the [`event_delay`](crate::LongPollClientBuilder::event_delay).
    /// `None` until a page proves such a time. See [`StreamHandle::complete_until`].
    #[must_use]
    pub fn complete_until(&self) -> Option<SystemTime> {
        self.driver.complete_until()
    }

    /// Returns the current status of the stream.
    #[must_use]
    pub fn status(&self) -> Status {
        self.driver.telemetry.watch.status()
    }

    /// Returns the numbers of the stream since it was created, and the times that a health check
    /// needs.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.driver.telemetry.statistics()
    }

    /// Returns a handle that watches and stops the stream from any task or thread.
    #[must_use]
    pub fn handle(&self) -> StreamHandle {
        self.driver.handle()
    }
}

impl<T: HttpTransport> Stream for BatchStream<T> {
    type Item = Result<Batch, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.driver.poll_next(cx)
    }
}

impl<T: HttpTransport> fmt::Debug for EventStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("page", &self.page.len())
            .field("status", &self.status())
            .field("resume_at", &self.resume_at())
            .finish_non_exhaustive()
    }
}

impl<T: HttpTransport> fmt::Debug for BatchStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchStream")
            .field("status", &self.status())
            .field("resume_at", &self.resume_at())
            .finish_non_exhaustive()
    }
}
