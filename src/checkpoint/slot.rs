//! The file of one checkpoint, and the lock that keeps everybody else away from it.

mod text;

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::{Checkpoint, CheckpointError};
use crate::redact::quote;
use crate::sys::atomic_file::{read, write};
use crate::sys::{blocking_thread, lock};

/// The largest file that is read. A checkpoint with as many ids as one holds has a quarter of it.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

const NOT_USABLE: &str = "it can't be resumed from, and is left as it is";
const NOT_WRITTEN: &str = "it can't be written";

/// A file that is locked as long as this lives.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    /// Locks `file`, on behalf of what lies at `path`.
    pub(super) fn of(path: &Path, file: &Path) -> Result<Self, CheckpointError> {
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(file)
            .map_err(CheckpointError::of_file_because(
                path,
                "its lock can't be made",
            ))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self(lock)),
            Err(TryLockError::WouldBlock) => Err(CheckpointError::of_file(
                path,
                "it is in use, by another process or by another store of this one",
            )),
            Err(TryLockError::Error(error)) => {
                let failed = CheckpointError::of_file_because(path, "it can't be locked");
                Err(failed(error))
            }
        }
    }
}

/// Closing the file is not enough: a process that is being started has it too, until it runs its own program.
impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// The file of one account's checkpoint. Each call runs on a thread of its own.
#[derive(Debug)]
pub(super) struct Slot {
    path: PathBuf,
    kept: Arc<Mutex<Kept>>,
    saves: AtomicU64,
}

/// The state of the file, as far as this process knows it.
#[derive(Debug, Default)]
struct Kept {
    /// `true` once the store is gone.
    is_closed: bool,
    account: Option<String>,
    /// Which call of `save` wrote it. One that was abandoned may still come to write, and must not undo a later one.
    save: u64,
}

impl Slot {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            kept: Arc::default(),
            saves: AtomicU64::new(1),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) async fn load(&self, key: &str) -> Result<Option<Checkpoint>, CheckpointError> {
        let key = key.to_owned();
        self.alone(move |path, kept| {
            let text = read(path, MAX_BYTES)
                .map_err(CheckpointError::of_file_because(path, "it can't be read"))?;
            let found = text
                .map(|text| text::parse(&text))
                .transpose()
                .map_err(CheckpointError::of_file_because(path, NOT_USABLE))?;
            kept.belongs_to(found.as_ref().map_or(&*key, Checkpoint::account), path)?;
            kept.belongs_to(&key, path)?;
            Ok(found)
        })
        .await
    }

    pub(super) async fn save(
        &self,
        key: &str,
        checkpoint: &Checkpoint,
    ) -> Result<(), CheckpointError> {
        let (key, checkpoint) = (key.to_owned(), checkpoint.clone());
        let save = self.saves.fetch_add(1, Ordering::Relaxed);
        self.alone(move |path, kept| {
            kept.belongs_to(&key, path)?;
            if kept.save > save {
                return Ok(());
            }
            let text = text::write(&checkpoint)
                .map_err(CheckpointError::of_file_because(path, NOT_WRITTEN))?;
            write(path, text.as_bytes(), OpenOptions::new())
                .map_err(CheckpointError::of_file_because(path, NOT_WRITTEN))?;
            kept.save = save;
            Ok(())
        })
        .await
    }

    /// Runs the work on a thread of its own. Calls follow one another.
    async fn alone<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Path, &mut Kept) -> Result<R, CheckpointError> + Send + 'static,
    ) -> Result<R, CheckpointError> {
        let (path, kept) = (self.path.clone(), self.kept.clone());
        let outcome = blocking_thread::run("box-longpoll-file", move || {
            let mut kept = lock(&kept);
            if kept.is_closed {
                // An abandoned call, which comes too late.
                return Err(CheckpointError::of_file(&path, "its store is gone"));
            }
            work(&path, &mut kept)
        });
        let failed = CheckpointError::of_file_because(&self.path, "its store failed");
        outcome.await.unwrap_or_else(|error| Err(failed(error)))
    }
}

/// Waits for a write that was abandoned half-way: nobody else may have the file before it is over.
impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.kept).is_closed = true;
    }
}

impl Kept {
    /// One file holds one checkpoint: two accounts would overwrite each other's.
    fn belongs_to(&mut self, account: &str, path: &Path) -> Result<(), CheckpointError> {
        let owner = self.account.get_or_insert_with(|| account.to_owned());
        if *owner == account {
            return Ok(());
        }
        let (owner, account) = (quote(owner), quote(account));
        let what = format!("it is of the account \"{owner}\", and this is \"{account}\"");
        Err(CheckpointError::of_file(path, &what))
    }
}
