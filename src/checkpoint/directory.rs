//! A store that keeps the checkpoints of many accounts in a directory.
//!
//! Each account has a [`Slot`], which is one file, and one [`Lock`] protects the entire directory
//! from other processes. The store never deletes a checkpoint. Start at
//! [`CheckpointDirectory::open`].

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::slot::{Lock, Slot};
use super::{Checkpoint, CheckpointError, CheckpointStore};
use crate::sys::lock;

/// The most bytes of a file's name. File systems permit 255, and writing appends `.new`.
const LONGEST_NAME: usize = 240;

/// A store that keeps the checkpoints of many accounts in one directory, each in a file of its own.
///
/// It writes each file as a [`CheckpointFile`](super::CheckpointFile) does: after a crash at any
/// moment, the file is the old one or the new one. The file's name is `checkpoint.` and the key.
/// Lowercase letters, digits, `-` and `_` stand for themselves, and any other byte is written as
/// `%` and two hexadecimal digits. In this form, a key may have up to 229 bytes; with a longer key,
/// the subscription ends with an error. No two keys share a file on any file system. The ids of a
/// [history](crate::StartAt::Since) are in a second file, with the same name and `.ids`.
///
/// A lock on the file `lock` keeps all other stores and processes away from the directory until
/// this store is dropped. The lock file itself is not deleted. To share the store between
/// subscriptions, wrap it in an [`Arc`]:
///
/// ```no_run
/// # use std::sync::Arc;
/// # use box_longpoll::checkpoint::CheckpointDirectory;
/// # use box_longpoll::{HttpTransport, LongPollClient, StartAt, StreamMap};
/// # fn follow<T: HttpTransport>(
/// #     client: &LongPollClient<T>,
/// #     users: Vec<String>,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(CheckpointDirectory::open("checkpoints")?);
/// let mut streams = StreamMap::new();
/// for user in users {
///     let updates = client.as_user(&user)?.subscribe(store.clone(), &user, StartAt::Now);
///     streams.insert(user, updates);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct CheckpointDirectory {
    path: PathBuf,
    // Fields are dropped in this order, so that the last write ends before the lock is released.
    slots: Mutex<HashMap<String, Arc<Slot>>>,
    _lock: Lock,
}

impl CheckpointDirectory {
    /// Opens the directory, which must exist, and locks it.
    ///
    /// This call blocks the thread while it uses the disk. It does not wait for another process
    /// that has the directory open. Call it when your program starts.
    ///
    /// # Errors
    ///
    /// The directory does not exist, its lock can't be created, or another store of this or another
    /// process has it open. The message names the directory.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let path = path.as_ref();
        let failed = CheckpointError::of_file_because(path, "there is no such directory");
        let path = fs::canonicalize(path).map_err(failed)?;
        Ok(Self {
            _lock: Lock::of(&path, &path.join("lock"))?,
            slots: Mutex::default(),
            path,
        })
    }

    /// Returns the absolute path of the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn file_of(&self, key: &str) -> PathBuf {
        self.path.join(file_name(key))
    }

    fn slot(&self, key: &str) -> Result<Arc<Slot>, CheckpointError> {
        let file = self.file_of(key);
        if file_name(key).len() > LONGEST_NAME {
            return Err(CheckpointError::of_file(
                &file,
                "its name is too long for a file: take a shorter key",
            ));
        }
        let mut slots = lock(&self.slots);
        let slot = slots.entry(key.to_owned());
        Ok(slot.or_insert_with(|| Arc::new(Slot::new(file))).clone())
    }
}

/// Returns a name that no other key has, even on a file system that ignores case.
fn file_name(key: &str) -> String {
    let mut name = "checkpoint.".to_owned();
    for byte in key.bytes() {
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_') {
            name.push(byte.into());
        } else {
            let _ = write!(name, "%{byte:02x}");
        }
    }
    name
}

#[async_trait]
impl CheckpointStore for CheckpointDirectory {
    async fn load(&self, key: &str) -> Result<Option<Checkpoint>, CheckpointError> {
        self.slot(key)?.load(key).await
    }

    async fn save(&self, key: &str, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        self.slot(key)?.save(key, checkpoint).await
    }

    fn location(&self, key: &str) -> String {
        self.file_of(key).display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_differ_on_every_file_system() {
        let keys = ["ada", "Ada", "../ada", "", ".", "a%64a", "é", "con"];
        let names = keys.map(file_name);
        assert_eq!(names[1], "checkpoint.%41da");
        assert_eq!(names[2], "checkpoint.%2e%2e%2fada");
        for (n, name) in names.iter().enumerate() {
            assert!(
                !names[..n]
                    .iter()
                    .any(|other| other.eq_ignore_ascii_case(name))
            );
            assert!(!name.contains(['/', '\\', ':']), "{name}");
        }
    }
}
