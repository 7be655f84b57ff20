//! Files that are replaced atomically.
//!
//! [`write`] makes a new file durable before it renames it over the old one. After a crash at any
//! moment, a file therefore has either its old or its new content. This module does not lock files:
//! callers do that.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Returns the absolute path of a file, without symbolic links.
///
/// All processes must find the same lock beside the file, whatever path they were given, and even
/// if they change their directory. A link to a file that does not exist yet leads to that file.
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

/// Returns the path of a file that belongs to this one: the same name with one more extension.
pub(crate) fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

/// The bytes that a buffer has free when its last read finds the end of the file, so that it does
/// not grow for that read.
const ROOM_FOR_THE_END: usize = 64;

/// Returns the content of the file, or `None` if the file does not exist. A file of more than
/// `at_most` bytes is an error.
pub(crate) fn read(path: &Path, at_most: u64) -> io::Result<Option<Vec<u8>>> {
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    // Opening a pipe would block.
    if !found.is_file() {
        return Err(unusable("it is not a file"));
    }
    // The content may be secret, and a buffer that grows leaves copies. So the buffer has room for
    // all of it, and for the read that finds the end.
    let room = usize::try_from(found.len().min(at_most)).unwrap_or_default() + ROOM_FOR_THE_END;
    let mut content = Vec::with_capacity(room);
    // Some file systems report a length of 0, and the file may grow meanwhile.
    File::open(path)?
        .take(at_most + 1)
        .read_to_end(&mut content)?;
    if content.len() as u64 > at_most {
        return Err(unusable("it is too long"));
    }
    Ok(Some(content))
}

fn unusable(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Replaces the content of the file. `options` create the new file. The change is durable when this
/// returns.
pub(crate) fn write(path: &Path, text: &[u8], mut options: OpenOptions) -> io::Result<()> {
    let new = temporary_path(path);
    // A process that was killed may have left one.
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

/// Replaces the file by a new one that another process left in its temporary path. The change is
/// durable when this returns.
///
/// This syncs the new file first. The process may have ended before it did so, and a rename can
/// become durable before the content of the file that it renames.
pub(crate) fn adopt(path: &Path) -> io::Result<()> {
    let new = OpenOptions::new().write(true).open(temporary_path(path))?;
    new.sync_all()?;
    drop(new);
    put_in_place(path)
}

/// Returns the path of the new file until the rename. A process that was killed leaves it there,
/// complete or in part.
pub(crate) fn temporary_path(path: &Path) -> PathBuf {
    beside(path, "new")
}

/// Renames the new file, whose content is durable, over the old one. The change is durable when
/// this returns.
fn put_in_place(path: &Path) -> io::Result<()> {
    fs::rename(temporary_path(path), path)?;
    sync_directory(path)
}

/// Returns the options that create files which only their owner can read.
#[cfg(unix)]
pub(crate) fn private() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;

    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Returns the options that create files. On these systems, the directory decides who can read
/// them.
#[cfg(not(unix))]
pub(crate) fn private() -> OpenOptions {
    OpenOptions::new()
}

/// Syncs the directory of a file: without this, a crash of the machine may undo a rename.
///
/// Some file systems, such as network and user-space ones, can't sync directories and return
/// `EINVAL`. Systems other than Unix can't open directories. In both cases, a rename is as durable
/// as the file system makes it.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
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

    /// A save succeeds on a file system that can't sync directories, such as `/proc`.
    #[test]
    fn sync_succeeds_when_directories_have_none() {
        let directory = Path::new("/proc/self");
        let error = File::open(directory).unwrap().sync_all().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        sync_directory(&directory.join("file")).unwrap();
    }

    #[test]
    fn read_is_bounded_when_a_file_reports_a_length_of_0() {
        let path = Path::new("/proc/self/maps");
        assert_eq!(fs::metadata(path).unwrap().len(), 0);
        let error = read(path, 16).unwrap_err();
        assert_eq!(error.to_string(), "it is too long");
    }
}
