//! The ledger of a subscription: which batches are delivered, acknowledged and durable.
//!
//! A subscription and its batches share one [`Ledger`], because a batch can be acknowledged on any
//! task, even after the subscription has ended. The ledger decides which checkpoint is saved next,
//! and has at most one write in flight, which all waiting acknowledgements share. It does not
//! retry: the [`CheckpointWriter`](super::writer::CheckpointWriter) does. No code of others runs
//! under its lock: stores, wakers and logs may come back to it.

#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Instant, SystemTime};

use super::ack_queue::{AckQueue, Watermark};
use crate::api::Api;
use crate::batch::Batch;
use crate::checkpoint::{Checkpoint, CheckpointError, CheckpointStore, NewIds, Owner};
use crate::dedup::Window;
use crate::error::{Error, ErrorKind, ensure};
use crate::single_flight::SingleFlight;
use crate::status::Wakers;
use crate::stream::Reached;
use crate::sys::lock;
use crate::telemetry::Telemetry;
use crate::transport::HttpTransport;

/// The state that a subscription shares with the batches that it has delivered.
pub(super) struct Ledger {
    /// `None` if the program stores checkpoints itself.
    store: Option<Arc<dyn CheckpointStore>>,
    owner: Owner,
    /// The status of the subscription. Its task is woken when a batch is acknowledged or dropped,
    /// and when a write has succeeded or failed.
    telemetry: Arc<Telemetry>,
    clock: Clock,
    state: Mutex<State>,
}

/// Returns the time, unless the client is gone. The ledger must not keep the client, because a
/// program may keep a batch for long.
type Clock = Arc<dyn Fn() -> Option<Instant> + Send + Sync>;

struct State {
    queue: AckQueue,
    /// The end of what is stored.
    durable: Watermark,
    /// `true` once a restart would begin at the start of this subscription.
    start_is_durable: bool,
    /// The write in flight.
    write: Option<Write>,
    /// The error of the last write, until one succeeds.
    failure: Option<CheckpointError>,
}

/// The load of a checkpoint from the store.
pub(super) type Load = SingleFlight<Result<Option<Checkpoint>, Error>>;

/// A write in flight. Each task that waits for it drives it, and reports its outcome to the ledger.
#[derive(Clone)]
pub(super) struct Write {
    call: SingleFlight<Result<(), CheckpointError>>,
    /// The watermark that is durable if the write succeeds. Its address identifies the write.
    end: Arc<Watermark>,
}

impl Ledger {
    /// Creates the ledger of a stream that has not started yet. `window` is that of its engine.
    pub(super) fn new(
        store: Option<Arc<dyn CheckpointStore>>,
        account: String,
        api: &Arc<Api<impl HttpTransport>>,
        telemetry: Arc<Telemetry>,
        start: Reached,
        window: Window,
    ) -> Self {
        Self {
            state: Mutex::new(State::new(
                Watermark::at_start(start),
                window,
                store.is_some(),
            )),
            store,
            owner: Owner::of(account, &api.config, &*api.tokens),
            telemetry,
            clock: clock_of(api),
        }
    }

    /// Resets the ledger to a stream that resumes from this checkpoint.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Checkpoint`] if the checkpoint belongs to another subscription.
    pub(super) fn resume(
        &self,
        checkpoint: &Checkpoint,
        start: Reached,
        window: Window,
    ) -> Result<(), Error> {
        let location = match &self.store {
            Some(store) => store.location(&self.owner.account),
            None => "the start".to_owned(),
        };
        checkpoint.owner.check(&location, &self.owner)?;
        let mut state = lock(&self.state);
        let start = Watermark::at_start(start).with_stored_ids(checkpoint.history_ids());
        *state = State::at_start_of(start, window, self.saves());
        let wakers = self.telemetry.watch.move_to(&state.durable.resume_at);
        drop(state);
        wakers.wake();
        Ok(())
    }

    /// Loads the checkpoint from the store. Without a store, returns the one that the program
    /// passed.
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

    /// Returns `true` if the subscription has a store that saves its checkpoints.
    pub(super) fn saves(&self) -> bool {
        self.store.is_some()
    }

    /// Returns `true` once a restart would begin at the start of this subscription.
    pub(super) fn start_is_durable(&self) -> bool {
        let state = lock(&self.state);
        state.start_is_durable && !state.queue.end().is_worth_saving_over(&state.durable)
    }

    /// Returns `true` if everything that was delivered is durable, and the store has nothing to
    /// save.
    pub(super) fn is_durable(&self) -> bool {
        let state = lock(&self.state);
        let has_all = state.durable.batches == state.queue.delivered();
        let is_due = self.saves() && state.queue.end().is_worth_saving_over(&state.durable);
        state.start_is_durable && has_all && !is_due
    }

