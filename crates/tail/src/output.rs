//! Events on standard output.

use std::io::{self, Write as _};

use box_longpoll::{Batch, Event};

use crate::line::Line;

/// Writes events, up to a number of them.
pub(crate) struct Output {
    format: Format,
    /// How many more are wanted; `None` for all there will ever be.
    wanted: Option<u64>,
}

/// How an event is written.
pub(crate) enum Format {
    /// For people.
    Readable(Line),
    /// As Box sent it.
    Json,
}

/// How much of a batch was written.
pub(crate) enum Shown {
    Whole,
    /// No more events are wanted.
    Part,
}

impl Output {
    pub(crate) fn new(format: Format, wanted: Option<u64>) -> Self {
        Self { format, wanted }
    }

    pub(crate) fn has_enough(&self) -> bool {
        self.wanted == Some(0)
    }

    /// Writes a batch, or as much of it as is wanted. When this returns, it is with the reader.
    ///
    /// The thread that follows Box is not blocked by a slow reader: it still hears Ctrl-C.
    pub(crate) async fn show(&mut self, batch: &Batch) -> io::Result<Shown> {
        let mut lines = String::new();
        let mut shown = Shown::Whole;
        for event in batch {
            match &mut self.wanted {
                Some(0) => {
                    shown = Shown::Part;
                    break;
                }
                Some(wanted) => *wanted -= 1,
                None => {}
            }
            lines.push_str(&self.format.line(event));
            lines.push('\n');
        }
        let written = tokio::task::spawn_blocking(move || {
            let mut stdout = io::stdout().lock();
            stdout.write_all(lines.as_bytes())?;
            stdout.flush()
        });
        written.await.map_err(io::Error::other)??;
        Ok(shown)
    }
}

impl Format {
    fn line(&self, event: &Event) -> String {
        match self {
            Format::Readable(line) => line.of(event),
            // Between JSON's tokens a line break is white space, and inside a string it can't stand.
            Format::Json => event.raw().replace(['\n', '\r'], " "),
        }
    }
}
