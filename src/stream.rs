//! The async facade: drives the engine with a transport.

mod driver;
mod handle;
mod map;

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::vec;

use futures_core::Stream;

pub(crate) use self::driver::{Driver, Step};
pub use self::handle::StreamHandle;
pub use self::map::StreamMap;
use crate::api::Api;
use crate::batch::Batch;
use crate::error::Error;
use crate::event::Event;
use crate::position::StartAt;
use crate::protocol::LongPoll;
use crate::status::Status;
use crate::transport::HttpTransport;

/// The events of an account, one at a time, for ever. Made by [`LongPollClient::events`](crate::LongPollClient::events)
/// and, up to their end, by [`AdminLogsQuery`](crate::enterprise::AdminLogsQuery).
///
/// An event counts as handled when the next one is asked for; [`resume_at`](EventStream::resume_at) is the end of the last
/// page whose events are all handled. Combinators that poll ahead (`buffered`, `ready_chunks`, a channel in between)
/// therefore acknowledge events before your code has seen them: handle each before asking for the next where that
/// matters.
///
/// Ends after an error, when its [`handle`](EventStream::handle) stops it, and where a query does.
///
/// # Cancellation
///
/// The request under way lives in the stream: dropping the future of [`next`](EventStream::next), or a timeout around
/// it, keeps it going and loses nothing. Dropping the stream ends it.
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

    /// The next event. `None` once the stream has ended.
    ///
    /// # Errors
    ///
    /// One that the stream stops with; the kinds of [`ErrorKind`](crate::ErrorKind) say which those are. It is the last
    /// item. What may pass is retried, and shown in the [status](EventStream::status) meanwhile.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Result<Event, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
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

    /// A handle that watches and stops the stream, from anywhere.
    #[must_use]
    pub fn handle(&self) -> StreamHandle {
        self.batches.handle()
    }
}

impl<T: HttpTransport> Stream for EventStream<T> {
    type Item = Result<Event, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Asking for the next batch would say that this one is handled, and it is not.
        if self.batches.driver.watch.is_stopped() && self.page.len() > 0 {
            return Poll::Ready(None);
        }
        loop {
            if let Some(event) = self.page.next() {
                return Poll::Ready(Some(Ok(event)));
            }
            // An idle stream keeps no room for its last page.
            self.page = Vec::new().into_iter();
            match ready!(Pin::new(&mut self.batches).poll_next(cx)) {
                Some(Ok(batch)) => self.page = batch.into_iter(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

/// The events of an account by page, for ever. Made by [`LongPollClient::batches`](crate::LongPollClient::batches) and,
/// up to their end, by [`AdminLogsQuery`](crate::enterprise::AdminLogsQuery).
///
/// Asking for the next batch says that the one before is handled. Store [`Batch::resume_at`] once you have handled a
/// batch, before you ask for the next. Combinators that poll ahead acknowledge before your code has seen the batch.
///
/// The stream leaves out events that Box repeats, as long as it lives. A position does not say which events came before
/// it, so after a restart such a repeat comes again. Handle events by their ids, so that the second time changes nothing,
/// or follow with [`subscribe`](crate::LongPollClient::subscribe): a checkpoint carries the ids.
///
/// A program that starts at [`StartAt::Now`] resolves that first, and stores it: else it knows no position until
/// something happens, and a crash before that would lose what happened meanwhile.
///
/// ```no_run
/// # use box_longpoll::{HttpTransport, LongPollClient, StartAt};
/// # async fn follow<T: HttpTransport>(client: LongPollClient<T>) -> Result<(), Box<dyn std::error::Error>> {
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
/// Ends after an error, when its [`handle`](BatchStream::handle) stops it, and where a query does.
///
/// # Cancellation
///
/// The request under way lives in the stream: dropping the future of [`next`](BatchStream::next), or a timeout around
/// it, keeps it going and loses nothing. Dropping the stream ends it.
#[must_use = "a stream does nothing until it is polled"]
pub struct BatchStream<T: HttpTransport = Arc<dyn HttpTransport>> {
    driver: Driver<T>,
}

impl<T: HttpTransport> BatchStream<T> {
    pub(crate) fn new(client: Arc<Api<T>>, start: StartAt, seed: u64) -> Self {
        let now = client.transport().now();
        let engine = LongPoll::new(client.config.clone(), start, seed, now);
        Self {
            driver: Driver::new(client, engine),
        }
    }

    /// The next batch, which is never empty. `None` once the stream has ended.
    ///
    /// # Errors
    ///
    /// As [`EventStream::next`].
    ///
    /// # Cancellation
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Result<Batch, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Returns where to resume: the end of what is handled.
    ///
    /// It is [`StartAt::Now`] until a start at `now` is resolved, and [`StartAt::Oldest`] until the first page of such a start
    /// is handled. Store it with `to_string` and read it back with `parse`.
    #[must_use]
    pub fn resume_at(&self) -> StartAt {
        self.driver.engine.resume_at().clone()
    }

    /// What the stream is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        self.driver.watch.status()
    }

    /// A handle that watches and stops the stream, from anywhere.
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
