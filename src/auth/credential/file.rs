//! A credential in a file.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::{Credential, CredentialStore, LockedCredential};
use crate::auth::{TokenError, TokenErrorKind, lock};
use crate::sys::atomic_file::{adopt, beside, left_behind, private, read, real_path, write};
use crate::sys::blocking_thread;

/// The largest file that is read; a credential has a few hundred bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// How often to look whether the file is free, and how many times: 90 s, longer than an exchange takes.
const LOCK_INTERVAL: Duration = Duration::from_millis(20);
const LOCK_TRIES: u32 = 4_500;

/// Room for a credential, so that the text is not moved while it grows.
const USUAL_BYTES: usize = 4 * 1024;

/// A [`Credential`] in a file, which nobody but its owner can read (mode 0600, where there are modes).
///
/// It is JSON; `{"refresh_token": "…"}` is enough to begin with. It is written beside the file, as `FILE.new`, synced to
/// the disk, renamed over the one before, and the directory is synced: after a crash at any moment the file is the one
/// before or the one after; where the file system has no sync for directories, as far as it keeps a rename. The next process that
/// uses the file finds a new token that was written and not put in its place. A link is followed, to a file that does not exist
/// yet too.
///
/// A lock on `FILE.lock`, which stays behind, has one process at a time use it, on this machine; over a network file system as
/// far as that has locks. Processes that share it wait for each other.
///
/// A full disk, or a disk that fails, may recover: the token source tries again. A read-only file system, a missing
/// permission and a missing directory stop it, unless it has exchanged the token already: then it tries until the new one is
/// saved, because no other copy exists.
///
/// Each call runs on a thread of its own, so that the executor is not blocked, whichever it is.
#[derive(Clone, Debug)]
pub struct CredentialFile {
    path: PathBuf,
}

impl CredentialFile {
    /// The file, which is there already.
    ///
    /// # Errors
    ///
    /// When it is not there, or is no credential. The sentence names the file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, TokenError> {
        let path = path.as_ref();
        let path = real_path(path).map_err(|error| failed(path, "can't be opened", &error))?;
        load(&path)?;
        Ok(Self { path })
    }

    /// Makes the file, for a credential that was just authorized.
    ///
    /// # Errors
    ///
    /// When it is there already: it may hold the one token that works. The sentence names the file.
    pub fn create(path: impl AsRef<Path>, credential: &Credential) -> Result<Self, TokenError> {
        let path = path.as_ref();
        let path = real_path(path).map_err(|error| failed(path, "can't be made", &error))?;
        let is_new = || {
            if path.exists() {
                let there = io::ErrorKind::AlreadyExists.into();
                return Err(failed(&path, "can't be made", &there));
            }
            Ok(())
        };
        is_new()?;
        let (_wanted, gone) = channel();
        let locked = Locked::wait(&path, &gone)?;
        is_new()?;
        save(&locked.path, credential)?;
        Ok(Self { path })
    }

    /// Puts another credential in place of the one in the file: a user has authorized the application anew. Clients that use
    /// the file use it from their next renewal on.
    ///
    /// It blocks, for at most 90 s, while somebody exchanges the token.
    ///
    /// # Errors
    ///
    /// Where it can't be written, or is not free within that time. The sentence names the file.
    pub fn replace(&self, credential: &Credential) -> Result<(), TokenError> {
        let (_wanted, gone) = channel();
        let locked = Locked::wait(&self.path, &gone)?;
        save(&locked.path, credential)
    }

    /// The file, by its full name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[async_trait]
impl CredentialStore for CredentialFile {
    async fn lock(&self) -> Result<Box<dyn LockedCredential>, TokenError> {
        let path = self.path.clone();
        // Dropped with this future, which says that nobody waits any more.
        let (_here, gone) = channel();
        let locked = alone(move || Locked::wait(&path, &gone)).await?;
        Ok(Box::new(LockedFile(Arc::new(Mutex::new(locked)))))
    }
}

/// A file that others are kept from. A call that was abandoned keeps them from it until it has ended.
struct LockedFile(Arc<Mutex<Locked>>);

impl LockedFile {
    async fn with<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> Result<R, TokenError> + Send + 'static,
    ) -> Result<R, TokenError> {
        let locked = self.0.clone();
        alone(move || work(&lock(&locked).path)).await
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

/// The lock of a file, which the operating system gives free when the process ends.
struct Locked {
    path: PathBuf,
    lock: File,
}

impl Locked {
    /// Waits until nobody has the file, for so long, and while somebody wants it. No wait of the operating system's own ends
    /// in time.
    fn wait(path: &Path, gone: &Receiver<()>) -> Result<Self, TokenError> {
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
            if let Err(RecvTimeoutError::Disconnected) = gone.recv_timeout(LOCK_INTERVAL) {
                break;
            }
        }
        let path = path.display();
        Err(TokenError::transient(format!(
            "the credential {path} is in use by another process, which has not let go of it for 90 s"
        )))
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Closing it is not enough: a process that is being started has it too, until it runs its own program.
        let _ = self.lock.unlock();
    }
}

/// Runs the work on a thread of its own.
async fn alone<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, TokenError> + Send + 'static,
) -> Result<R, TokenError> {
    let outcome = blocking_thread::run("box-longpoll-credential", work).await;
    outcome.unwrap_or_else(|error| {
        let text = format!("the credential's store failed: {error}");
        Err(TokenError::transient(text))
    })
}

fn load(path: &Path) -> Result<Credential, TokenError> {
    let unusable = |why: &str| {
        let path = path.display();
        TokenError::permanent(format!(
            "the credential {path} can't be used, and is left as it is: {why}"
        ))
    };
    let text = read(path, MAX_BYTES).map_err(|error| failed(path, "can't be read", &error))?;
    let text = Zeroizing::new(text.ok_or_else(|| unusable("there is no such file"))?);
    crate::json::read(&text).map_err(|error| {
        // Its own text may quote what is in the file.
        let (line, column) = (error.line(), error.column());
        unusable(&format!(
            "it has to be JSON with a refresh_token, and is not from line {line}, column {column} on"
        ))
    })
}

/// The credential of a file that is locked: also where a process was killed when it had written the outcome of an exchange
/// and not put it in its place yet.
fn load_newest(path: &Path) -> Result<Credential, TokenError> {
    let kept = load(path)?;
    if kept.exchanging_since.is_some()
        && let Ok(left) = load(&left_behind(path))
        && left.access.is_some()
        && left.exchanging_since.is_none()
    {
        adopt(path).map_err(|error| failed(path, "can't be written", &error))?;
        return Ok(left);
    }
    Ok(kept)
}

fn save(path: &Path, credential: &Credential) -> Result<(), TokenError> {
    let mut text = Zeroizing::new(Vec::with_capacity(USUAL_BYTES));
    serde_json::to_writer_pretty(&mut *text, credential)
        .map_err(io::Error::from)
        .and_then(|()| write(path, &text, private()))
        .map_err(|error| failed(path, "can't be written", &error))
}

fn failed(path: &Path, what: &str, error: &io::Error) -> TokenError {
    let kind = if passes(error) {
        TokenErrorKind::Transient
    } else {
        TokenErrorKind::Permanent
    };
    let path = path.display();
    TokenError::new(kind, format!("the credential {path} {what}: {error}"))
}

/// Returns `true` if the failure may pass without somebody changing the file, its directory or its file system.
fn passes(error: &io::Error) -> bool {
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
