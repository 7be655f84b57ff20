//! What was delivered, what of it is acknowledged, and what of that is durable.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::SystemTime;

use super::ack_queue::{AckQueue, Watermark};
use crate::api::Api;
use crate::batch::Batch;
use crate::checkpoint::{Checkpoint, CheckpointError, CheckpointStore, Owner};
use crate::dedup::Window;
use crate::error::{Error, ErrorKind, ensure};
use crate::position::StartAt;
use crate::protocol::LongPoll;
use crate::redact::Chain;
use crate::single_flight::SingleFlight;
use crate::status::{News, StatusWatch};
use crate::sys::lock;
use crate::transport::HttpTransport;

/// Shared by a subscription and the batches that it has delivered.
pub(super) struct Ledger {
    /// `None`: the program stores checkpoints itself, and says so.
    store: Option<Arc<dyn CheckpointStore>>,
    owner: Owner,
    /// Of the subscription, whose task is woken when something is acknowledged, dropped, saved or not saved.
    watch: Arc<StatusWatch>,
    state: Mutex<State>,
}

struct State {
    queue: AckQueue,
    /// The end of what is stored.
    durable: Watermark,
    /// `true` once a restart would begin where this subscription did.
    start_is_durable: bool,
    write: Option<Write>,
    /// Why the last write failed, until one succeeds.
    failure: Option<CheckpointError>,
}

/// A checkpoint that is loaded from the store.
pub(super) type Load = SingleFlight<Result<Option<Checkpoint>, Error>>;

/// A write that is under way. Whoever waits for it drives it, and tells the ledger what came of it.
#[derive(Clone)]
pub(super) struct Write {
    call: SingleFlight<Result<(), CheckpointError>>,
    brings: Arc<Watermark>,
}

impl Ledger {
    /// A ledger of an engine that has yet to begin.
    pub(super) fn new(
        store: Option<Arc<dyn CheckpointStore>>,
        account: String,
        api: &Api<impl HttpTransport>,
        watch: Arc<StatusWatch>,
        engine: &LongPoll,
    ) -> Self {
        Self {
            state: Mutex::new(State::at_start_of(engine, store.is_some())),
            store,
            owner: Owner::of(account, &api.config, &*api.tokens),
            watch,
        }
    }

    /// Begins again, with an engine that resumes from this checkpoint.
    ///
    /// # Errors
    ///
    /// The checkpoint is of something else.
    pub(super) fn resume(&self, checkpoint: &Checkpoint, engine: &LongPoll) -> Result<(), Error> {
        let location = match &self.store {
            Some(store) => store.location(&self.owner.account),
            None => "the start".to_owned(),
        };
        checkpoint.owner.check(&location, &self.owner)?;
        let mut state = lock(&self.state);
        *state = State::at_start_of(engine, self.store.is_some());
        let news = self.watch.move_to(&state.durable.resume_at);
        drop(state);
        news.wake();
        Ok(())
    }

    /// Loads the checkpoint that the store has. Without a store it is the one that the program gave.
    pub(super) fn load(&self, given: Option<Checkpoint>) -> Load {
        let (store, account) = (self.store.clone(), self.owner.account.clone());
        let load = async move {
            let Some(store) = store else {
                return Ok(given);
            };
            ensure(!account.is_empty(), "the account's key must not be empty")?;
            store.load(&account).await.map_err(not_loaded)
        };
        SingleFlight::new(load, || {
            Err(not_loaded(CheckpointError::new("the store panicked")))
        })
    }

    /// Returns `true` if it saves checkpoints itself.
    pub(super) fn saves(&self) -> bool {
        self.store.is_some()
    }

    /// Returns `true` once a restart would begin where this subscription did.
    pub(super) fn start_is_durable(&self) -> bool {
        let state = lock(&self.state);
        state.start_is_durable && !state.queue.end().is_news_to(&state.durable)
    }

    /// Returns the end of what is acknowledged, and its checkpoint.
    pub(super) fn end(&self, now: SystemTime) -> (Watermark, Checkpoint) {
        let state = lock(&self.state);
        let end = state.queue.end().clone();
        let checkpoint =
            self.checkpoint(&end, end.caught_up_at.unwrap_or(now), state.queue.window());
        (end, checkpoint)
    }

