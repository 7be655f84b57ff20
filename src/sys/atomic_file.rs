//! Files that are whole after a crash at any moment: the one before or the one after.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The file's one name, whichever link or relative path leads to it: the lock is found by it, and it stays the same when
/// the process changes its directory. A link to a file that does not exist yet leads to that file.
pub(crate) fn real_path(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        outcome => return outcome,
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(unusable("it is not the name of a file"));
    };
    let parent = fs::canonicalize(Path::new(".").join(parent))?;
    let real = parent.join(name);
    match fs::read_link(&real) {
        Ok(target) => real_path(&parent.join(target)),
        Err(_) => Ok(real),
    }
}

/// The name of a file that belongs to this one.
pub(crate) fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

/// What is in the file. `None`: it is not there.
pub(crate) fn read(path: &Path, at_most: u64) -> io::Result<Option<Vec<u8>>> {
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    // To open a pipe would block.
    if !found.is_file() {
        return Err(unusable("it is not a file"));
    }
    if found.len() > at_most {
        return Err(unusable("it is far too long"));
    }
    // It may be a secret: this makes room for all of it first, since a text that is moved while it grows leaves a copy.
    fs::read(path).map(Some)
}

fn unusable(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Puts the text in place of what is in the file, by a new file that `options` create. It is durable when this returns.
pub(crate) fn write(path: &Path, text: &[u8], mut options: OpenOptions) -> io::Result<()> {
    let new = left_behind(path);
    // Left behind by a process that was killed.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = options.write(true).create_new(true).open(&new)?;
    file.write_all(text)?;
    file.sync_all()?;
    drop(file);
    put_in_place(path)
}

/// Puts a new file that another process left behind in place of the one before. It is durable when this returns.
///
/// The process may have ended before it synced the file, and a rename can become durable before what it renames.
pub(crate) fn adopt(path: &Path) -> io::Result<()> {
    let new = OpenOptions::new().write(true).open(left_behind(path))?;
    new.sync_all()?;
    drop(new);
    put_in_place(path)
}

/// What a process that was killed leaves of a new file, whole or in part.
pub(crate) fn left_behind(path: &Path) -> PathBuf {
    beside(path, "new")
}

/// Puts the new file, which is durable, in place of the one before. The change is durable when this returns.
fn put_in_place(path: &Path) -> io::Result<()> {
    fs::rename(left_behind(path), path)?;
    sync_directory(path)
}

/// Creates files that nobody but their owner can read.
#[cfg(unix)]
pub(crate) fn private() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;

    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Who can read a file is its directory's matter there.
#[cfg(not(unix))]
pub(crate) fn private() -> OpenOptions {
    OpenOptions::new()
}

/// Without this a crash of the machine may undo the rename.
///
/// Some file systems, network and user-space ones among them, have no sync for directories and say so with `EINVAL`. Other
/// systems than Unix can't open a directory. There a rename is as durable as the file system makes it.
fn sync_directory(path: &Path) -> io::Result<()> {
    let Some(directory) = path.parent().filter(|_| cfg!(unix)) else {
        return Ok(());
    };
    match File::open(directory)?.sync_all() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        outcome => outcome,
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_directory_without_sync_is_no_failure() {
        let directory = Path::new("/proc/self");
        let error = File::open(directory).unwrap().sync_all().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        sync_directory(&directory.join("file")).unwrap();
    }
}
