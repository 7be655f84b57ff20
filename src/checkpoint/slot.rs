//! The file of one checkpoint, and the lock that keeps others away from it.
//!
//! [`Slot`] reads and writes a checkpoint atomically, on a thread of its own, and keeps an
//! abandoned write from undoing a later one. [`Lock`] keeps out other processes.
//! [`CheckpointFile`](super::CheckpointFile) and
//! [`CheckpointDirectory`](super::CheckpointDirectory) combine them. The text of the file is in
//! [`text`], and the file of a history's ids in [`ids`].

mod ids;
mod text;

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::{Checkpoint, CheckpointError, MAX_HISTORY_IDS};
use crate::dedup::HASH_BYTES;
use crate::redact::quote;
use crate::sys::atomic_file::{read, write};
use crate::sys::{blocking_thread, lock};

/// The size of the largest file that is read: 16 MiB. A checkpoint with the most ids takes a
/// quarter of it.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

const NOT_USABLE: &str = "it can't be resumed from, and is left as it is";
const NOT_WRITTEN: &str = "it can't be written";

/// A file that is locked as long as this value lives.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    /// Locks `file`, to protect what is at `path`.
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

/// Unlocks the file. Closing it is not enough: a child process that is being started has it open
/// too, until it runs its own program.
impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// The file of one account's checkpoint. Each call runs on a thread of its own.
#[derive(Debug)]
pub(super) struct Slot {
    path: PathBuf,
    state: Arc<Mutex<FileState>>,
    /// The number of the next call of `save`.
    saves: AtomicU64,
}

/// The state of the file, as far as this process knows it.
#[derive(Debug, Default)]
struct FileState {
    /// `true` once the store is dropped.
    is_closed: bool,
    /// The account whose checkpoint the file has, once that is known.
    account: Option<String>,
    /// The number of the `save` call that wrote the file. An abandoned call may still run, and must
    /// not undo a later one.
    save: u64,
    /// `true` once it is known that there is no file of ids.
    has_no_ids: bool,
}

impl Slot {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            state: Arc::default(),
            saves: AtomicU64::new(1),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the checkpoint. The file must belong to the account `key`.
    pub(super) async fn load(&self, key: &str) -> Result<Option<Checkpoint>, CheckpointError> {
        let key = key.to_owned();
        self.run_exclusively(move |path, state| {
            let text = read(path, MAX_BYTES)
                .map_err(CheckpointError::of_file_because(path, "it can't be read"))?;
            let found = text
                .map(|text| text::parse(&text))
                .transpose()
                .map_err(CheckpointError::of_file_because(path, NOT_USABLE))?;
            state.check_account(found.as_ref().map_or(&*key, Checkpoint::account), path)?;
            state.check_account(&key, path)?;
            found.map(|found| with_ids(found, path)).transpose()
        })
        .await
    }

    /// Writes the checkpoint, unless a later call has written one already. The new ids of a history
    /// become durable before it.
    pub(super) async fn save(
        &self,
        key: &str,
        checkpoint: &Checkpoint,
    ) -> Result<(), CheckpointError> {
        let (key, checkpoint) = (key.to_owned(), checkpoint.clone());
        let save = self.saves.fetch_add(1, Ordering::Relaxed);
        self.run_exclusively(move |path, state| {
            state.check_account(&key, path)?;
            if state.save > save {
                return Ok(());
            }
            let text = text::write(&checkpoint)
                .map_err(CheckpointError::of_file_because(path, NOT_WRITTEN))?;
            if let Some(new) = checkpoint.new_ids() {
                state.has_no_ids = false;
                ids::append(path, new).map_err(CheckpointError::of_file_because(
                    &ids::path_of(path),
                    NOT_WRITTEN,
                ))?;
            }
            write(path, text.as_bytes(), OpenOptions::new())
                .map_err(CheckpointError::of_file_because(path, NOT_WRITTEN))?;
            state.save = save;
            if checkpoint.history_ids() == 0 && !state.has_no_ids {
                // Ids that stay do no harm, because the checkpoint counts none of them.
                state.has_no_ids = ids::remove(path).is_ok();
            }
            Ok(())
        })
        .await
    }

    /// Runs the work on a thread of its own. Calls run one after another.
    async fn run_exclusively<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Path, &mut FileState) -> Result<R, CheckpointError> + Send + 'static,
    ) -> Result<R, CheckpointError> {
        let (path, state) = (self.path.clone(), self.state.clone());
        let outcome = blocking_thread::spawn_blocking("box-longpoll-file", move || {
            let mut state = lock(&state);
            if state.is_closed {
                // The call was abandoned, and runs only now.
                return Err(CheckpointError::of_file(&path, "its store was dropped"));
            }
            work(&path, &mut state)
        });
        let failed = CheckpointError::of_file_because(&self.path, "its store failed");
        outcome.await.unwrap_or_else(|error| Err(failed(error)))
    }
}

/// Reads the ids that belong to a checkpoint. Without them, events may be delivered again, so a
/// part that was lost is no error.
fn with_ids(found: Checkpoint, path: &Path) -> Result<Checkpoint, CheckpointError> {
    let count = found.history_ids();
    if count == 0 {
        return Ok(found);
    }
    let ids_path = ids::path_of(path);
    let failed = CheckpointError::of_file_because(&ids_path, "it can't be read");
    let ids = ids::read(path, count).map_err(failed)?;
    let expected = count.min(MAX_HISTORY_IDS as u64);
    let lost = expected.saturating_sub((ids.len() / HASH_BYTES) as u64);
    if lost > 0 {
        tracing::warn!(
            file = %ids_path.display(),
            lost,
            "ids of the history are missing: events may be delivered again"
        );
    }
    Ok(found.with_stored_ids(ids))
}

/// Waits for a write that was abandoned halfway. Nobody else may have the file before it ends.
impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.state).is_closed = true;
    }
}

impl FileState {
    /// Checks that the file belongs to the account. A file holds one checkpoint, so two accounts
    /// would overwrite each other's.
    fn check_account(&mut self, account: &str, path: &Path) -> Result<(), CheckpointError> {
        let owner = self.account.get_or_insert_with(|| account.to_owned());
        if *owner == account {
            return Ok(());
        }
        let (owner, account) = (quote(owner), quote(account));
        let what = format!("it belongs to the account \"{owner}\", not to \"{account}\"");
        Err(CheckpointError::of_file(path, &what))
    }
}
