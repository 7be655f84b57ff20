//! Standard error, and the place of the status line on it: the last line of the terminal.
//!
//! There is one terminal, so its state is global. Everything that is written to standard error goes
//! through [`print_line`], which moves the status line out of the way. If events go to the same
//! terminal, [`without_status_line`] does so. A pipe may be unread, so its lines go through
//! [`pipe`].

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use console::{Term, is_dumb};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike as _};

use super::narrow_term::NarrowTerm;
use super::pipe;

/// The most drawings of the status line per second.
const DRAWINGS: u8 = 10;

/// The status line, once there is one.
static LINE: OnceLock<ProgressBar> = OnceLock::new();

/// The number of [`Hidden`] values.
static HIDDEN: AtomicUsize = AtomicUsize::new(0);

/// The status line is not shown while this value exists.
pub(crate) struct Hidden;

/// Prints a line to standard error in one write, so that a killed program leaves no partial line.
///
/// If the write fails, the line is dropped: there is no other place for it.
pub(crate) fn print_line(line: &str) {
    let line = format!("{line}\n");
    if !io::stderr().is_terminal() {
        return pipe::write(line);
    }
    let write = || {
        let _ = io::stderr().write_all(line.as_bytes());
    };
    match LINE.get() {
        Some(status_line) => status_line.suspend(write),
        None => write(),
    }
}

/// Removes the status line until the returned value is dropped, so that events or another program
/// can write to the terminal.
#[must_use]
pub(crate) fn without_status_line() -> Hidden {
    HIDDEN.fetch_add(1, Ordering::Relaxed);
    remove_status_line();
    Hidden
}

/// Removes the status line from the terminal. The next change of the status shows it again.
pub(crate) fn remove_status_line() {
    if let Some(line) = LINE.get() {
        line.finish_and_clear();
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        HIDDEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns `true` if standard error is a terminal on which a line can be drawn again in its place.
pub(super) fn has_status_line() -> bool {
    Term::stderr().is_term() && !is_dumb()
}

/// Returns the number of columns for the status line.
pub(super) fn columns() -> usize {
    NarrowTerm::stderr().width().into()
}

/// Shows a text in the status line.
pub(super) fn show(text: String) {
    if HIDDEN.load(Ordering::Relaxed) > 0 {
        return;
    }
    let line = LINE.get_or_init(|| {
        let term = Box::new(NarrowTerm::stderr());
        let target = ProgressDrawTarget::term_like_with_hz(term, DRAWINGS);
        let style = ProgressStyle::with_template("{msg}").expect("the template is well-formed");
        ProgressBar::with_draw_target(None, target).with_style(style)
    });
    line.set_message(text);
    if line.is_finished() {
        line.reset();
    }
}
