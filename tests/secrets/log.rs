//! The log of this program and of all its crates, at the level `TRACE`.

use std::io;
use std::sync::{Mutex, Once};

use tracing_log::LogTracer;

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Starts to collect the log, at the first call.
pub(crate) fn keep() {
    static KEPT: Once = Once::new();
    KEPT.call_once(|| {
        // The HTTP libraries log through the `log` crate. The documentation of `SurfTransport`
        // warns that async-h1 logs secrets at this level, so its records are left out.
        LogTracer::builder()
            .ignore_crate("async_h1")
            .init()
            .unwrap();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(|| Writer)
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

/// Returns everything that was logged so far.
pub(crate) fn text() -> String {
    String::from_utf8_lossy(&LOG.lock().unwrap()).into_owned()
}

struct Writer;

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
