//! Subscriptions: streams that resume from a checkpoint, with batches that you acknowledge.
//!
//! A plain stream loses its place when the program crashes. A [`Subscription`] delivers each batch
//! as a [`Delivery`], and moves its checkpoint past a batch once that batch and all before it are
//! acknowledged. The [`Ledger`] records what is delivered, acknowledged and durable; the
//! [`CheckpointWriter`] saves it. With [`subscribe_from`](crate::LongPollClient::subscribe_from),
//! the program saves the checkpoint instead. This module does not know how a store keeps a
//! checkpoint: see [`checkpoint`](crate::checkpoint).

mod ack_queue;
mod delivery;
mod ledger;
mod long_wait;
mod progress;
mod writer;

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime};

use futures_core::Stream;

pub use self::delivery::{Delivery, PossibleGap, Update};
use self::ledger::{Ledger, Load, not_saved};
use self::long_wait::LongWait;
pub use self::progress::Progress;
use self::writer::CheckpointWriter;
use crate::api::Api;
use crate::batch::Batch;
use crate::checkpoint::{Checkpoint, CheckpointStore, ResumeFrom};
use crate::error::Error;
use crate::position::StartAt;
use crate::status::Status;
use crate::stream::{Driver, Step, StreamHandle};
use crate::telemetry::Statistics;
use crate::transport::HttpTransport;

/// The events of an account, page by page and forever, from a checkpoint that moves as you
/// acknowledge them. Returned by [`LongPollClient::subscribe`](crate::LongPollClient::subscribe)
/// and [`subscribe_from`](crate::LongPollClient::subscribe_from). A subscription to a
/// [query](crate::enterprise::AdminLogsQuery::subscribe) ends once everything is delivered,
/// acknowledged and saved.
///
/// - A batch that is not [acknowledged](Delivery::ack) is delivered again after a restart, and so
///   are all batches after it. You may acknowledge batches in any order and from any task. With
///   [`subscribe_from`](crate::LongPollClient::subscribe_from), you [store](Delivery::stored) them
///   in order instead.
/// - At most [`max_unacknowledged`](crate::LongPollClientBuilder::max_unacknowledged) batches are
///   delivered but not durable. When there are that many, the stream waits, and its
///   [status](Subscription::status) is [`Status::AwaitingAcks`], or [`Status::NotSaving`] if the
///   store fails. A program that collects more batches than that before it acknowledges one waits
///   forever. Once a wait for acknowledgements has lasted 60 s, a warning is logged.
/// - A batch that is dropped without an acknowledgement ends the stream with
///   [`ErrorKind::Unacknowledged`](crate::ErrorKind::Unacknowledged). Acknowledgements of the
///   batches before it still count.
/// - A page without new events only moves the position. It needs no acknowledgement from you, and
///   is saved in order while the subscription is polled or a batch is acknowledged. This can happen
///   while your code handles the next batch. A call of
///   [`save`](crate::checkpoint::CheckpointStore::save) therefore says nothing about the batch in
///   your hands. Write the effects of a batch before you acknowledge it, and not in the store's
///   `save`.
///
/// Combinators that poll ahead are safe here, because they acknowledge nothing. The stream ends
/// after an error, or when its [`handle`](Subscription::handle) stops it. After that, you can still
/// acknowledge the batches that it has delivered.
///
/// # Cancellation
///
/// The requests in flight belong to the stream, and so does the write of a checkpoint. If you drop
/// the future of [`next`](Subscription::next), or wrap it in a timeout, they continue and nothing
/// is lost. Dropping the stream ends the requests.
#[must_use = "a stream does nothing until it is polled"]
pub struct Subscription<T: HttpTransport = Arc<dyn HttpTransport>> {
    driver: Driver<T>,
    ledger: Arc<Ledger>,
    writer: CheckpointWriter,
    long_wait: LongWait,
    start: Start,
    /// The time at which the program last stored its progress, or could have.
    last_progress_at: Option<Instant>,
    /// The `since` of the gap that was reported last.
    gap_since: Option<SystemTime>,
    /// Events that Box sent with the position of `now`, where it should send none.
    batch_at_now: Option<Batch>,
    /// `true` once everything of a query was delivered.
    is_complete: bool,
}

