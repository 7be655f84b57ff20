//! The log of one test, as a person reads it.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex};

use tracing::Level;
use tracing::subscriber::with_default;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::world::block_on;

/// The lines that this library has logged.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Returns the lines so far, without those of other libraries.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().map(str::trim);
        lines
            .filter(|line| line.contains(": box_longpoll::"))
            .map(str::to_owned)
            .collect()
    }

    /// Returns the lines so far that begin with this level, without it.
    pub(crate) fn at(&self, level: Level) -> Vec<String> {
        let level = format!("{level} ");
        let lines = self.lines().into_iter();
        lines
            .filter_map(|line| line.strip_prefix(&level).map(str::to_owned))
            .collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Does work on this thread, and collects its log from this level on. At the level of debugging, the
/// log has a line for the end of each span.
pub(crate) fn logged<W: Future>(level: Level, work: impl FnOnce(Log) -> W) -> W::Output {
    let log = Log::default();
    let writer = log.clone();
    let spans = if level >= Level::DEBUG {
        FmtSpan::CLOSE
    } else {
        FmtSpan::NONE
    };
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_span_events(spans)
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    with_default(subscriber, || block_on(work(log)))
}

/// Returns the value of a field on a line.
pub(crate) fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let name = format!("{name}=");
    let (_, rest) = line
        .split_once(&name)
        .unwrap_or_else(|| panic!("no {name} in {line}"));
    let end = rest.find([' ', '}']).unwrap_or(rest.len());
    &rest[..end]
}

/// Returns the number in a field on a line.
pub(crate) fn number(line: &str, name: &str) -> u64 {
    let text = field(line, name);
    text.parse()
        .unwrap_or_else(|_| panic!("{name} is no number: {line}"))
}
