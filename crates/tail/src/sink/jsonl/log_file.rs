//! [`LogFile`]: a file that grows by a page at a time.
//!
//! After a crash at any moment, the file ends with at most one incomplete page. It is cut off when
//! the file is opened, before anything is appended. The file is opened again after an error, so the
//! bytes of a write that failed are cut off too, and a file that was deleted to make room on a full
//! disk is let go.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::super::local_file::{beside, lock, real_path, sync_directory};
use super::{Encoding, Rotation, torn_end};
use crate::report;

/// A file of pages.
pub(super) struct LogFile {
    path: PathBuf,
    encoding: Encoding,
    rotation: Rotation,
    /// `None` after an error, or if another program may have moved the file away.
    file: Option<File>,
    _lock: File,
}

impl LogFile {
    pub(super) fn open(path: &Path, encoding: Encoding, rotation: Rotation) -> io::Result<Self> {
        let path = real_path(path)?;
        let lock = lock(&beside(&path, "lock"))?;
        let file = open(&path, encoding)?;
        Ok(Self {
            path,
            encoding,
            rotation,
            file: Some(file),
            _lock: lock,
        })
    }

    /// Appends a page. It is durable when this returns. If this fails, nothing of it stays in the
    /// file, or the next opening of the file cuts off the incomplete part.
    pub(super) fn append(&mut self, page: &[u8], now: Timestamp) -> io::Result<()> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => open(&self.path, self.encoding)?,
        };
        let (length, last_write) = end(&file)?;
        if self.rotation.is_due(length, page.len(), last_write, now) {
            drop(file);
            self.rotate(last_write)?;
            file = open(&self.path, self.encoding)?;
        }
        let (length, _) = end(&file)?;
        if let Err(error) = file.write_all(page).and_then(|()| file.sync_data()) {
            let _ = file.set_len(length);
            return Err(error);
        }
        self.file = Some(file);
        Ok(())
    }

    /// Opens the file again for the next page, because another program has moved it away.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.file = Some(open(&self.path, self.encoding)?);
        Ok(())
    }

    /// Moves the file away. The opening of the next file makes that durable.
    fn rotate(&self, last_write: Timestamp) -> io::Result<()> {
        for number in 1.. {
            let name = rotated(&self.path, self.encoding, last_write, number);
            if !fs::exists(&name)? {
                return match fs::rename(&self.path, &name) {
                    // Another program has moved it away already.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                    outcome => outcome,
                };
            }
        }
        unreachable!("one of the names is free")
    }
}

/// Opens a file to append to it, and cuts off an incomplete page at its end.
fn open(path: &Path, encoding: Encoding) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    let length = file.metadata()?.len();
    let complete = match encoding {
        Encoding::Plain => torn_end::end_of_last_line(&file)?,
        Encoding::Gzip => torn_end::end_of_last_member(&file)?,
    };
    if complete < length {
        file.set_len(complete)?;
        report::print_line(&format!(
            "removed {} bytes of an incomplete page from the end of {}",
            length - complete,
            path.display()
        ));
    }
    file.sync_all()?;
    sync_directory(path)?;
    // Another program may cut the file to nothing after it has copied it, as `logrotate` does with
    // `copytruncate`. So each page goes to the end that the file has by then.
    OpenOptions::new().append(true).open(path)
}

/// Returns the length of a file, and the time of its last write.
fn end(file: &File) -> io::Result<(u64, Timestamp)> {
    let found = file.metadata()?;
    let last_write = Timestamp::try_from(found.modified()?).map_err(io::Error::other)?;
    Ok((found.len(), last_write))
}

/// Returns the name for a file that is moved away. Such names sort by time.
fn rotated(path: &Path, encoding: Encoding, last_write: Timestamp, number: u32) -> PathBuf {
    let stem = match encoding {
        Encoding::Plain => path.to_owned(),
        Encoding::Gzip => path.with_extension(""),
    };
    let mut name = stem.into_os_string();
    name.push(last_write.strftime("-%Y%m%dT%H%M%S.%3fZ").to_string());
    if number > 1 {
        name.push(format!("-{number}"));
    }
    name.push(encoding.extension());
    name.into()
}