/// The progress of a subscription's start.
enum Start {
    /// The checkpoint is being loaded.
    Loading(Load),
    /// The start at `now` has no position yet.
    Resolving,
    /// The position is known, but a restart would not begin there yet.
    Saving,
    /// [`Update::Started`] is delivered, and the program has yet to store its checkpoint.
    Unstored,
    /// The start is durable.
    Done,
}

/// The shortest time between two [`Update::Moved`]. Box keeps events for at least 14 days, so a
/// position that is an hour old is recent enough for a restart.
const MOVED_INTERVAL: Duration = Duration::from_secs(60 * 60);

impl<T: HttpTransport> Subscription<T> {
    /// Creates a subscription that loads its checkpoint from the store when it is first polled.
    pub(crate) fn with_store(
        client: Arc<Api<T>>,
        store: Arc<dyn CheckpointStore>,
        account: String,
        start: StartAt,
        seed: u64,
    ) -> Self {
        Self::new(client, Some(store), account, start.into(), seed)
    }

    /// Creates a subscription whose checkpoints the program stores.
    pub(crate) fn without_store(client: Arc<Api<T>>, from: ResumeFrom, seed: u64) -> Self {
        let account = match &from {
            ResumeFrom::Start(_) => String::new(),
            ResumeFrom::Checkpoint(checkpoint) => checkpoint.account().to_owned(),
        };
        Self::new(client, None, account, from, seed)
    }

    fn new(
        client: Arc<Api<T>>,
        store: Option<Arc<dyn CheckpointStore>>,
        account: String,
        from: ResumeFrom,
        seed: u64,
    ) -> Self {
        let (start, given) = match from {
            ResumeFrom::Start(start) => (start, None),
            ResumeFrom::Checkpoint(checkpoint) => (checkpoint.resume_at(), Some(*checkpoint)),
        };
        let key = (!account.is_empty()).then_some(&*account);
        let driver = Driver::new(client, key, start, seed);
        let ledger = Arc::new(Ledger::new(
            store,
            account,
            &driver.client,
            driver.telemetry.clone(),
            driver.reached(),
            driver.window().clone(),
        ));
        let subscription = Self {
            start: Start::Loading(ledger.load(given)),
            writer: CheckpointWriter::new(driver.client.config.retry, seed),
            driver,
            ledger,
            long_wait: LongWait::default(),
            last_progress_at: None,
            gap_since: None,
            batch_at_now: None,
            is_complete: false,
        };
        subscription.publish();
        subscription
    }

