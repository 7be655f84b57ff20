//! [`Progress`]: how much of an enterprise's past is read, on standard error.
//!
//! On a terminal, it is a bar that is drawn again in its place. Elsewhere, such as in a log, it is a
//! line now and then.

use std::env;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use box_longpoll::enterprise::HistoryProgress;
use tokio::time::Instant;

/// The time between two drawings of the bar. It moves smoothly, and takes no time to draw.
const BAR_INTERVAL: Duration = Duration::from_millis(100);

/// The time between two lines.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// The number of characters of the bar. With the numbers beside it, it fits into 80 columns.
const BAR_WIDTH: u8 = 20;

/// Moves to the start of the line and clears it.
const CLEAR: &str = "\r\x1b[2K";

/// `true` while the bar stands on the terminal, of which there is one.
static BAR_IS_SHOWN: AtomicBool = AtomicBool::new(false);

/// Shows the progress now and then.
pub(super) struct Progress {
    is_on_terminal: bool,
    shown_at: Option<Instant>,
}

impl Progress {
    pub(super) fn new() -> Self {
        let is_dumb = env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        Self {
            is_on_terminal: io::stderr().is_terminal() && !is_dumb,
            shown_at: None,
        }
    }

    /// Shows the progress, unless it was shown a moment ago.
    pub(super) fn show(&mut self, progress: &HistoryProgress) {
        let is_shown = BAR_IS_SHOWN.load(Ordering::Relaxed);
        let interval = match self.is_on_terminal {
            // Lines have just taken the place of the bar.
            true if !is_shown => Duration::ZERO,
            true => BAR_INTERVAL,
            false => LINE_INTERVAL,
        };
        if self.shown_at.is_some_and(|at| at.elapsed() < interval) {
            return;
        }
        self.shown_at = Some(Instant::now());
        if self.is_on_terminal {
            write(&format!("{CLEAR}{} {progress}", bar(progress.share())));
            BAR_IS_SHOWN.store(true, Ordering::Relaxed);
        } else {
            write(&format!("{progress}\n"));
        }
    }
}

/// Removes the bar from the terminal, so that lines can be written there.
pub(super) fn hide() {
    if BAR_IS_SHOWN.swap(false, Ordering::Relaxed) {
        write(CLEAR);
    }
}

/// Returns the bar for a share of 0 to 1.
fn bar(share: f64) -> String {
    let is_done = |n: &u8| f64::from(*n) <= share * f64::from(BAR_WIDTH);
    let done = (1..=BAR_WIDTH).filter(is_done).count();
    let left = usize::from(BAR_WIDTH) - done;
    format!("[{}{}]", "#".repeat(done), ".".repeat(left))
}

/// Writes to standard error in one write. If it fails, the text is dropped: there is no other place
/// for it.
fn write(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
