//! [`LogFile`]: a file that grows by a page at a time.
//!
//! After a crash at any moment, the file ends with at most one incomplete page. It is cut off when
//! the file is opened, before anything is appended. The file is opened again after an error, so the
//! bytes of a write that failed are cut off too, and a file that was deleted to make room on a full
//! disk is let go. A page that went to a deleted file is written again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::super::local_file::{beside, is_deleted, lock, real_path, sync_directory};
use super::torn_end::{self, End, Lines};
use super::{Encoding, Rotation};
use crate::report;

/// A file of pages.
pub(super) struct LogFile {
    path: PathBuf,
    encoding: Encoding,
    lines: Lines,
    rotation: Rotation,
    /// `None` after an error, or if another program may have moved the file away.
    file: Option<File>,
    _lock: File,
}

impl LogFile {
    pub(super) fn open(
        path: &Path,
        encoding: Encoding,
        lines: Lines,
        rotation: Rotation,
    ) -> io::Result<Self> {
        let path = real_path(path)?;
        let lock = lock(&beside(&path, "lock"))?;
        let file = open(&path, encoding, lines)?;
        Ok(Self {
            path,
            encoding,
            lines,
            rotation,
            file: Some(file),
            _lock: lock,
        })
    }

    /// Appends a page. It is durable when this returns. If this fails, nothing of it stays in the
    /// file, or the next opening of the file cuts off the incomplete part.
    pub(super) fn append(&mut self, page: &[u8], now: Timestamp) -> io::Result<()> {
        loop {
            let file = self.append_once(page, now)?;
            if !is_deleted(&file) {
                self.file = Some(file);
                return Ok(());
            }
        }
    }

    fn append_once(&mut self, page: &[u8], now: Timestamp) -> io::Result<File> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.open_again()?,
        };
        let (length, last_write) = end(&file)?;
        if self.rotation.is_due(length, page.len(), last_write, now) {
            drop(file);
            self.rotate(last_write)?;
            file = self.open_again()?;
        }
        let (length, _) = end(&file)?;
        if let Err(error) = file.write_all(page).and_then(|()| file.sync_data()) {
            let _ = file.set_len(length);
            return Err(error);
        }
        Ok(file)
    }

    /// Opens the file again for the next page, because another program has moved it away. If that
    /// fails, the next page tries it again.
    pub(super) fn reopen(&mut self) {
        self.file = self.open_again().ok();
    }

    fn open_again(&self) -> io::Result<File> {
        open(&self.path, self.encoding, self.lines)
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
fn open(path: &Path, encoding: Encoding, lines: Lines) -> io::Result<File> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    let found = file.metadata()?;
    let end = match encoding {
        Encoding::Plain => torn_end::end_of_last_line(&file, lines)?,
        Encoding::Gzip => End::At(torn_end::end_of_last_member(&file)?),
    };
    let (End::At(complete) | End::WithoutLineBreak(complete)) = end;
    if complete < found.len() {
        file.set_len(complete)?;
        report::print_line(&format!(
            "removed {} bytes of an incomplete page from the end of {}",
            found.len() - complete,
            path.display()
        ));
    }
    if let End::WithoutLineBreak(complete) = end {
        file.seek(SeekFrom::Start(complete))?;
        file.write_all(b"\n")?;
    }
    if complete < found.len() || matches!(end, End::WithoutLineBreak(_)) {
        // Rotation goes by the time of the last page. Only the owner of the file may set it.
        let _ = file.set_modified(found.modified()?);
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
