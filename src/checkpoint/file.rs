//! A store that keeps one checkpoint in one file.
//!
//! A [`CheckpointFile`] is a [`Slot`] with a [`Lock`] of its own. It exists for programs that
//! follow a single account; [`CheckpointDirectory`](super::CheckpointDirectory) keeps those of
//! many. Start at [`CheckpointFile::open`].

use std::path::Path;

use async_trait::async_trait;

use super::slot::{Lock, Slot, parsed};
use super::{Checkpoint, CheckpointError, CheckpointStore};
use crate::sys::atomic_file::{beside, real_path};

/// A store that keeps one checkpoint in one file.
///
/// The store writes `FILE.new` beside the file, syncs it to the disk, renames it over the old file,
/// and syncs the directory. After a crash at any moment, the file is the old one or the new one. If
/// the file system can't sync a directory, this is true only if the file system itself makes a
/// rename durable.
///
/// The file begins with a line that has a checksum, followed by JSON that a person can read. It
/// contains no token. If the file is damaged, loading it is an error, and the store leaves it as it
/// is. The store follows a symbolic link, even to a file that does not exist yet.
///
/// A subscription that starts with the [history](crate::StartAt::Since) of an enterprise has ids to
/// store beside the checkpoint. Before the store replaces the checkpoint, it appends the new ids to
/// `FILE.ids`, with 12 bytes for each event. It deletes that file once the ids are no longer
/// needed. If the file is lost or too short, a warning is logged, and events may be delivered
/// again.
///
/// A lock on `FILE.lock` keeps all other stores and processes on this machine away until this store
/// is dropped. The lock file itself is not deleted. On a network file system, the lock works only
/// if the file system supports locks. Use one file per account, and one subscription per account at
/// a time. A [`CheckpointDirectory`](super::CheckpointDirectory) keeps the checkpoints of many
/// accounts.
///
/// Each call runs on a thread of its own, so it never blocks an executor. Dropping the store
/// releases the file at once, with one exception: if a call was abandoned in the middle of its
/// write, the drop waits for that write.
///
/// ```no_run
/// # use box_longpoll::checkpoint::CheckpointFile;
/// # use box_longpoll::{HttpTransport, LongPollClient, StartAt, Update};
/// # async fn follow<T: HttpTransport>(
/// #     client: LongPollClient<T>,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
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
    // Fields are dropped in this order, so that the last write ends before the lock is released.
    slot: Slot,
    _lock: Lock,
}

impl CheckpointFile {
    /// Opens the file, which need not exist yet, and locks it. Its directory must exist.
    ///
    /// This call blocks the thread while it uses the disk. It does not wait for another process
    /// that has the file open. Call it when your program starts.
    ///
    /// # Errors
    ///
    /// The directory does not exist, the lock can't be created in it, or another store of this or
    /// another process has the file open. The message names the file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let path = path.as_ref();
        let failed = CheckpointError::of_file_because(path, "its path can't be resolved");
        let path = real_path(path).map_err(failed)?;
        Ok(Self {
            _lock: Lock::of(&path, &beside(&path, "lock"))?,
            slot: Slot::new(path),
        })
    }

    /// Reads the checkpoint in a file, for programs that show or copy it. Returns `None` if the file
    /// does not exist.
    ///
    /// This takes no lock, so it also works while a subscription uses the file. The ids of a history
    /// beside the checkpoint are not read. The call blocks the thread while it uses the disk.
    ///
    /// # Errors
    ///
    /// The file can't be read, is damaged, or has a newer format. The message names the file.
    pub fn read(path: impl AsRef<Path>) -> Result<Option<Checkpoint>, CheckpointError> {
        parsed(path.as_ref())
    }

    /// Returns the absolute path of the file.
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
