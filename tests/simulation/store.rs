//! The program's store, with its faults.
//!
//! The store keeps a position or a checkpoint across crashes. A write may fail, get lost, or
//! succeed and report a failure. The store checks each position and the date of each checkpoint
//! before it writes them, and also that no two writes overlap. It remembers only the last record.
//! Start at [`World::write`].

use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::checkpoint::{Checkpoint, CheckpointError, CheckpointStore};

use crate::coverage::state;
use crate::scenario::{What, When};
use crate::window::Window;
use crate::world::{Inner, Step, World};

/// The state that survives a crash, and the state of its use by the current program.
#[derive(Default)]
pub(crate) struct Store {
    durable: Option<Record>,
    /// The position that the program believes to be durable.
    confirmed: Option<String>,
    /// `true` if the store has refused the last call.
    pub(crate) refuses: bool,
    /// `true` if the store has refused any call of this program.
    pub(crate) refused: bool,
    /// `true` while a write is in progress.
    is_writing: bool,
    /// The number of writes so far.
    writes: u32,
    pub(crate) down_until: Duration,
}

/// The data of one write.
#[derive(Clone)]
pub(crate) struct Record {
    position: String,
    checkpoint: Option<Box<Kept>>,
}

/// A checkpoint, and the facts that it stands for.
#[derive(Clone)]
struct Kept {
    checkpoint: Checkpoint,
    /// The ids that the checkpoint has to contain.
    window: Window,
    /// The number of its program's batches that it covers.
    batches: u64,
}

/// The result that the store reports to the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Yes,
    No,
}

impl Record {
    pub(crate) fn of_position(position: &str) -> Self {
        Self {
            position: position.to_owned(),
            checkpoint: None,
        }
    }
}

impl Store {
    /// Returns the durable position.
    pub(crate) fn read(&self) -> Option<&str> {
        self.durable.as_ref().map(|record| record.position.as_str())
    }

    pub(crate) fn is_writing(&self) -> bool {
        self.is_writing
    }

    fn kept(&self) -> Option<&Kept> {
        self.durable.as_ref()?.checkpoint.as_deref()
    }

    pub(crate) fn checkpoint(&self) -> Option<&Checkpoint> {
        self.kept().map(|kept| &kept.checkpoint)
    }

    /// Returns the events that a program remembers if it continues from the durable checkpoint.
    pub(crate) fn window(&self) -> Window {
        self.kept()
            .map(|kept| kept.window.clone())
            .unwrap_or_default()
    }

    /// Returns the last position that the store has confirmed or given to the program.
    pub(crate) fn confirmed(&self) -> Option<&str> {
        self.confirmed.as_deref()
    }

    /// Prepares the store for the next program.
    pub(crate) fn reopen(&mut self) {
        self.confirmed = self.read().map(str::to_owned);
        self.refuses = false;
        self.refused = false;
        self.is_writing = false;
    }

    fn is_down(&self, now: Duration) -> bool {
        now < self.down_until
    }

    /// Writes a record unless a fault prevents it, and returns the result that the store reports.
    fn write(&mut self, record: Record, mishap: Option<&What>) -> Written {
        let (written, said) = match mishap {
            Some(What::WriteFails | What::StoreDown { .. }) => (false, Written::No),
            Some(What::WriteLost) => (false, Written::Yes),
            Some(What::WriteUnsaid) => (true, Written::No),
            _ => (true, Written::Yes),
        };
        self.is_writing = false;
        self.refuses = said == Written::No;
        self.refused |= self.refuses;
        if said == Written::Yes {
            self.confirmed = Some(record.position.clone());
        }
        if written {
            self.durable = Some(record);
        }
        said
    }
}

impl World {
    /// Writes a record to the program's store.
    pub(crate) async fn write(&self, record: Record) -> Written {
        self.step(Step::Writes(record.position.clone())).await;
        let (mishap, takes) = self.lock().begin_write(&record);
        if !takes.is_zero() {
            self.rest(takes).await;
        }
        self.lock().finish_write(record, mishap.as_ref())
    }
}

impl Inner {
    fn begin_write(&mut self, record: &Record) -> (Option<What>, Duration) {
        if self.store.is_writing {
            self.check::<()>(Err("two writes overlap".into()));
        }
        if record.position != "oldest" {
            let covered = self.ledger.check_covered(&record.position);
            self.check(covered.map_err(|why| format!("the written position: {why}")));
        }
        self.store.is_writing = true;
        let mut mishap = self.take(When::Write(self.store.writes));
        self.store.writes += 1;
        if let Some(mishap) = &mishap {
            let state = state(self.status().as_ref());
            self.meets(mishap, state);
        } else if self.store.is_down(self.now) {
            mishap = Some(What::WriteFails);
        }
        (mishap, Duration::from_millis(self.climate.write_ms))
    }

    fn finish_write(&mut self, record: Record, mishap: Option<&What>) -> Written {
        let batches = record.checkpoint.as_ref().map(|kept| kept.batches);
        let written = self.store.write(record, mishap);
        if let (Written::Yes, Some(batches)) = (written, batches) {
            self.open_batches.are_durable(batches);
        }
        written
    }
}

#[async_trait]
impl CheckpointStore for World {
    async fn load(&self, _key: &str) -> Result<Option<Checkpoint>, CheckpointError> {
        let mut inner = self.lock();
        if inner.store.is_down(inner.now) {
            inner.store.refuses = true;
            return Err(CheckpointError::new("the store is unavailable"));
        }
        // The checkpoint passes through its text form, as in a real store.
        let text = inner.store.checkpoint().map(serde_json::to_string);
        let text = text.transpose().map_err(CheckpointError::new)?;
        text.map(|text| serde_json::from_str(&text).map_err(CheckpointError::new))
            .transpose()
    }

    async fn save(&self, _key: &str, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let record = {
            let mut inner = self.lock();
            let dated = inner
                .gaps
                .check_dated(checkpoint, inner.ledger.acknowledged());
            inner.check(dated);
            Record {
                position: checkpoint.resume_at().to_string(),
                checkpoint: Some(Box::new(Kept {
                    checkpoint: checkpoint.clone(),
                    window: inner.open_batches.window().clone(),
                    batches: inner.open_batches.acknowledged(),
                })),
            }
        };
        match self.write(record).await {
            Written::Yes => Ok(()),
            Written::No => Err(CheckpointError::new("the store has failed")),
        }
    }
}
