//! A credential in a file.
//!
//! [`CredentialFile`] is a [`CredentialStore`] for processes on one machine: a lock file admits one
//! of them at a time, and each save replaces the file atomically. Blocking calls run on threads of
//! their own.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::{Credential, CredentialStore, LockedCredential};
use crate::auth::{TokenError, TokenErrorKind};
use crate::sys::atomic_file::{adopt, beside, private, read, real_path, temporary_path, write};
use crate::sys::{blocking_thread, lock};

/// The largest file that is read, 64 KiB. A credential has a few hundred bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// The wait between two attempts to lock the file.
const LOCK_INTERVAL: Duration = Duration::from_millis(20);

/// The number of attempts to lock the file: 90 s in total, longer than an exchange takes.
const LOCK_TRIES: u32 = 4_500;

/// The initial capacity of a credential's text, in bytes. A buffer that grows leaves copies of the
/// secret behind.
const USUAL_BYTES: usize = 4 * 1024;

/// A [`Credential`] in a file that only its owner can read (mode 0600 on Unix).
///
/// The file is JSON. The shortest one is `{"refresh_token": "…"}`.
///
/// **Durability.** A save writes `FILE.new`, syncs it to the disk, renames it over `FILE`, and
/// syncs the directory. After a crash at any moment, the file has either the old or the new
/// content. Some file systems can't sync a directory: there, a rename is as durable as the file
/// system makes it. If a process was killed before the rename, the next process takes the new token
/// from `FILE.new`. If `FILE` is a symbolic link, the target is replaced or created, and the link
/// stays.
///
/// **Locking.** A lock on `FILE.lock` admits one process at a time. The others wait for up to 90 s,
/// and then get a transient error. `FILE.lock` is never deleted. The lock works on one machine, and
/// on a network file system that supports locks.
///
/// **Failures.** If the disk is full or fails, the token source retries. If the file system is
/// read-only, or a permission or the directory is missing, the stream stops. There is one
/// exception. If Box has already exchanged the token, the source retries until the new one is
/// saved, because no other copy exists.
///
/// The token source accesses the file on a thread of its own, so it does not block the executor.
/// [`open`](Self::open), [`create`](Self::create) and [`replace`](Self::replace) block the calling
/// thread.
#[derive(Clone, Debug)]
pub struct CredentialFile {
    path: PathBuf,
}

impl CredentialFile {
    /// Opens a file that exists.
    ///
    /// # Errors
    ///
    /// Returns an error if the file does not exist, can't be read, or has no credential. The
    /// error's text names the file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, TokenError> {
        let path = path.as_ref();
        let path = real_path(path).map_err(|error| failed(path, "can't be opened", &error))?;
        load(&path)?;
        Ok(Self { path })
    }

    /// Creates the file, for a credential that the user has just authorized.
    ///
    /// It blocks for at most 90 s while another process has the lock.
    ///
    /// # Errors
    ///
    /// Returns an error if the file exists, because it may have the only token that works. Also
    /// returns an error if the file can't be written or locked. The error's text names the file.
    pub fn create(path: impl AsRef<Path>, credential: &Credential) -> Result<Self, TokenError> {
        let path = path.as_ref();
        let path = real_path(path).map_err(|error| failed(path, "can't be created", &error))?;
        let is_new = || {
            if path.exists() {
                let there = io::ErrorKind::AlreadyExists.into();
                return Err(failed(&path, "can't be created", &there));
            }
            Ok(())
        };
        is_new()?;
        let (_waiter, dropped) = channel();
        let locked = Locked::wait(&path, &dropped)?;
        is_new()?;
        save(&locked.path, credential)?;
        Ok(Self { path })
    }

    /// Replaces the credential in the file, after a user has authorized the application again.
    /// Clients of this file use the new credential from their next refresh on.
    ///
    /// It blocks for at most 90 s while another process or client exchanges the token.
    ///
    /// # Errors
    ///
    /// Returns an error if the file can't be written, or is still locked after that time. The
    /// error's text names the file.
    pub fn replace(&self, credential: &Credential) -> Result<(), TokenError> {
        let (_waiter, dropped) = channel();
        let locked = Locked::wait(&self.path, &dropped)?;
        save(&locked.path, credential)
    }

    /// Returns the absolute path of the file, without symbolic links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[async_trait]
impl CredentialStore for CredentialFile {
    async fn lock(&self) -> Result<Box<dyn LockedCredential>, TokenError> {
        let path = self.path.clone();
        // The sender is dropped with this future. The thread notices that, and stops waiting for
        // the lock.
        let (_waiter, dropped) = channel();
        let locked = on_own_thread(move || Locked::wait(&path, &dropped)).await?;
        Ok(Box::new(LockedFile(Arc::new(Mutex::new(locked)))))
    }
}

