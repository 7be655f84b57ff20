//! [`JsonLines`]: events in a file, one on each line.
//!
//! A page is durable before its position moves. [`LogFile`] appends it, and moves full files away;
//! [`Rotation`] says when. With compression, each page is a complete gzip member.

mod encoding;
mod log_file;
mod rotation;
mod torn_end;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;

pub(crate) use self::encoding::Encoding;
use self::log_file::LogFile;
pub(crate) use self::rotation::Rotation;
use self::torn_end::Lines;
use super::local_file::failed;
use super::{Page, Sink, SinkError};
use crate::output::Format;

/// A file of lines.
pub(crate) struct JsonLines {
    path: PathBuf,
    file: Arc<Mutex<LogFile>>,
    format: Format,
    encoding: Encoding,
}

impl JsonLines {
    /// Opens the file, which need not exist yet, and keeps other programs away from it. A page that
    /// a killed program has left incomplete is cut off. Fails if another program has written the end
    /// of the file.
    pub(crate) fn open(
        path: &Path,
        format: Format,
        encoding: Encoding,
        rotation: Rotation,
    ) -> Result<Self, SinkError> {
        let lines = match format {
            Format::Json | Format::Ecs | Format::Ocsf => Lines::Json,
            Format::Readable(_) | Format::Template(_) => Lines::Text,
        };
        let file = LogFile::open(path, encoding, lines, rotation).map_err(failed(path))?;
        Ok(Self {
            path: path.to_owned(),
            file: Arc::new(Mutex::new(file)),
            format,
            encoding,
        })
    }

    /// Runs the work on a thread that may block.
    async fn run(
        &self,
        work: impl FnOnce(&mut LogFile) -> io::Result<()> + Send + 'static,
    ) -> Result<(), SinkError> {
        let file = self.file.clone();
        let task = tokio::task::spawn_blocking(move || {
            work(&mut file.lock().unwrap_or_else(PoisonError::into_inner))
        });
        let outcome = task.await.map_err(io::Error::other);
        outcome.flatten().map_err(failed(&self.path))
    }
}

#[async_trait]
impl Sink for JsonLines {
    async fn write(&mut self, page: Page<'_>) -> Result<(), SinkError> {
        if page.events.is_empty() {
            return Ok(());
        }
        let mut lines = String::new();
        for event in page.events {
            lines.push_str(&self.format.line(event));
            lines.push('\n');
        }
        let encoding = self.encoding;
        self.run(move |file| file.append(&encoding.encode(lines)?, Timestamp::now()))
            .await
    }

    fn has_files(&self) -> bool {
        true
    }

    async fn reopen(&mut self) {
        // It can only fail by a panic, which has its own message.
        let _ = self
            .run(|file| {
                file.reopen();
                Ok(())
            })
            .await;
    }
}
