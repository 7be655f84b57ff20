//! A checkpoint in a file.

mod text;

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::{Checkpoint, CheckpointError, CheckpointStore};
use crate::redact::quote;
use crate::sys::atomic_file::{beside, read, real_path, write};
use crate::sys::blocking_thread::{self, NoOutcome};

/// The largest file that is read. A checkpoint with as many ids as one holds has a quarter of it.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// One checkpoint in one file.
///
/// It is written beside the file, as `FILE.new`, synced to the disk, renamed over the one before, and the directory is
/// synced: after a crash at any moment the file is the one before or the one after; where the file system has no sync for
/// directories, as far as it keeps a rename. It begins with a line that has a checksum; what follows is JSON that a person can
/// read. It holds no token. A link is followed, to a file that does not exist yet too.
///
/// A lock on `FILE.lock`, which stays behind, keeps everybody else away as long as the store lives, on this machine; over
/// a network file system as far as that has locks. An account is followed by one subscription at a time, and has a
/// file of its own.
///
/// Each call runs on a thread of its own, so that the executor is not blocked, whichever it is. Dropping the store gives
/// the file up at once; only where a call was abandoned in the middle of its write it waits for that.
///
/// ```no_run
/// # use box_longpoll::{Error, HttpTransport, LongPollClient, StartAt, Update, checkpoint::CheckpointFile};
/// # async fn follow<T: HttpTransport>(client: LongPollClient<T>) -> Result<(), Box<dyn std::error::Error>> {
/// let store = CheckpointFile::open("events.checkpoint")?;
/// let mut updates = client.subscribe(store, "ada", StartAt::Now);
/// while let Some(update) = updates.next().await {
///     match update? {
///         Update::Batch(batch) => {
///             for event in &batch {
///                 println!("{}", event.raw());
///             }
///             batch.ack().await?;
///         }
///         Update::PossibleGap(gap) => eprintln!("{gap}"),
///         Update::Started(_) | Update::Moved(_) => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct CheckpointFile {
    path: PathBuf,
    kept: Arc<Mutex<Kept>>,
    saves: AtomicU64,
}

/// What is known of the file.
#[derive(Debug)]
struct Kept {
    /// Locked as long as it is open. `None`: the store is gone.
    lock: Option<File>,
    account: Option<String>,
    /// Which call of `save` wrote it. One that was abandoned may still come to write, and must not undo a later one.
    save: u64,
}

impl CheckpointFile {
    /// Opens the file, which need not be there yet, and keeps everybody else from doing so. Its directory has to be there.
    ///
    /// It waits for the disk, not for who has the file: call it where a program starts.
    ///
    /// # Errors
    ///
    /// When another process has it, or this one a second time; when there is no such directory, or the lock can't be made
    /// in it. The sentence names the file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let path = path.as_ref();
        let failed =
            |what: &str, error: io::Error| CheckpointError::of_file_because(path, what, error);
        let path = &real_path(path).map_err(|error| failed("it can't be there", error))?;
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(beside(path, "lock"))
            .map_err(|error| failed("its lock can't be made", error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(CheckpointError::of_file(
                    path,
                    "it is in use, by another process or by another store of this one",
                ));
            }
            Err(TryLockError::Error(error)) => return Err(failed("it can't be locked", error)),
        }
        Ok(Self {
            path: path.clone(),
            kept: Arc::new(Mutex::new(Kept {
                lock: Some(lock),
                account: None,
                save: 0,
            })),
            saves: AtomicU64::new(1),
        })
    }

    /// The file, by its full name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs the work on a thread of its own. Calls follow one another.
    async fn alone<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Path, &mut Kept) -> Result<R, CheckpointError> + Send + 'static,
    ) -> Result<R, CheckpointError> {
        let (path, kept) = (self.path.clone(), self.kept.clone());
        let outcome = blocking_thread::run("box-longpoll-file", move || {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.lock.is_none() {
                // An abandoned call, which comes too late.
                return Err(CheckpointError::of_file(&path, "its store is gone"));
            }
            work(&path, &mut kept)
        });
        outcome.await.unwrap_or_else(|why| {
            Err(match why {
                NoOutcome::NotStarted(error) => CheckpointError::of_file_because(
                    &self.path,
                    "no thread can be started for it",
                    error,
                ),
                NoOutcome::Panicked => CheckpointError::of_file(&self.path, "a fault in its store"),
            })
        })
    }
}

/// Waits for a write that was abandoned half-way: nobody else may have the file before it is over.
impl Drop for CheckpointFile {
    fn drop(&mut self) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = kept.lock.take() {
            // Closing it is not enough: a process that is being started has it too, until it runs its own program.
            let _ = lock.unlock();
        }
    }
}

#[async_trait]
impl CheckpointStore for CheckpointFile {
    async fn load(&self, key: &str) -> Result<Option<Checkpoint>, CheckpointError> {
        let key = key.to_owned();
        self.alone(move |path, kept| {
            let text = read(path, MAX_BYTES).map_err(|error| {
                CheckpointError::of_file_because(path, "it can't be read", error)
            })?;
            let found = match text {
                Some(text) => Some(
                    text::parse(&text)
                        .map_err(|why| CheckpointError::of_file_because(path, NOT_USABLE, why))?,
                ),
                None => None,
            };
            let owner = found.as_ref().map_or(&*key, Checkpoint::account).to_owned();
            kept.belongs_to(owner, path)?;
            kept.belongs_to(key, path)?;
            Ok(found)
        })
        .await
    }

    async fn save(&self, key: &str, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let (key, checkpoint) = (key.to_owned(), checkpoint.clone());
        let save = self.saves.fetch_add(1, Ordering::Relaxed);
        self.alone(move |path, kept| {
            kept.belongs_to(key, path)?;
            if kept.save > save {
                return Ok(());
            }
            let text = text::write(&checkpoint)
                .map_err(|error| CheckpointError::of_file_because(path, NOT_WRITTEN, error))?;
            write(path, text.as_bytes(), OpenOptions::new())
                .map_err(|error| CheckpointError::of_file_because(path, NOT_WRITTEN, error))?;
            kept.save = save;
            Ok(())
        })
        .await
    }

    fn location(&self, _key: &str) -> String {
        self.path.display().to_string()
    }
}

const NOT_USABLE: &str = "it can't be resumed from, and is left as it is";
const NOT_WRITTEN: &str = "it can't be written";

impl Kept {
    /// One file holds one checkpoint: two accounts would overwrite each other's.
    fn belongs_to(&mut self, account: String, path: &Path) -> Result<(), CheckpointError> {
        match &self.account {
            Some(owner) if *owner != account => Err(CheckpointError::of_file(
                path,
                &format!(
                    "it is of the account \"{}\", and this is \"{}\"",
                    quote(owner),
                    quote(&account)
                ),
            )),
            Some(_) => Ok(()),
            None => {
                self.account = Some(account);
                Ok(())
            }
        }
    }
}
