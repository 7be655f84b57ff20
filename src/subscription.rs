//! Following an account with a checkpoint: batches that are acknowledged.

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
use crate::protocol::LongPoll;
use crate::status::Status;
use crate::stream::{Driver, Step, StreamHandle};
use crate::transport::HttpTransport;

/// The events of an account by page, for ever, from a checkpoint that moves as they are acknowledged. Made by
/// [`LongPollClient::subscribe`](crate::LongPollClient::subscribe) and
/// [`subscribe_from`](crate::LongPollClient::subscribe_from).
///
/// - A batch that is not [acknowledged](Delivery::ack) comes again after a restart, and so do all after it. Batches may be
///   acknowledged in any order, and from any task. With [`subscribe_from`](crate::LongPollClient::subscribe_from) they are
///   [stored](Delivery::stored) in their order instead.
/// - At most [`max_unacknowledged`](crate::LongPollClientBuilder::max_unacknowledged) batches are out that are not durable.
///   The stream waits then, and its [status](Subscription::status) is [`Status::AwaitingAcks`], or
///   [`Status::NotSaving`] where the store fails. Whoever collects more of them before acknowledging any waits for ever;
///   once a wait for acknowledgements has lasted a minute, a warning is logged.
/// - A batch that is dropped without an acknowledgement ends the stream with
///   [`ErrorKind::Unacknowledged`](crate::ErrorKind::Unacknowledged). Acknowledgements of the batches before it still count.
/// - Pages that only move the position acknowledge themselves, in order. They are saved while the subscription is polled,
///   also while your code handles the next batch. A call of [`save`](crate::checkpoint::CheckpointStore::save) therefore says nothing
///   of the batch in your hands: write what you make of a batch before you acknowledge it, and not in the store's `save`.
///
/// Combinators that poll ahead acknowledge nothing. Ends after an error, and when its [`handle`](Subscription::handle)
/// stops it; a batch that is out by then can still be acknowledged.
///
/// # Cancellation
///
/// The request and the write under way live in the stream: dropping the future of [`next`](Subscription::next), or a
/// timeout around it, keeps them going and loses nothing. Dropping the stream ends the request.
#[must_use = "a stream does nothing until it is polled"]
pub struct Subscription<T: HttpTransport = Arc<dyn HttpTransport>> {
    driver: Driver<T>,
    ledger: Arc<Ledger>,
    writer: CheckpointWriter,
    long_wait: LongWait,
    start: Start,
    /// When the program last stored where it is, or could have.
    moved_at: Option<Instant>,
    /// The time after which a gap was told of.
    told: Option<SystemTime>,
    /// Events that Box gave with the position of `now`, where it should give none.
    with_now: Option<Batch>,
}

/// How far the start of a subscription is.
enum Start {
    Loading(Load),
    /// `now` has no position yet.
    Resolving,
    /// A restart would not begin here yet.
    Saving,
    /// The program has yet to store where the subscription starts.
    Told,
    Done,
}

/// A program is told of a position that moves without events this often.
const MOVED_EVERY: Duration = Duration::from_secs(60 * 60);

impl<T: HttpTransport> Subscription<T> {
    /// A subscription that loads its checkpoint from the store when it is first polled.
    pub(crate) fn with_store(
        client: Arc<Api<T>>,
        store: Arc<dyn CheckpointStore>,
        account: String,
        start: StartAt,
        seed: u64,
    ) -> Self {
        Self::new(client, Some(store), account, start.into(), seed)
    }

