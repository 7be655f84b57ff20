//! What was delivered, what of it is acknowledged, and what of that is durable.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::SystemTime;

use super::ack_queue::{AckQueue, Watermark};
use crate::batch::Batch;
use crate::checkpoint::{Checkpoint, CheckpointError, CheckpointStore, Identity};
use crate::config::Config;
use crate::error::{Error, ErrorKind};
use crate::position::{StartAt, StreamPosition};
use crate::protocol::LongPoll;
use crate::single_flight::SingleFlight;
use crate::status::{News, StatusWatch};

/// Shared by a subscription and the batches that it has delivered.
pub(super) struct Ledger {
    store: Arc<dyn CheckpointStore>,
    account: String,
    identity: Identity,
    config: Arc<Config>,
    /// Of the subscription, whose task is woken when something is acknowledged, dropped, saved or not saved.
    watch: Arc<StatusWatch>,
    state: Mutex<State>,
}

struct State {
    queue: AckQueue,
    /// What the store has.
    durable: Watermark,
    write: Option<Write>,
    /// Why the last write failed, until one succeeds.
    failure: Option<CheckpointError>,
}

/// A write that is under way. Whoever waits for it drives it, and tells the ledger what came of it.
#[derive(Clone)]
pub(super) struct Write {
    call: SingleFlight<Result<(), CheckpointError>>,
    brings: Arc<Watermark>,
}

impl Ledger {
    /// A ledger of an engine that has yet to begin.
    pub(super) fn new(
        store: Arc<dyn CheckpointStore>,
        account: String,
        identity: Identity,
        config: Arc<Config>,
        watch: Arc<StatusWatch>,
        engine: &LongPoll,
    ) -> Self {
        let mark = Watermark {
            resume_at: engine.resume_at().clone(),
            batches: 0,
            caught_up_at: engine.caught_up_at(),
        };
        Self {
            store,
            account,
            identity,
            config,
            watch,
            state: Mutex::new(State {
                queue: AckQueue::new(mark.clone(), engine.window().clone()),
                durable: mark,
                write: None,
                failure: None,
            }),
        }
    }

    /// Where a subscription would go on after a crash.
    pub(super) fn position(&self) -> Option<StreamPosition> {
        self.state().durable.resume_at.position().cloned()
    }

    /// The key that the program gave for the account.
    pub(super) fn account(&self) -> &str {
        &self.account
    }

    /// How many batches are delivered and not durable.
    pub(super) fn not_durable(&self) -> usize {
        let state = self.state();
        let batches = state.queue.delivered() - state.durable.batches;
        usize::try_from(batches).unwrap_or(usize::MAX)
    }

    /// Why the last write failed. `None`: it did not.
    pub(super) fn failure(&self) -> Option<CheckpointError> {
        self.state().failure.clone()
    }

    /// Says that a batch was dropped without an acknowledgement, if one was.
    pub(super) fn check_dropped(&self) -> Result<(), Error> {
        match self.state().queue.dropped() {
            Some(_) => Err(was_dropped()),
            None => Ok(()),
        }
    }

    /// As [`Prefix::deliver`].
    pub(super) fn deliver(&self, batch: &Batch, now: SystemTime) -> u64 {
        self.state().queue.deliver(batch, now)
    }

    /// As [`Prefix::reach`].
    pub(super) fn advance(&self, resume_at: &StartAt, caught_up_at: Option<SystemTime>) {
        self.state().queue.advance(resume_at, caught_up_at);
    }

    /// Records that nobody will acknowledge the batch.
    pub(super) fn abandon(&self, number: u64) {
        self.state().queue.abandon(number);
        self.watch.wake();
    }

    /// Records that a batch is acknowledged, and makes that durable as far as all before it are acknowledged too.
    pub(super) async fn acknowledge(&self, number: u64) -> Result<(), Error> {
        self.state().queue.acknowledge(number);
        self.watch.wake();
        while let Some(write) = self.owed_to(number)? {
            let outcome = write.call.clone().await;
            self.finish(&write, &outcome);
            outcome.map_err(not_saved)?;
        }
        Ok(())
    }

    /// The write that an acknowledged batch waits for. `None`: none, or none yet.
    fn owed_to(&self, number: u64) -> Result<Option<Write>, Error> {
        let mut state = self.state();
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
        self.join_or_begin(&mut self.state())
    }

    fn join_or_begin(&self, state: &mut State) -> Option<Write> {
        let end = state.queue.end();
        if state.write.is_none() && end.is_news_to(&state.durable) {
            let checkpoint = Checkpoint::new(
                &self.account,
                &self.identity,
                &self.config,
                end.resume_at.clone(),
                end.caught_up_at?,
                state.queue.window(),
            );
            let (store, account) = (self.store.clone(), self.account.clone());
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
        let mut state = self.state();
        let is_it = |under_way: &mut Write| Arc::ptr_eq(&under_way.brings, &write.brings);
        let Some(over) = state.write.take_if(is_it) else {
            return;
        };
        let news = match outcome {
            Ok(()) => {
                state.durable = Watermark::clone(&write.brings);
                state.failure = None;
                // Under the lock, so that an older position never comes after a newer one.
                self.watch.move_to(state.durable.resume_at.position())
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
            tracing::warn!(%error, "checkpoint");
        }
        news.wake();
        self.watch.wake();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CheckpointError>> {
        Pin::new(&mut self.call).poll(cx)
    }
}

pub(super) fn not_saved(error: CheckpointError) -> Error {
    error.into_error("the checkpoint can't be saved")
}

fn was_dropped() -> Error {
    Error::new(
        ErrorKind::Unacknowledged,
        "a batch was dropped without an acknowledgement; subscribe anew, and it comes again",
    )
}