/// A locked file. If the future of a call is dropped, the call still holds the lock until it ends.
struct LockedFile(Arc<Mutex<Locked>>);

impl LockedFile {
    /// Runs work on the locked file, on a thread of its own.
    async fn with<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> Result<R, TokenError> + Send + 'static,
    ) -> Result<R, TokenError> {
        let locked = self.0.clone();
        on_own_thread(move || work(&lock(&locked).path)).await
    }
}

#[async_trait]
impl LockedCredential for LockedFile {
    async fn load(&mut self) -> Result<Credential, TokenError> {
        self.with(load_newest).await
    }

    async fn save(&mut self, credential: &Credential) -> Result<(), TokenError> {
        let credential = credential.clone();
        self.with(move |path| save(path, &credential)).await
    }
}

/// The lock of a file. The operating system releases it when the process ends.
struct Locked {
    path: PathBuf,
    lock: File,
}

impl Locked {
    /// Waits for the lock for up to 90 s, or until the sender of `dropped` is dropped.
    ///
    /// It polls, because the operating system's own wait for a file lock has no timeout.
    fn wait(path: &Path, dropped: &Receiver<()>) -> Result<Self, TokenError> {
        let failed = |error: &io::Error| failed(path, "can't be locked", error);
        let lock = private()
            .write(true)
            .create(true)
            .truncate(false)
            .open(beside(path, "lock"))
            .map_err(|error| failed(&error))?;
        for _ in 0..LOCK_TRIES {
            match lock.try_lock() {
                Ok(()) => {
                    let path = path.to_owned();
                    return Ok(Self { path, lock });
                }
                Err(TryLockError::Error(error)) => return Err(failed(&error)),
                Err(TryLockError::WouldBlock) => {}
            }
            if let Err(RecvTimeoutError::Disconnected) = dropped.recv_timeout(LOCK_INTERVAL) {
                break;
            }
        }
        let path = path.display();
        Err(TokenError::transient(format!(
            "the credential {path} is locked: another process has held its lock for 90 s"
        )))
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Closing the file does not release the lock if a child process is being started: the child
        // shares the open file until it executes its own program.
        let _ = self.lock.unlock();
    }
}

/// Runs the work on a thread of its own.
async fn on_own_thread<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, TokenError> + Send + 'static,
) -> Result<R, TokenError> {
    let outcome = blocking_thread::spawn_blocking("box-longpoll-credential", work).await;
    outcome.unwrap_or_else(|error| {
        let text = format!("the credential's store failed: {error}");
        Err(TokenError::transient(text))
    })
}

/// Reads the credential in a file.
fn load(path: &Path) -> Result<Credential, TokenError> {
    let unusable = |why: &str| {
        let path = path.display();
        TokenError::permanent(format!(
            "the credential {path} can't be used, and stays unchanged: {why}"
        ))
    };
    let text = read(path, MAX_BYTES).map_err(|error| failed(path, "can't be read", &error))?;
    let text = Zeroizing::new(text.ok_or_else(|| unusable("there is no such file"))?);
    crate::json::read(&text).map_err(|error| {
        // The parser's own text may quote secrets from the file.
        let (line, column) = (error.line(), error.column());
        unusable(&format!(
            "it is not JSON with a refresh_token, from line {line}, column {column} on"
        ))
    })
}

/// Reads the newest credential of a locked file.
///
/// A process may have been killed after it wrote the outcome of an exchange to `FILE.new` and
/// before the rename. This function then completes the rename.
fn load_newest(path: &Path) -> Result<Credential, TokenError> {
    let kept = load(path)?;
    if kept.exchanging_since.is_some()
        && let Ok(newer) = load(&temporary_path(path))
        && newer.access.is_some()
        && newer.exchanging_since.is_none()
    {
        adopt(path).map_err(|error| failed(path, "can't be written", &error))?;
        return Ok(newer);
    }
    Ok(kept)
}

/// Replaces the credential in a file.
fn save(path: &Path, credential: &Credential) -> Result<(), TokenError> {
    let mut text = Zeroizing::new(Vec::with_capacity(USUAL_BYTES));
    serde_json::to_writer_pretty(&mut *text, credential)
        .map_err(io::Error::from)
        .and_then(|()| write(path, &text, private()))
        .map_err(|error| failed(path, "can't be written", &error))
}

/// Returns the error of an operation on a file. `what` is a predicate, such as "can't be read".
fn failed(path: &Path, what: &str, error: &io::Error) -> TokenError {
    let kind = if may_recover(error) {
        TokenErrorKind::Transient
    } else {
        TokenErrorKind::Permanent
    };
    let path = path.display();
    TokenError::new(kind, format!("the credential {path} {what}: {error}"))
}

/// Returns `true` if a retry may succeed although nobody repairs the file, its directory or its
/// file system.
fn may_recover(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidFilename
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::NotFound
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::Unsupported
    )
}
