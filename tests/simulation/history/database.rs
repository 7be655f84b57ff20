//! The database of the program: its checkpoint or position, and the ids beside it.
//!
//! It outlives the program. A write may fail, or succeed and report a failure. Checkpoints pass
//! through their text form. Start at [`World::write`].

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::checkpoint::{Checkpoint, CheckpointError, CheckpointStore};

use super::case::Consumer;
use super::world::World;

/// The rows of the database.
#[derive(Default)]
pub(super) struct Database {
    /// The checkpoint as JSON, or the position of a plain stream.
    pub(super) place: Option<String>,
    /// The ids, by the number of ids before them.
    ids: BTreeMap<u64, Vec<u8>>,
    pub(super) is_writing: bool,
}

/// The outcome that the database reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Yes,
    No,
}

impl Database {
    /// Returns the checkpoint as the program would load it.
    pub(super) fn checkpoint(&self) -> Option<Checkpoint> {
        let text = self.place.as_ref()?;
        let checkpoint: Checkpoint = serde_json::from_str(text).expect("a checkpoint");
        Some(checkpoint.with_ids(self.ids.clone()))
    }

    fn keep(&mut self, checkpoint: &Checkpoint, with_ids: bool) {
        self.place = Some(serde_json::to_string(checkpoint).expect("plain data"));
        if let Some(new) = checkpoint.new_ids().filter(|_| with_ids) {
            self.ids.insert(new.after(), new.as_bytes().to_vec());
        } else if checkpoint.history_ids() == 0 {
            self.ids.clear();
        }
    }
}

impl World {
    /// Writes in one transaction. `write` is called with `true` if the transaction succeeds.
    async fn transaction(&self, write: impl FnOnce(&mut super::world::Inner)) -> Written {
        self.step(|| "writes".into()).await;
        let (fails, takes) = {
            let mut inner = self.lock();
            if std::mem::replace(&mut inner.database.is_writing, true) {
                inner.check(Err("two writes overlap".into()));
            }
            let takes = Duration::from_millis(inner.case.write_ms);
            (inner.database_fails(), takes)
        };
        if !takes.is_zero() {
            self.rest(takes).await;
        }
        let is_done = {
            let mut inner = self.lock();
            inner.database.is_writing = false;
            let is_done = !fails || inner.database_rng().bool();
            if is_done {
                write(&mut inner);
            }
            is_done
        };
        self.step(|| format!("has written: {is_done}, and reports {}", !fails))
            .await;
        if fails { Written::No } else { Written::Yes }
    }

    /// Stores a batch together with its checkpoint.
    pub(super) async fn commit(&self, batch: Option<usize>, checkpoint: Checkpoint) -> Written {
        self.transaction(move |inner| {
            let committed = batch.map_or(Ok(()), |batch| inner.truth.committed(batch));
            inner.check(committed);
            inner.database.keep(&checkpoint, true);
        })
        .await
    }

    /// Stores the position of a plain stream.
    pub(super) async fn store_place(&self, place: String) -> Written {
        self.transaction(move |inner| inner.database.place = Some(place))
            .await
    }
}

#[async_trait]
impl CheckpointStore for World {
    async fn load(&self, _key: &str) -> Result<Option<Checkpoint>, CheckpointError> {
        self.step(|| "loads".into()).await;
        let mut inner = self.lock();
        if inner.database_fails() {
            return Err(CheckpointError::new("the database is unavailable"));
        }
        Ok(inner.database.checkpoint())
    }

    async fn save(&self, _key: &str, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let (checkpoint, with_ids, acknowledged) = {
            let inner = self.lock();
            let with_ids = inner.case.consumer == Consumer::Acks;
            (checkpoint.clone(), with_ids, inner.truth.acknowledged())
        };
        let write = self.transaction(move |inner| {
            inner.truth.saved(acknowledged);
            inner.database.keep(&checkpoint, with_ids);
        });
        match write.await {
            Written::Yes => Ok(()),
            Written::No => Err(CheckpointError::new("the database has failed")),
        }
    }
}