    /// Continues the start. Returns `None` when it is complete, or while Box has to resolve `now`.
    fn poll_start(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Update>, Error>> {
        loop {
            match &mut self.start {
                Start::Loading(load) => {
                    if let Some(checkpoint) = ready!(Pin::new(load).poll(cx))? {
                        self.resume(&checkpoint)?;
                    }
                    self.driver.telemetry.started();
                    self.start = Start::Resolving;
                }
                Start::Resolving if *self.driver.engine.resume_at() == StartAt::Now => {
                    return Poll::Ready(Ok(None));
                }
                Start::Resolving => self.start = Start::Saving,
                Start::Saving if self.ledger.saves() => {
                    self.writer.poll(&self.ledger, &self.driver.client, cx)?;
                    if !self.ledger.start_is_durable() {
                        return Poll::Pending;
                    }
                    self.start = Start::Done;
                    return Poll::Ready(Ok(Some(Update::Started(self.progress()))));
                }
                Start::Saving => {
                    self.start = Start::Unstored;
                    return Poll::Ready(Ok(Some(Update::Started(self.progress()))));
                }
                Start::Unstored if self.ledger.start_is_durable() => {
                    self.last_progress_at = Some(self.driver.client.transport().now().monotonic);
                    self.start = Start::Done;
                }
                Start::Unstored => {
                    self.long_wait.poll(&self.ledger, &self.driver.client, cx)?;
                    return Poll::Pending;
                }
                Start::Done => return Poll::Ready(Ok(None)),
            }
        }
    }

    /// Resumes the engine and the ledger from a checkpoint.
    fn resume(&mut self, checkpoint: &Checkpoint) -> Result<(), Error> {
        self.driver.resume(checkpoint);
        let window = self.driver.window().clone();
        self.ledger
            .resume(checkpoint, self.driver.reached(), window)
    }

    /// Returns the current end of what is acknowledged, as an item.
    fn progress(&self) -> Progress {
        let now = self.driver.client.transport().now();
        Progress::new(self.ledger.clone(), self.ledger.end(now.wall))
    }

    /// Returns the progress to store if it is due: the position has moved without events, the
    /// program stores checkpoints itself, and an hour has passed.
    fn moved(&mut self) -> Option<Progress> {
        let now = self.driver.client.transport().now().monotonic;
        let is_due = now.saturating_duration_since(self.last_progress_at?) >= MOVED_INTERVAL;
        if !is_due || !self.ledger.has_moved() {
            return None;
        }
        self.last_progress_at = Some(now);
        Some(self.progress())
    }

    /// Returns the next [`Update`]: the start, a batch, a moved position, or a report that events
    /// may be missing. Returns `None` once the stream has ended.
    ///
    /// # Errors
    ///
    /// The error that stops the stream, which is its last item; [`ErrorKind`](crate::ErrorKind)
    /// lists the possible kinds. The stream retries transient failures itself, such as a store that
    /// can't save, and shows them in the [status](Subscription::status). A store that can't load
    /// ends the subscription: subscribe again.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Result<Update, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Returns the position from which a restart resumes: the end of what is acknowledged and
    /// saved.
    ///
    /// For a start at `now`, it is [`StartAt::Now`] until Box has returned a position and that is
    /// saved. For a start at `oldest`, it is [`StartAt::Oldest`] until the first page is
    /// acknowledged and saved. For a start at a [time](StartAt::Since), it is that time or a later
    /// one until the first page of live events is acknowledged and saved.
    #[must_use]
    pub fn resume_at(&self) -> StartAt {
        self.driver.telemetry.watch.resume_at()
    }

    /// Returns a time: every event that was created before it is acknowledged, if Box showed each
    /// of them within the [`event_delay`](crate::LongPollClientBuilder::event_delay). `None` until
    /// a page proves such a time. The acknowledgements may not be durable yet. See
    /// [`StreamHandle::complete_until`].
    #[must_use]
    pub fn complete_until(&self) -> Option<SystemTime> {
        self.driver.telemetry.watch.complete_until()
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

    /// Returns a handle that watches and stops the stream from any task or thread. Its position is
    /// that of [`resume_at`](Self::resume_at).
    #[must_use]
    pub fn handle(&self) -> StreamHandle {
        self.driver.handle()
    }

    /// Returns the next item. Each pass of the loop goes through the stages in order: dropped
    /// batches, the start, the writer, due reports, back pressure, and then the driver.
    fn poll_update(&mut self, cx: &mut Context<'_>) -> Poll<Result<Update, Error>> {
        loop {
            self.ledger.check_dropped()?;
            // The order matters. The ledger must know a batch before the engine moves past it.
            self.driver.confirm_handled();
            self.advance();
            if let Some(update) = ready!(self.poll_start(cx))? {
                return Poll::Ready(Ok(update));
            }
            self.writer.poll(&self.ledger, &self.driver.client, cx)?;
            if let Some(progress) = self.moved() {
                return Poll::Ready(Ok(Update::Moved(progress)));
            }
            if let Some(gap) = self.gap() {
                return Poll::Ready(Ok(Update::PossibleGap(gap)));
            }
            self.poll_long_wait(cx)?;
            if self.is_complete && self.ledger.is_durable() {
                self.driver.end(None);
            }
            if self.is_full() || self.is_complete {
                return Poll::Pending;
            }
            if let Some(batch) = self.batch_at_now.take() {
                return Poll::Ready(Ok(self.deliver(batch)));
            }
            match ready!(self.driver.poll_step(cx)) {
                Step::Moved => {}
                Step::Deliver(batch) if matches!(self.start, Start::Resolving) => {
                    self.batch_at_now = Some(batch);
                }
                Step::Deliver(batch) => return Poll::Ready(Ok(self.deliver(batch))),
                Step::Stop(error) => return Poll::Ready(Err(error)),
                Step::Ended => self.is_complete = true,
            }
            self.publish();
        }
    }

    fn deliver(&self, batch: Batch) -> Update {
        let now = self.driver.client.transport().now();
        let span = self.driver.note_delivery(&batch);
        let number = self.ledger.deliver(&batch, now.wall);
        Update::Batch(Delivery::new(batch, self.ledger.clone(), number, span))
    }

    /// Returns `true` if the stream goes on only after an acknowledgement.
    fn awaits_acks(&self) -> bool {
        let ends = self.is_complete && self.ledger.not_durable() > 0;
        self.is_full() || ends || matches!(self.start, Start::Unstored)
    }

    /// Returns `true` if no more batches may be delivered.
    fn is_full(&self) -> bool {
        self.ledger.not_durable() >= self.driver.client.config.max_unacknowledged
    }

    /// Logs one warning if the stream has waited for acknowledgements for a long time. A failing
    /// store logs warnings of its own.
    fn poll_long_wait(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        if self.is_full() && self.writer.retries_at().is_none() {
            return self.long_wait.poll(&self.ledger, &self.driver.client, cx);
        }
        self.long_wait = LongWait::default();
        Ok(())
    }

    fn advance(&self) {
        self.ledger.advance(self.driver.reached());
    }

    /// Returns the gap in which Box may have dropped events before they were fetched. A gap is
    /// reported once. It is reported again if pages have arrived since, and then none for as long
    /// as Box keeps events.
    fn gap(&mut self) -> Option<PossibleGap> {
        let (since, retention) = self.driver.gap(self.gap_since.is_some())?;
        if self.gap_since == Some(since) {
            return None;
        }
        self.gap_since = Some(since);
        Some(PossibleGap { since, retention })
    }

    /// Publishes the status to the handles. The ledger publishes the position.
    fn publish(&self) {
        let failure = self.ledger.failure().zip(self.writer.retries_at());
        let status = match failure {
            _ if matches!(self.start, Start::Loading(_)) => Status::LoadingCheckpoint,
            Some((error, until)) => Status::NotSaving {
                because: not_saved(error),
                until,
                batches: self.ledger.not_durable(),
            },
            None if self.awaits_acks() => Status::AwaitingAcks {
                batches: self.ledger.not_durable(),
            },
            None => match self.driver.status() {
                // The end is shown once it is due: after all acknowledgements, or with its error.
                Status::Stopped { .. } => return,
                status => status,
            },
        };
        self.driver.telemetry.show(status, &self.driver.health());
    }
}

impl<T: HttpTransport> Stream for Subscription<T> {
    type Item = Result<Update, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let _span = self.driver.telemetry.enter();
        if self.driver.poll_stopped(cx) {
            return Poll::Ready(None);
        }
        let update = self.poll_update(cx);
        self.publish();
        update.map(|update| Some(update.inspect_err(|error| self.driver.stop(error))))
    }
}

impl<T: HttpTransport> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("status", &self.status())
            .field("resume_at", &self.resume_at())
            .finish_non_exhaustive()
    }
}