    /// A subscription whose checkpoints the program stores.
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
        let now = client.transport().now();
        let engine = LongPoll::new(client.config.clone(), start, seed, now);
        let driver = Driver::new(client, engine);
        let ledger = Arc::new(Ledger::new(
            store,
            account,
            &driver.client,
            driver.watch.clone(),
            &driver.engine,
        ));
        let subscription = Self {
            start: Start::Loading(ledger.load(given)),
            writer: CheckpointWriter::new(driver.client.config.retry, seed),
            driver,
            ledger,
            long_wait: LongWait::default(),
            moved_at: None,
            told: None,
            with_now: None,
        };
        subscription.publish();
        subscription
    }

    /// Goes on with the start. Gives `None` when it is over, or while Box has to resolve `now`.
    fn poll_start(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Update>, Error>> {
        loop {
            match &mut self.start {
                Start::Loading(load) => {
                    if let Some(checkpoint) = ready!(Pin::new(load).poll(cx))? {
                        self.resume(&checkpoint)?;
                    }
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
                    self.start = Start::Told;
                    return Poll::Ready(Ok(Some(Update::Started(self.progress()))));
                }
                Start::Told if self.ledger.start_is_durable() => {
                    self.moved_at = Some(self.driver.client.transport().now().monotonic);
                    self.start = Start::Done;
                }
                Start::Told => {
                    self.long_wait.poll(&self.ledger, &self.driver.client, cx)?;
                    return Poll::Pending;
                }
                Start::Done => return Poll::Ready(Ok(None)),
            }
        }
    }

    fn resume(&mut self, checkpoint: &Checkpoint) -> Result<(), Error> {
        let (client, engine) = (&self.driver.client, &mut self.driver.engine);
        let window = checkpoint.window(client.config.dedupe_window);
        engine.resume_from(checkpoint.resume_at(), window, checkpoint.last_success());
        self.ledger.resume(checkpoint, engine)
    }

    fn progress(&self) -> Progress {
        let now = self.driver.client.transport().now();
        Progress::new(self.ledger.clone(), self.ledger.end(now.wall))
    }

    /// The position has moved without events, for a program that stores checkpoints itself.
    fn moved(&mut self) -> Option<Progress> {
        let now = self.driver.client.transport().now().monotonic;
        let is_due = now.saturating_duration_since(self.moved_at?) >= MOVED_EVERY;
        if !is_due || !self.ledger.has_moved() {
            return None;
        }
        self.moved_at = Some(now);
        Some(self.progress())
    }

    /// The next batch, or the news that some may be missing. `None` once the stream has ended.
    ///
    /// # Errors
    ///
    /// One that the stream stops with; the kinds of [`ErrorKind`](crate::ErrorKind) say which those are. It is the last
    /// item. What may pass is retried, and shown in the [status](Subscription::status) meanwhile, such as a store that can't
    /// save. A store that can't load ends the subscription: subscribe again.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Result<Update, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Returns where a restart resumes: the end of what is acknowledged and saved.
    ///
    /// It is [`StartAt::Now`] until a start at `now` is resolved and saved, and [`StartAt::Oldest`] until the first page of such
    /// a start is.
    #[must_use]
    pub fn resume_at(&self) -> StartAt {
        self.driver.watch.resume_at()
    }

    /// What the stream is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        self.driver.watch.status()
    }

    /// A handle that watches and stops the stream, from anywhere. It resumes where [`resume_at`](Self::resume_at) says.
    #[must_use]
    pub fn handle(&self) -> StreamHandle {
        self.driver.handle()
    }

    fn poll_update(&mut self, cx: &mut Context<'_>) -> Poll<Result<Update, Error>> {
        loop {
            self.ledger.check_dropped()?;
            // In this order: while a batch is out, the engine is behind it only when the ledger knows the batch.
            self.driver.go_on();
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
            if self.is_full() {
                return Poll::Pending;
            }
            if let Some(batch) = self.with_now.take() {
                return Poll::Ready(Ok(self.deliver(batch)));
            }
            match ready!(self.driver.poll_step(cx)) {
                Step::Begun => {}
                Step::Deliver(batch) if matches!(self.start, Start::Resolving) => {
                    self.with_now = Some(batch);
                }
                Step::Deliver(batch) => return Poll::Ready(Ok(self.deliver(batch))),
                Step::Stop(error) => return Poll::Ready(Err(error)),
                Step::Idle => return Poll::Pending,
            }
            self.publish();
        }
    }

    fn deliver(&self, batch: Batch) -> Update {
        let now = self.driver.client.transport().now();
        let number = self.ledger.deliver(&batch, now.wall);
        Update::Batch(Delivery::new(batch, self.ledger.clone(), number))
    }

    /// Whether no more batches may be handed out.
    fn is_full(&self) -> bool {
        self.ledger.not_durable() >= self.driver.client.config.max_unacknowledged
    }

    /// Warns once that the stream has waited for acknowledgements for long. A store that fails warns of itself.
    fn poll_long_wait(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        if self.is_full() && self.writer.retries_at().is_none() {
            return self.long_wait.poll(&self.ledger, &self.driver.client, cx);
        }
        self.long_wait = LongWait::default();
        Ok(())
    }

    fn advance(&self) {
        let engine = &self.driver.engine;
        self.ledger
            .advance(engine.resume_at(), engine.caught_up_at());
    }

    /// What may have been lost while nobody asked. It is told once, and again where pages came since and then none for as
    /// long.
    fn gap(&mut self) -> Option<PossibleGap> {
        let engine = &self.driver.engine;
        let caught_up_at = engine.caught_up_at()?;
        let page_came_at = engine.page_came_at().filter(|_| self.told.is_some());
        let since = page_came_at.map_or(caught_up_at, |came_at| came_at.max(caught_up_at));
        let client = &self.driver.client;
        let retention = client.config.stream_kind.retention();
        let away = client.transport().now().wall.duration_since(since).ok()?;
        if away <= retention || self.told == Some(since) {
            return None;
        }
        self.told = Some(since);
        Some(PossibleGap { since, retention })
    }

    fn publish(&self) {
        let failure = self.ledger.failure().zip(self.writer.retries_at());
        let status = match failure {
            _ if matches!(self.start, Start::Loading(_)) => Status::LoadingCheckpoint,
            Some((error, until)) => Status::NotSaving {
                because: not_saved(error),
                until,
                batches: self.ledger.not_durable(),
            },
            None if self.is_full() || matches!(self.start, Start::Told) => Status::AwaitingAcks {
                batches: self.ledger.not_durable(),
            },
            None => self.driver.engine.status(),
        };
        self.driver.watch.show(status);
    }
}

impl<T: HttpTransport> Stream for Subscription<T> {
    type Item = Result<Update, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
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
