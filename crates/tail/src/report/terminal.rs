//! Standard error, and the place of the status line on it: the last line of the terminal.
//!
//! There is one terminal, so its state is global. Everything that is written to standard error goes
//! through [`print_line`], which moves the status line out of the way. If events go to the same
//! terminal, [`without_status_line`] does so.

use std::io::{self, Write as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use console::{Term, is_dumb};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike as _};

use super::narrow_term::NarrowTerm;

/// The most drawings of the status line per second.
const DRAWINGS: u8 = 10;

/// The length of the bar, in steps.
const STEPS: u16 = 1_000;

/// The width of a bar on a line that has room for it, and on a short one, in characters.
const WIDE_BAR: usize = 20;
const NARROW_BAR: usize = 8;

/// The number of columns from which a line has room for a wide bar.
const WIDE_LINE: usize = 60;

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
    let write = || {
        let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
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

/// Returns the number of columns for the text of the status line, beside the bar if there is one.
pub(super) fn text_width(has_bar: bool) -> usize {
    let columns = columns();
    if has_bar {
        // Two brackets and a space stand around the bar.
        columns.saturating_sub(bar_width(columns) + 3)
    } else {
        columns
    }
}

/// Shows a text in the status line, after a bar for a share of 0 to 1.
pub(super) fn show(text: String, share: Option<f64>) {
    if HIDDEN.load(Ordering::Relaxed) > 0 {
        return;
    }
    let line = LINE.get_or_init(|| {
        let term = Box::new(NarrowTerm::stderr());
        let target = ProgressDrawTarget::term_like_with_hz(term, DRAWINGS);
        ProgressBar::with_draw_target(Some(STEPS.into()), target)
    });
    let template = match share {
        Some(_) => format!("[{{bar:{}}}] {{msg}}", bar_width(columns())),
        None => "{msg}".into(),
    };
    let style = ProgressStyle::with_template(&template).expect("the template is well-formed");
    line.set_style(style.progress_chars("##."));
    if line.is_finished() {
        line.reset();
    }
    line.update(|state| state.set_pos(steps(share.unwrap_or(0.0))));
    line.set_message(text);
}

/// Returns the number of columns for the status line.
fn columns() -> usize {
    NarrowTerm::stderr().width().into()
}

fn bar_width(columns: usize) -> usize {
    if columns >= WIDE_LINE {
        WIDE_BAR
    } else {
        NARROW_BAR
    }
}

/// Returns the steps of the bar for a share of 0 to 1.
fn steps(share: f64) -> u64 {
    let is_done = |step: &u16| f64::from(*step) <= share * f64::from(STEPS);
    (1..=STEPS).filter(is_done).count() as u64
}
