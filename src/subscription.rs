//! Following an account with a checkpoint: batches that are acknowledged.

mod ack_queue;
mod delivery;
mod ledger;
mod long_wait;
mod writer;

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use futures_core::Stream;

pub use self::delivery::{Delivery, PossibleGap, Update};
use self::ledger::{Ledger, not_saved};
use self::long_wait::LongWait;
use self::writer::CheckpointWriter;
use crate::api::Api;
#[cfg(feature = "blocking")]
use crate::auth::TokenSource;
use crate::batch::Batch;
use crate::checkpoint::{CheckpointError, CheckpointStore, Identity};
use crate::error::{Error, ensure};
use crate::position::{StartAt, StreamPosition};
use crate::protocol::LongPoll;
use crate::status::Status;
use crate::stream::StreamHandle;
use crate::stream::{Driver, Step};
use crate::transport::HttpTransport;

/// The events of an account by page, for ever, from a checkpoint that moves as they are acknowledged. Made by
/// [`LongPollClient::subscribe`](crate::LongPollClient::subscribe).
///
/// - A batch that is not [acknowledged](Delivery::ack) comes again after a restart, and so do all after it. Batches may be
///   acknowledged in any order, and from any task.
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
pub struct Subscription<T: HttpTransport> {
    driver: Driver<T>,
    ledger: Arc<Ledger>,
    writer: CheckpointWriter,
    long_wait: LongWait,
    /// The time after which a gap was told of.
    told: Option<SystemTime>,
    /// Events that Box gave with the position of `now`, where it should give none.
    with_now: Option<Batch>,
}

impl<T: HttpTransport> Subscription<T> {
    pub(crate) async fn start(
        client: Arc<Api<T>>,
        store: Arc<dyn CheckpointStore>,
        account: String,
        start: StartAt,
        seed: u64,
    ) -> Result<Self, Error> {
        ensure(!account.is_empty(), "the account's key must not be empty")?;
        let config = client.config.clone();
        let identity = Identity::of(&config, &*client.tokens);
        let found = store.load(&account).await.map_err(not_loaded)?;
        let now = client.transport().now();
        let engine = if let Some(checkpoint) = &found {
            checkpoint.check(&store.location(&account), &account, &identity, &config)?;
            LongPoll::resume(
                config.clone(),
                checkpoint.resume_at().clone(),
                checkpoint.window(config.dedupe_window),
                checkpoint.last_success(),
                seed,
                now,
            )
        } else {
            LongPoll::new(config.clone(), start, seed, now)
        };
        let driver = Driver::new(client, engine);
        let ledger = Arc::new(Ledger::new(
            store,
            account,
            identity,
            config,
            driver.watch.clone(),
            &driver.engine,
        ));
        let mut subscription = Self {
            driver,
            ledger,
            writer: CheckpointWriter::new(seed),
            long_wait: LongWait::default(),
            told: None,
            with_now: None,
        };
        if *subscription.driver.engine.resume_at() == StartAt::Now {
            subscription.resolve_now().await?;
        }
        Ok(subscription)
    }

    /// Resolves `now`, and makes it durable. Nothing else is sent before.
    async fn resolve_now(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_resolve_now(cx)).await?;
        while let Some(mut write) = self.ledger.due() {
            let outcome = poll_fn(|cx| write.poll(cx)).await;
            self.ledger.finish(&write, &outcome);
            outcome.map_err(not_saved)?;
        }
        Ok(())
    }

    fn poll_resolve_now(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.driver.watch.register(cx);
        loop {
            match ready!(self.driver.poll_step(cx)) {
                Step::Begun => {}
                Step::Deliver(batch) => {
                    self.with_now = Some(batch);
                    self.driver.go_on();
                }
                Step::Stop(error) => return Poll::Ready(Err(error)),
                Step::Idle => return Poll::Pending,
            }
            let resume_at = self.driver.engine.resume_at();
            if *resume_at != StartAt::Now {
                // By the meaning of the word nothing comes after it.
                let now = self.driver.client.transport().now();
                self.ledger.advance(resume_at, Some(now.wall));
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// The next batch, or the news that some may be missing. `None` once the stream has ended.
    ///
    /// # Errors
    ///
    /// One that the stream stops with; the kinds of [`ErrorKind`](crate::ErrorKind) say which those are. It is the last
    /// item. What may pass is retried, and shown in the [status](Subscription::status) meanwhile: a store that fails is.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Result<Update, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Where a restart resumes: the end of what is acknowledged and saved. `None` until the first page of a start at
    /// [`StartAt::Oldest`] is.
    #[must_use]
    pub fn position(&self) -> Option<StreamPosition> {
        self.ledger.position()
    }

    /// What the stream is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        self.driver.watch.status()
    }

    /// A handle that watches and stops the stream, from anywhere. Its position is that of [`position`](Self::position).
    #[must_use]
    pub fn handle(&self) -> StreamHandle {
        self.driver.handle()
    }

    fn poll_update(&mut self, cx: &mut Context<'_>) -> Poll<Result<Update, Error>> {
        loop {
            self.ledger.check_dropped()?;
            self.writer.poll(&self.ledger, &self.driver.client, cx)?;
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
            self.driver.go_on();
            self.advance();
            match ready!(self.driver.poll_step(cx)) {
                Step::Begun => {}
                Step::Deliver(batch) => return Poll::Ready(Ok(self.deliver(batch))),
                Step::Stop(error) => return Poll::Ready(Err(error)),
                Step::Idle => return Poll::Pending,
            }
            self.advance();
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
        if self.awaits_acks() {
            self.long_wait.poll(&self.ledger, &self.driver.client, cx)
        } else {
            self.long_wait = LongWait::default();
            Ok(())
        }
    }

    fn awaits_acks(&self) -> bool {
        self.is_full() && self.writer.trouble().is_none()
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
        let status = match self.writer.trouble() {
            Some(trouble) => Status::NotSaving {
                because: trouble.because.clone(),
                until: trouble.until,
                batches: self.ledger.not_durable(),
            },
            None if self.is_full() => Status::AwaitingAcks {
                batches: self.ledger.not_durable(),
            },
            None => self.driver.engine.status(),
        };
        self.driver.watch.show(status);
    }
}

#[cfg(feature = "blocking")]
impl<T: HttpTransport> Subscription<T> {
    pub(crate) fn tokens(&self) -> Arc<dyn TokenSource> {
        self.driver.client.tokens.clone()
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

fn not_loaded(error: CheckpointError) -> Error {
    error.into_error("the checkpoint can't be loaded")
}

impl<T: HttpTransport> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("status", &self.status())
            .field("position", &self.position())
            .finish_non_exhaustive()
    }
}
