//! Where the program keeps its position or its checkpoint, and how that can go wrong.

use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::checkpoint::{Checkpoint, CheckpointError, CheckpointStore};

use crate::coverage::state;
use crate::scenario::{What, When};
use crate::window::Window;
use crate::world::{Inner, Step, World};

/// What survives a crash.
#[derive(Default)]
pub(crate) struct Store {
    durable: Option<Record>,
    /// Where the program is to go on, as far as it was told.
    confirmed: Option<String>,
    /// Whether the store has refused the last call, or any of this program.
    pub(crate) refuses: bool,
    pub(crate) refused: bool,
    under_way: bool,
    writes: u32,
    pub(crate) down_until: Duration,
}

/// What is written at once.
#[derive(Clone)]
pub(crate) struct Record {
    position: String,
    checkpoint: Option<Box<Kept>>,
}

/// A checkpoint, and what it is of.
#[derive(Clone)]
struct Kept {
    checkpoint: Checkpoint,
    /// The ids that it is to have.
    window: Window,
    /// How many batches of its program are behind it.
    batches: u64,
}

/// What the store says to the program.
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
    /// The position that is durable.
    pub(crate) fn read(&self) -> Option<&str> {
        self.durable.as_ref().map(|record| record.position.as_str())
    }

    fn kept(&self) -> Option<&Kept> {
        self.durable.as_ref()?.checkpoint.as_deref()
    }

    pub(crate) fn checkpoint(&self) -> Option<&Checkpoint> {
        self.kept().map(|kept| &kept.checkpoint)
    }

    /// What a program remembers that goes on from here.
    pub(crate) fn window(&self) -> Window {
        self.kept()
            .map(|kept| kept.window.clone())
            .unwrap_or_default()
    }

    /// What a program was told last, where it told the program anything.
    pub(crate) fn confirmed(&self) -> Option<&str> {
        self.confirmed.as_deref()
    }

    /// Another program uses it.
    pub(crate) fn reopen(&mut self) {
        self.confirmed = self.read().map(str::to_owned);
        self.refuses = false;
        self.refused = false;
        self.under_way = false;
    }

    fn is_down(&self, now: Duration) -> bool {
        now < self.down_until
    }

    /// Writes a record, or doesn't. Gives what the store says.
    fn write(&mut self, record: Record, mishap: Option<&What>) -> Written {
        let (written, said) = match mishap {
            Some(What::WriteFails | What::StoreDown { .. }) => (false, Written::No),
            Some(What::WriteLost) => (false, Written::Yes),
            Some(What::WriteUnsaid) => (true, Written::No),
            _ => (true, Written::Yes),
        };
        self.under_way = false;
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
    /// Writes to the program's store.
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
        if self.store.under_way {
            self.check::<()>(Err("two writes overlap".into()));
        }
        if record.position != "oldest" {
            let covered = self.ledger.check_covered(&record.position);
            self.check(covered.map_err(|why| format!("a position that is written: {why}")));
        }
        self.store.under_way = true;
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
            self.hands.are_durable(batches);
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
            return Err(CheckpointError::new("the store is away"));
        }
        // What is loaded has been written and read.
        let text = inner.store.checkpoint().map(serde_json::to_string);
        let text = text.transpose().map_err(CheckpointError::new)?;
        text.map(|text| serde_json::from_str(&text).map_err(CheckpointError::new))
            .transpose()
    }

    async fn save(&self, _key: &str, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let record = {
            let mut inner = self.lock();
            inner.settle_page();
            let dated = inner
                .gaps
                .check_dated(checkpoint, inner.ledger.acknowledged());
            inner.check(dated);
            Record {
                position: checkpoint.resume_at().to_string(),
                checkpoint: Some(Box::new(Kept {
                    checkpoint: checkpoint.clone(),
                    window: inner.hands.window().clone(),
                    batches: inner.hands.acknowledged(),
                })),
            }
        };
        match self.write(record).await {
            Written::Yes => Ok(()),
            Written::No => Err(CheckpointError::new("the store has failed")),
        }
    }
}
