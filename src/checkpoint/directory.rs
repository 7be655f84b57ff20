//! The checkpoints of many accounts in a directory.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::slot::{Lock, Slot};
use super::{Checkpoint, CheckpointError, CheckpointStore};
use crate::sys::lock;

/// File systems take names of 255 bytes; `.new` is added to this.
const LONGEST_NAME: usize = 240;

/// The checkpoints of many accounts, each in a file of one directory, with one lock for all of them.
///
/// Each file is written as a [`CheckpointFile`](super::CheckpointFile) is: after a crash at any moment it is the one before or
/// the one after. Its name is `checkpoint.` and the key, in which lowercase letters, digits, `-` and `_` stand for themselves
/// and any other byte is written as `%` and two digits: no two keys share a file on any file system.
///
/// A lock on the file `lock`, which stays behind, keeps everybody else away from the directory as long as the store lives.
/// Wrap the store in an [`Arc`] to give it to many subscriptions:
///
/// ```no_run
/// # use std::sync::Arc;
/// # use box_longpoll::checkpoint::CheckpointDirectory;
/// # use box_longpoll::{HttpTransport, LongPollClient, StartAt, StreamMap};
/// # fn follow<T: HttpTransport>(client: &LongPollClient<T>, users: Vec<String>) -> Result<(), Box<dyn std::error::Error>> {
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
    // Dropped in this order: writes come to their end under the lock.
    slots: Mutex<HashMap<String, Arc<Slot>>>,
    _lock: Lock,
}

impl CheckpointDirectory {
    /// Opens the directory, which has to be there, and keeps everybody else from doing so.
    ///
    /// It waits for the disk, not for another process that has the directory: call it where a program starts.
    ///
    /// # Errors
    ///
    /// When another process has it, or this one a second time; when there is no such directory, or the lock can't be made
    /// in it. The sentence names the directory.
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

    /// Returns the directory, by its full name.
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

/// Returns a name that no other key has, also where a file system does not tell upper from lower case.
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
