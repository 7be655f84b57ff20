//! [`Output`]: events on standard output, as JSON or as lines for people.
//!
//! The output counts the events for `--count`. Everything else goes to standard error, through the
//! module `report`.

use std::io::{self, Write as _};

use box_longpoll::{Batch, Event};

use crate::line::Line;

/// Standard output, with the format and the number of events to write.
pub(crate) struct Output {
    format: Format,
    /// The number of events that are still to be written. `None` if there is no limit.
    remaining: Option<u64>,
}

/// The format of an event.
pub(crate) enum Format {
    /// A line for people.
    Readable(Line),
    /// Box's own JSON, on one line.
    Json,
}

/// The part of a batch that was written.
pub(crate) enum Written {
    /// All events of the batch.
    All,
    /// A part of the batch, up to the number of events that `--count` says.
    Part,
}

impl Output {
    pub(crate) fn new(format: Format, remaining: Option<u64>) -> Self {
        Self { format, remaining }
    }

    /// Returns `true` if as many events were written as `--count` says.
    pub(crate) fn has_enough(&self) -> bool {
        self.remaining == Some(0)
    }

    /// Writes a batch, or a part of it up to the limit. When this returns, the events are in the
    /// pipe, the file or the terminal.
    ///
    /// The write runs on a thread of its own, so a slow reader does not block the main loop, which
    /// still reacts to Ctrl-C.
    pub(crate) async fn write(&mut self, batch: &Batch) -> io::Result<Written> {
        let mut lines = String::new();
        let mut written = Written::All;
        for event in batch {
            match &mut self.remaining {
                Some(0) => {
                    written = Written::Part;
                    break;
                }
                Some(remaining) => *remaining -= 1,
                None => {}
            }
            lines.push_str(&self.format.line(event));
            lines.push('\n');
        }
        let task = tokio::task::spawn_blocking(move || {
            let mut stdout = io::stdout().lock();
            stdout.write_all(lines.as_bytes())?;
            stdout.flush()
        });
        task.await.map_err(io::Error::other)??;
        Ok(written)
    }
}

impl Format {
    /// Returns an event in this format, without a line break.
    fn line(&self, event: &Event) -> String {
        match self {
            Format::Readable(line) => line.of(event),
            // In JSON, a line break can only be white space between tokens. Strings have it
            // escaped.
            Format::Json => event.raw().replace(['\n', '\r'], " "),
        }
    }
}