    /// Returns the end of what is acknowledged, and its checkpoint.
    pub(super) fn end(&self, now: SystemTime) -> (Watermark, Checkpoint) {
        let state = lock(&self.state);
        let end = state.queue.end().clone();
        let caught_up_at = end.caught_up_at.unwrap_or(now);
        let ids = (state.queue.window(), state.queue.new_ids());
        let checkpoint = self.checkpoint(&end, caught_up_at, ids);
        (end, checkpoint)
    }

    /// Returns `true` if the position has moved past everything delivered, and the program has not
    /// stored it yet.
    pub(super) fn has_moved(&self) -> bool {
        let state = lock(&self.state);
        state.queue.is_settled() && state.queue.end().is_worth_saving_over(&state.durable)
    }

    /// Checks that the subscription has a store.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Checkpoint`] if the program stores the checkpoints itself.
    pub(super) fn ensure_it_saves(&self) -> Result<(), Error> {
        if self.saves() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Checkpoint,
            "the program stores the checkpoints of this subscription: store this batch's, \
             and call stored()",
        ))
    }

    /// Returns the checkpoint that the program stores with a batch.
    pub(super) fn checkpoint_after(&self, number: u64) -> Result<Checkpoint, Error> {
        if self.saves() {
            return Err(Error::new(
                ErrorKind::Checkpoint,
                "this subscription saves its checkpoints itself: acknowledge the batch, \
                 or use subscribe_from",
            ));
        }
        let state = lock(&self.state);
        let end = state.queue.end_of(number).ok_or_else(|| {
            Error::new(
                ErrorKind::Checkpoint,
                "a batch before this one is not stored yet: store batches in their order",
            )
        })?;
        let (window, new_ids) = state.queue.ids_of_first();
        let caught_up_at = end.caught_up_at.unwrap_or(SystemTime::UNIX_EPOCH);
        Ok(self.checkpoint(&end, caught_up_at, (&window, new_ids)))
    }

    fn checkpoint(
        &self,
        end: &Watermark,
        caught_up_at: SystemTime,
        (window, new_ids): (&Window, NewIds),
    ) -> Checkpoint {
        Checkpoint::new(&self.owner, end.resume_at.clone(), caught_up_at, window).with_history(
            end.since,
            end.slice.clone(),
            new_ids,
        )
    }

    /// Records that the program has stored a checkpoint without a batch.
    pub(super) fn stored_at(&self, end: Watermark) {
        let mut state = lock(&self.state);
        state.start_is_durable = true;
        let wakers = self.mark_durable(&mut state, end);
        drop(state);
        self.count();
        wakers.wake();
        self.telemetry.watch.wake();
    }

    /// Records that everything up to `end` is stored, unless more is already.
    fn mark_durable(&self, state: &mut State, end: Watermark) -> Wakers {
        if end.batches < state.durable.batches {
            return Wakers::default();
        }
        state.queue.stored(&end);
        state.durable = end;
        // The position is set under the lock, so that an older one never follows a newer one.
        self.telemetry.watch.move_to(&state.durable.resume_at)
    }

    /// Returns the program's key for the account.
    pub(super) fn account(&self) -> &str {
        &self.owner.account
    }

    /// Returns the number of batches that are delivered and not durable.
    pub(super) fn not_durable(&self) -> usize {
        let state = lock(&self.state);
        let batches = state.queue.delivered() - state.durable.batches;
        usize::try_from(batches).unwrap_or(usize::MAX)
    }

    /// Returns the error of the last write, or `None` if it succeeded.
    pub(super) fn failure(&self) -> Option<CheckpointError> {
        lock(&self.state).failure.clone()
    }

    /// Checks that no batch was dropped without an acknowledgement.
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

    /// Adds a batch to the queue, and returns its number. See [`AckQueue::deliver`].
    pub(super) fn deliver(&self, batch: &Batch, now: SystemTime) -> u64 {
        let number = lock(&self.state).queue.deliver(batch, now);
        self.count();
        number
    }

    /// Counts the batches that are not durable.
    fn count(&self) {
        self.telemetry.unacknowledged(|| self.not_durable());
    }

    /// Records the position of the engine. See [`AckQueue::advance`].
    pub(super) fn advance(&self, reached: Reached) {
        let mut state = lock(&self.state);
        state.queue.advance(reached);
        let until = state.queue.end().complete_until;
        drop(state);
        self.telemetry.completed(until);
    }

    /// Records that the program has dropped the start of the subscription, unless it is stored
    /// already.
    pub(super) fn abandon_start(&self) {
        if !lock(&self.state).start_is_durable {
            self.abandon(0);
        }
    }

    /// Records that the batch was dropped without an acknowledgement.
    pub(super) fn abandon(&self, number: u64) {
        lock(&self.state).queue.abandon(number);
        self.telemetry.watch.wake();
    }

    /// Records that a batch is acknowledged.
    ///
    /// Without a store, the program has stored the batch, so its end becomes durable too. If a
    /// batch before it is not stored, the subscription ends.
    pub(super) fn record(&self, number: u64) {
        let mut state = lock(&self.state);
        let wakers = if self.saves() {
            state.queue.acknowledge(number);
            Wakers::default()
        } else if let Some(end) = state.queue.end_of(number) {
            state.queue.acknowledge(number);
            self.mark_durable(&mut state, end)
        } else {
            state.queue.abandon(number);
            Wakers::default()
        };
        let until = state.queue.end().complete_until;
        drop(state);
        self.count();
        wakers.wake();
        self.telemetry.completed(until);
        self.telemetry.watch.wake();
    }

    /// Acknowledges a batch, and waits until that is durable, or until a batch before it has to be
    /// acknowledged first.
    pub(super) async fn acknowledge(&self, number: u64) -> Result<(), Error> {
        self.record(number);
        while let Some(write) = self.write_for(number)? {
            let outcome = write.call.clone().await;
            self.finish(&write, &outcome);
            outcome.map_err(not_saved)?;
        }
        Ok(())
    }

    /// Returns the write that an acknowledged batch waits for. Returns `None` if the batch is
    /// durable, or is held back by one before it.
    fn write_for(&self, number: u64) -> Result<Option<Write>, Error> {
        let mut state = lock(&self.state);
        if state.queue.dropped().is_some_and(|first| first < number) {
            return Err(was_dropped());
        }
        if state.durable.batches >= number || state.queue.end().batches < number {
            return Ok(None);
        }
        Ok(self.join_or_begin(&mut state))
    }

    /// Returns the write in flight, or starts the one that is due.
    pub(super) fn due(&self) -> Option<Write> {
        self.join_or_begin(&mut lock(&self.state))
    }

    fn join_or_begin(&self, state: &mut State) -> Option<Write> {
        let store = self.store.as_ref()?;
        let end = state.queue.end();
        if state.write.is_none() && end.is_worth_saving_over(&state.durable) {
            let ids = (state.queue.window(), state.queue.new_ids());
            let checkpoint = self.checkpoint(end, end.caught_up_at?, ids);
            let (store, account) = (store.clone(), self.owner.account.clone());
            let (telemetry, clock) = (self.telemetry.clone(), self.clock.clone());
            let save = async move {
                let began_at = clock();
                let outcome = store.save(&account, &checkpoint).await;
                if let (Some(began_at), Some(now)) = (began_at, clock()) {
                    let took = now.saturating_duration_since(began_at);
                    telemetry.checkpoint_saved(took, outcome.is_ok());
                }
                outcome
            };
            state.write = Some(Write {
                call: SingleFlight::new(save, || Err(CheckpointError::new("the store panicked"))),
                end: Arc::new(end.clone()),
            });
        }
        state.write.clone()
    }

    /// Takes the outcome of a write. The first task that reports it counts.
    pub(super) fn finish(&self, write: &Write, outcome: &Result<(), CheckpointError>) {
        let mut state = lock(&self.state);
        let is_this = |in_flight: &mut Write| Arc::ptr_eq(&in_flight.end, &write.end);
        let Some(finished) = state.write.take_if(is_this) else {
            return;
        };
        let wakers = match outcome {
            Ok(()) => {
                state.failure = None;
                self.mark_durable(&mut state, Watermark::clone(&write.end))
            }
            Err(error) => {
                state.failure = Some(error.clone());
                Wakers::default()
            }
        };
        drop(state);
        // The dropped future of a store, wakers and logs run code of others, which may acknowledge
        // or drop a batch. So they run without the lock.
        drop(finished);
        if let Err(error) = outcome {
            self.telemetry.not_saved(error);
        }
        self.count();
        wakers.wake();
        self.telemetry.watch.wake();
    }
}

/// The batches that are not durable will be delivered again, and nobody can acknowledge these any
/// more.
impl Drop for Ledger {
    fn drop(&mut self) {
        self.telemetry.unacknowledged(|| 0);
    }
}

impl State {
    /// Returns the state of a subscription without a checkpoint. A start at a time is saved,
    /// because a later run may compute another time.
    fn new(start: Watermark, window: Window, saves: bool) -> Self {
        let mut state = Self::at_start_of(start, window, saves);
        if state.durable.since.is_some() {
            state.durable.caught_up_at = None;
        }
        state
    }

    fn at_start_of(start: Watermark, window: Window, start_is_durable: bool) -> Self {
        Self {
            queue: AckQueue::new(start.clone(), window),
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

fn clock_of(api: &Arc<Api<impl HttpTransport>>) -> Clock {
    let api = Arc::downgrade(api);
    Arc::new(move || Some(api.upgrade()?.transport().now().monotonic))
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
        "a batch was dropped without an acknowledgement, or stored before the one that precedes \
         it; subscribe again, and it is delivered again",
    )
}