    /// Returns `true` if the position has moved behind all that was delivered, and the program has not stored that.
    pub(super) fn has_moved(&self) -> bool {
        let state = lock(&self.state);
        state.queue.is_settled() && state.queue.end().is_news_to(&state.durable)
    }

    /// # Errors
    ///
    /// The program stores the checkpoints itself.
    pub(super) fn ensure_it_saves(&self) -> Result<(), Error> {
        if self.saves() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Checkpoint,
            "the program stores the checkpoints of this subscription: store this batch's, and call stored()",
        ))
    }

    /// The checkpoint to store with a batch.
    pub(super) fn checkpoint_after(&self, number: u64) -> Result<Checkpoint, Error> {
        if self.saves() {
            return Err(Error::new(
                ErrorKind::Checkpoint,
                "this subscription saves its checkpoints itself: acknowledge the batch, or use subscribe_from",
            ));
        }
        let state = lock(&self.state);
        let end = state.queue.end_of(number).ok_or_else(|| {
            Error::new(
                ErrorKind::Checkpoint,
                "a batch before this one is not stored yet: store batches in their order",
            )
        })?;
        let window = state.queue.window_of_first();
        let caught_up_at = end.caught_up_at.unwrap_or(SystemTime::UNIX_EPOCH);
        Ok(self.checkpoint(&end, caught_up_at, &window))
    }

    fn checkpoint(&self, end: &Watermark, caught_up_at: SystemTime, window: &Window) -> Checkpoint {
        Checkpoint::new(&self.owner, end.resume_at.clone(), caught_up_at, window)
    }

    /// Records that the program has stored a checkpoint without a batch.
    pub(super) fn stored_at(&self, end: Watermark) {
        let mut state = lock(&self.state);
        state.start_is_durable = true;
        let news = self.is_durable(&mut state, end);
        drop(state);
        news.wake();
        self.watch.wake();
    }

    /// Notes that this is stored, unless more is.
    fn is_durable(&self, state: &mut State, end: Watermark) -> News {
        if end.batches < state.durable.batches {
            return News::default();
        }
        state.durable = end;
        // Under the lock, so that an older position never comes after a newer one.
        self.watch.move_to(&state.durable.resume_at)
    }

    /// The key that the program gave for the account.
    pub(super) fn account(&self) -> &str {
        &self.owner.account
    }

    /// How many batches are delivered and not durable.
    pub(super) fn not_durable(&self) -> usize {
        let state = lock(&self.state);
        let batches = state.queue.delivered() - state.durable.batches;
        usize::try_from(batches).unwrap_or(usize::MAX)
    }

    /// Why the last write failed. `None`: it did not.
    pub(super) fn failure(&self) -> Option<CheckpointError> {
        lock(&self.state).failure.clone()
    }

    /// Says that a batch was dropped without an acknowledgement, if one was.
    pub(super) fn check_dropped(&self) -> Result<(), Error> {
        match lock(&self.state).queue.dropped() {
            Some(0) => Err(Error::new(
                ErrorKind::Unacknowledged,
                "the start of the subscription was dropped before it was stored",
            )),
            Some(_) => Err(was_dropped()),
            None => Ok(()),
        }
    }

    /// As [`AckQueue::deliver`].
    pub(super) fn deliver(&self, batch: &Batch, now: SystemTime) -> u64 {
        lock(&self.state).queue.deliver(batch, now)
    }

    /// As [`AckQueue::advance`].
    pub(super) fn advance(&self, resume_at: &StartAt, caught_up_at: Option<SystemTime>) {
        lock(&self.state).queue.advance(resume_at, caught_up_at);
    }

    /// Records that the program has dropped the start of the subscription, unless it has stored that before.
    pub(super) fn abandon_start(&self) {
        if !lock(&self.state).start_is_durable {
            self.abandon(0);
        }
    }

    /// Records that nobody will acknowledge the batch.
    pub(super) fn abandon(&self, number: u64) {
        lock(&self.state).queue.abandon(number);
        self.watch.wake();
    }

    /// Records that a batch is acknowledged. Without a store its end is stored as well, unless a batch before it is not:
    /// that ends the subscription.
    pub(super) fn record(&self, number: u64) {
        let mut state = lock(&self.state);
        let news = if self.saves() {
            state.queue.acknowledge(number);
            News::default()
        } else if let Some(end) = state.queue.end_of(number) {
            state.queue.acknowledge(number);
            self.is_durable(&mut state, end)
        } else {
            state.queue.abandon(number);
            News::default()
        };
        drop(state);
        news.wake();
        self.watch.wake();
    }

    /// Records that a batch is acknowledged, and makes that durable as far as all before it are acknowledged too.
    pub(super) async fn acknowledge(&self, number: u64) -> Result<(), Error> {
        self.record(number);
        while let Some(write) = self.owed_to(number)? {
            let outcome = write.call.clone().await;
            self.finish(&write, &outcome);
            outcome.map_err(not_saved)?;
        }
        Ok(())
    }

    /// The write that an acknowledged batch waits for. `None`: none, or none yet.
    fn owed_to(&self, number: u64) -> Result<Option<Write>, Error> {
        let mut state = lock(&self.state);
        if state.queue.dropped().is_some_and(|first| first < number) {
            return Err(was_dropped());
        }
        if state.durable.batches >= number || state.queue.end().batches < number {
            return Ok(None);
        }
        Ok(self.join_or_begin(&mut state))
    }

    /// The write that is under way, or one that is due.
    pub(super) fn due(&self) -> Option<Write> {
        self.join_or_begin(&mut lock(&self.state))
    }

    fn join_or_begin(&self, state: &mut State) -> Option<Write> {
        let store = self.store.as_ref()?;
        let end = state.queue.end();
        if state.write.is_none() && end.is_news_to(&state.durable) {
            let checkpoint = self.checkpoint(end, end.caught_up_at?, state.queue.window());
            let (store, account) = (store.clone(), self.owner.account.clone());
            let save = async move { store.save(&account, &checkpoint).await };
            state.write = Some(Write {
                call: SingleFlight::new(save, || Err(CheckpointError::new("the store panicked"))),
                brings: Arc::new(end.clone()),
            });
        }
        state.write.clone()
    }

    /// Takes what came of a write, from the first who tells.
    pub(super) fn finish(&self, write: &Write, outcome: &Result<(), CheckpointError>) {
        let mut state = lock(&self.state);
        let is_it = |under_way: &mut Write| Arc::ptr_eq(&under_way.brings, &write.brings);
        let Some(over) = state.write.take_if(is_it) else {
            return;
        };
        let news = match outcome {
            Ok(()) => {
                state.failure = None;
                self.is_durable(&mut state, Watermark::clone(&write.brings))
            }
            Err(error) => {
                state.failure = Some(error.clone());
                News::default()
            }
        };
        drop(state);
        // Code of others, which may acknowledge or drop a batch: a store's future, wakers, and a log.
        drop(over);
        if let Err(error) = outcome {
            tracing::warn!(error = %Chain(error), "checkpoint");
        }
        news.wake();
        self.watch.wake();
    }
}

impl State {
    fn at_start_of(engine: &LongPoll, start_is_durable: bool) -> Self {
        let start = Watermark {
            resume_at: engine.resume_at().clone(),
            batches: 0,
            caught_up_at: engine.caught_up_at(),
        };
        Self {
            queue: AckQueue::new(start.clone(), engine.window().clone()),
            durable: start,
            start_is_durable,
            write: None,
            failure: None,
        }
    }
}

impl Write {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CheckpointError>> {
        Pin::new(&mut self.call).poll(cx)
    }
}

fn not_loaded(error: CheckpointError) -> Error {
    error.into_error("the checkpoint can't be loaded")
}

pub(super) fn not_saved(error: CheckpointError) -> Error {
    error.into_error("the checkpoint can't be saved")
}

fn was_dropped() -> Error {
    Error::new(
        ErrorKind::Unacknowledged,
        "a batch was dropped without an acknowledgement, or stored before the one that precedes it; subscribe anew, and it comes again",
    )
}
