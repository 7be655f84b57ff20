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
use crate::telemetry::CHECKPOINT;

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
            Err(TryLockError::WouldBlock) => Err(CheckpointError::of_file_in_use(path)),
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
            let found = parsed(path)?;
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

/// Reads the checkpoint in a file, without the ids beside it. Returns `None` if there is no file.
pub(super) fn parsed(path: &Path) -> Result<Option<Checkpoint>, CheckpointError> {
    let text = read(path, MAX_BYTES)
        .map_err(CheckpointError::of_file_because(path, "it can't be read"))?;
    text.map(|text| text::parse(&text))
        .transpose()
        .map_err(CheckpointError::of_file_because(path, NOT_USABLE))
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
            target: CHECKPOINT,
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

#[cfg(test)]
mod tests {
    use std::fs;

    use futures_lite::future::block_on;
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;
    use crate::checkpoint::{NewIds, Since};

    /// A directory with one checkpoint.
    struct Files(TempDir);

    impl Files {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self) -> PathBuf {
            self.0.path().join("checkpoint")
        }

        /// Saves a checkpoint as another process would.
        fn save(&self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
            block_on(Slot::new(self.path()).save("ada", checkpoint))
        }

        fn load(&self) -> Checkpoint {
            block_on(Slot::new(self.path()).load("ada"))
                .unwrap()
                .unwrap()
        }

        /// Returns the content of the file of ids.
        fn ids(&self) -> Option<Vec<u8>> {
            fs::read(ids::path_of(&self.path())).ok()
        }
    }

    /// Returns the ids with these numbers.
    fn bytes(ids: impl IntoIterator<Item = u8>) -> Vec<u8> {
        ids.into_iter().flat_map(|id| [id; HASH_BYTES]).collect()
    }

    /// Returns a checkpoint with these new ids.
    fn checkpoint(after: u64, ids: impl IntoIterator<Item = u8>) -> Checkpoint {
        let checkpoint: Checkpoint = serde_json::from_value(json!({
            "account": "ada",
            "stream_type": "admin_logs_streaming",
            "api_origin": "https://api.box.com",
            "position": "17",
            "last_success": "2026-01-02T03:04:05Z",
            "id_key": "000102030405060708090a0b0c0d0e0f",
            "ids": "",
        }))
        .unwrap();
        let since = Since {
            from: jiff::Timestamp::UNIX_EPOCH,
            forget_ids_at: None,
            history_began_at: None,
        };
        checkpoint.with_history(Some(since), None, NewIds::new(after, bytes(ids)))
    }

    #[test]
    fn new_ids_are_appended_and_loaded_with_the_checkpoint() {
        let files = Files::new();
        files.save(&checkpoint(0, 0..3)).unwrap();
        assert_eq!(files.load().stored_ids(), bytes(0..3));
        files.save(&checkpoint(3, [])).unwrap();
        files.save(&checkpoint(3, 3..5)).unwrap();
        let found = files.load();
        assert_eq!((found.history_ids(), found.new_ids()), (5, None));
        assert_eq!(found.stored_ids(), bytes(0..5));
        assert_eq!(files.ids().unwrap(), bytes(0..5));
    }

    #[test]
    fn ids_of_a_save_that_was_cut_off_do_not_count() {
        let files = Files::new();
        files.save(&checkpoint(0, 0..3)).unwrap();
        // The process ends after each step of a save.
        for left in [&bytes(90..95)[..], &bytes(90..91)[..7], &[]] {
            let torn = [&bytes(0..3)[..], left].concat();
            fs::write(ids::path_of(&files.path()), torn).unwrap();
            assert_eq!(files.load().stored_ids(), bytes(0..3));
        }
        fs::write(ids::path_of(&files.path()), bytes((0..3).chain(90..99))).unwrap();
        files.save(&checkpoint(3, 3..5)).unwrap();
        assert_eq!(files.ids().unwrap(), bytes(0..5));
        files.save(&checkpoint(5, 5..6)).unwrap();
        assert_eq!(files.load().stored_ids(), bytes(0..6));
    }

    #[test]
    fn checkpoint_is_not_replaced_when_its_ids_cannot_be_written() {
        let files = Files::new();
        files.save(&checkpoint(0, 0..3)).unwrap();
        let ids_path = ids::path_of(&files.path());
        fs::remove_file(&ids_path).unwrap();
        fs::create_dir(&ids_path).unwrap();
        let error = files.save(&checkpoint(3, 3..5)).unwrap_err();
        assert_eq!(error.path(), Some(&*ids_path));
        fs::remove_dir(&ids_path).unwrap();
        assert_eq!(files.load().history_ids(), 3);
    }

    #[test]
    fn ids_behind_a_part_that_was_lost_are_loaded() {
        let files = Files::new();
        files.save(&checkpoint(0, 0..3)).unwrap();
        fs::write(ids::path_of(&files.path()), bytes(1..3)).unwrap();
        assert_eq!(files.load().stored_ids(), bytes(1..3));
        files.save(&checkpoint(3, 3..5)).unwrap();
        assert_eq!(files.load().stored_ids(), bytes([1, 2, 0, 3, 4]));
        fs::remove_file(ids::path_of(&files.path())).unwrap();
        assert_eq!(files.load().stored_ids(), bytes([]));
        files.save(&checkpoint(5, 5..6)).unwrap();
        assert_eq!(files.load().stored_ids(), bytes([0, 0, 0, 0, 0, 5]));
    }

    #[test]
    fn file_of_ids_is_removed_when_none_count() {
        let files = Files::new();
        files.save(&checkpoint(0, 0..3)).unwrap();
        assert!(files.ids().is_some());
        files.save(&checkpoint(0, [])).unwrap();
        assert_eq!(files.ids(), None);
        assert_eq!(files.load().stored_ids(), bytes([]));

        // The same process goes through both.
        let slot = Slot::new(files.path());
        for _ in 0..2 {
            block_on(slot.save("ada", &checkpoint(0, 7..9))).unwrap();
            assert_eq!(files.ids().unwrap(), bytes(7..9));
            block_on(slot.save("ada", &checkpoint(0, []))).unwrap();
            assert_eq!(files.ids(), None);
        }
    }
}
