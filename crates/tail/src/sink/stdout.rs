//! [`Stdout`]: events on standard output, one on each line.

use std::io::{self, IsTerminal as _, Write as _};

use async_trait::async_trait;
use box_longpoll::Event;

use super::{Failure, Page, Sink, SinkError};
use crate::output::Format;
use crate::report::without_status_line;

/// Standard output. Events are in the pipe, the file or the terminal once they are written.
pub(crate) struct Stdout {
    format: Format,
    is_terminal: bool,
}

impl Stdout {
    pub(crate) fn new(format: Format) -> Self {
        Self {
            format,
            is_terminal: io::stdout().is_terminal(),
        }
    }

    fn line(&self, event: &Event) -> String {
        if self.is_terminal {
            self.format.line_for_terminal(event)
        } else {
            self.format.line(event)
        }
    }
}

#[async_trait]
impl Sink for Stdout {
    async fn write(&mut self, page: Page<'_>) -> Result<(), SinkError> {
        let mut lines = String::new();
        for event in page.events {
            lines.push_str(&self.line(event));
            lines.push('\n');
        }
        print(lines).await
    }
}

/// Writes a text to standard output on a thread of its own, so that a slow reader does not block the
/// main loop, which still reacts to Ctrl-C.
pub(crate) async fn print(text: String) -> Result<(), SinkError> {
    // It may be the terminal of the status line.
    let _hidden = without_status_line();
    let task = tokio::task::spawn_blocking(move || {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    });
    let written = task.await.map_err(io::Error::other);
    written.flatten().map_err(failed)
}

fn failed(error: io::Error) -> SinkError {
    let kind = match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::ReaderLeft,
        _ => Failure::Unavailable,
    };
    SinkError::new(kind, 0, "standard output").because(error)
}
