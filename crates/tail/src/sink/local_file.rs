//! The files that sinks write: their real paths, the locks that keep other programs away, and
//! directories that survive a crash.

use std::error::Error;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::{Failure, SinkError};

/// Returns the absolute path of a file, without symbolic links. The file need not exist yet, but
/// its directory must.
///
/// All programs must find the same lock beside the file, whatever path they were given.
pub(super) fn real_path(path: &Path) -> io::Result<PathBuf> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => fs::canonicalize(path),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file: for a pipe or a device, leave out --to and redirect \
             standard output",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                return Err(error);
            };
            Ok(fs::canonicalize(Path::new(".").join(parent))?.join(name))
        }
        Err(error) => Err(error),
    }
}

/// Returns the path of a file that belongs to this one: the same name with one more extension.
pub(super) fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

/// Creates a file if it does not exist, and locks it until the value is dropped. The file itself is
/// not deleted, because another program may already wait for it.
pub(super) fn lock(path: &Path) -> io::Result<File> {
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "it is in use by another process",
        )),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Returns `true` if an open file has no name any more. Only Unix permits that.
#[cfg(unix)]
pub(super) fn is_deleted(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    file.metadata().is_ok_and(|found| found.nlink() == 0)
}

#[cfg(not(unix))]
pub(super) fn is_deleted(_file: &File) -> bool {
    false
}

/// Makes new names in the directory of a file durable.
///
/// Some file systems, such as network ones, can't sync directories and return `EINVAL`. Systems
/// other than Unix can't open directories. In both cases, a new name is as durable as the file
/// system makes it.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    let Some(directory) = path.parent().filter(|_| cfg!(unix)) else {
        return Ok(());
    };
    match File::open(directory)?.sync_all() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        outcome => outcome,
    }
}

/// Returns a function that turns an error of this file into that of a sink. No event of the page
/// was written.
pub(super) fn failed<E>(path: &Path) -> impl FnOnce(E) -> SinkError + use<E>
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let path = path.display().to_string();
    |error| SinkError::new(Failure::Unavailable, 0, path).because(error)
}
