//! The file of the ids of a history, beside the file of a checkpoint.
//!
//! Each save appends to it before it replaces the checkpoint, whose number of ids says how much of
//! the file counts. The rest is from saves that did not end, and the next one overwrites it. The
//! file has 12 bytes for each id, and nothing else.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::checkpoint::{MAX_HISTORY_IDS, NewIds};
use crate::dedup::HASH_BYTES;
use crate::sys::atomic_file::{beside, sync_directory};

/// Returns the path of the ids of a checkpoint's file.
pub(super) fn path_of(checkpoint: &Path) -> PathBuf {
    beside(checkpoint, "ids")
}

/// Writes the new ids after those that count, and replaces everything after those. They are durable
/// when this returns.
pub(super) fn append(checkpoint: &Path, new: &NewIds) -> io::Result<()> {
    let path = path_of(checkpoint);
    let is_new = !path.exists();
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)?;
    // If a part of the file was lost, zeros take its place. They are not the hash of an id.
    let start = place(new.after());
    file.seek(SeekFrom::Start(start))?;
    file.write_all(new.as_bytes())?;
    // The file is cut last: after a save whose outcome is unknown, the checkpoint may count ids
    // that this save writes again.
    file.set_len(start + new.as_bytes().len() as u64)?;
    file.sync_all()?;
    if is_new {
        sync_directory(&path)?;
    }
    Ok(())
}

/// Returns the latest of the first `count` ids. There are fewer if a part of the file was lost.
pub(super) fn read(checkpoint: &Path, count: u64) -> io::Result<Vec<u8>> {
    let kept = count.min(MAX_HISTORY_IDS as u64);
    let mut ids = Vec::new();
    match File::open(path_of(checkpoint)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ids),
        file => {
            let mut file = file?;
            file.seek(SeekFrom::Start(place(count - kept)))?;
            file.take(place(kept)).read_to_end(&mut ids)?;
        }
    }
    ids.truncate(ids.len() / HASH_BYTES * HASH_BYTES);
    Ok(ids)
}

/// Removes the file, if there is one.
pub(super) fn remove(checkpoint: &Path) -> io::Result<()> {
    match fs::remove_file(path_of(checkpoint)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Returns the place of the end of this many ids.
fn place(count: u64) -> u64 {
    count.saturating_mul(HASH_BYTES as u64)
}
