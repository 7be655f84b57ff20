//! A checkpoint in a file.

use std::path::Path;

use async_trait::async_trait;

use super::slot::{Lock, Slot};
use super::{Checkpoint, CheckpointError, CheckpointStore};
use crate::sys::atomic_file::{beside, real_path};

/// One checkpoint in one file.
///
/// It is written beside the file, as `FILE.new`, synced to the disk, renamed over the one before, and the directory is
/// synced: after a crash at any moment the file is the one before or the one after; where the file system has no sync for
/// directories, as far as it keeps a rename. It begins with a line that has a checksum; what follows is JSON that a person can
/// read. It holds no token. A link is followed, to a file that does not exist yet too.
///
/// A lock on `FILE.lock`, which stays behind, keeps everybody else away as long as the store lives, on this machine; over
/// a network file system as far as that has locks. An account is followed by one subscription at a time, and has a
/// file of its own; a [`CheckpointDirectory`](super::CheckpointDirectory) keeps those of many accounts.
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
    // Dropped in this order: a write comes to its end under the lock.
    slot: Slot,
    _lock: Lock,
}

impl CheckpointFile {
    /// Opens the file, which need not be there yet, and keeps everybody else from doing so. Its directory has to be there.
    ///
    /// It waits for the disk, not for another process that has the file: call it where a program starts.
    ///
    /// # Errors
    ///
    /// When another process has it, or this one a second time; when there is no such directory, or the lock can't be made
    /// in it. The sentence names the file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let path = path.as_ref();
        let failed = CheckpointError::of_file_because(path, "it can't be there");
        let path = real_path(path).map_err(failed)?;
        Ok(Self {
            _lock: Lock::of(&path, &beside(&path, "lock"))?,
            slot: Slot::new(path),
        })
    }

    /// The file, by its full name.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.slot.path()
    }
}

#[async_trait]
impl CheckpointStore for CheckpointFile {
    async fn load(&self, key: &str) -> Result<Option<Checkpoint>, CheckpointError> {
        self.slot.load(key).await
    }

    async fn save(&self, key: &str, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        self.slot.save(key, checkpoint).await
    }

    fn location(&self, _key: &str) -> String {
        self.slot.path().display().to_string()
    }
}
