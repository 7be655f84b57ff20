//! [`NarrowTerm`]: a terminal that seems to be narrower than it is.

use std::io;

use console::Term;
use indicatif::TermLike;

/// The number of columns that seem to be missing.
const FREE_COLUMNS: u16 = 3;

/// Standard error, a few columns narrower than it is.
///
/// `indicatif` fills a line with spaces up to its end, so that the next text begins a new line. The
/// line would then stay on the screen if that text is the `^C` of a terminal. With this type, the
/// text fits behind the line.
#[derive(Debug)]
pub(super) struct NarrowTerm {
    term: Term,
}

impl NarrowTerm {
    pub(super) fn stderr() -> Self {
        Self {
            term: Term::buffered_stderr(),
        }
    }
}

impl TermLike for NarrowTerm {
    fn width(&self) -> u16 {
        TermLike::width(&self.term).saturating_sub(FREE_COLUMNS)
    }

    fn height(&self) -> u16 {
        TermLike::height(&self.term)
    }

    fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
        self.term.move_cursor_up(lines)
    }

    fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
        self.term.move_cursor_down(lines)
    }

    fn move_cursor_right(&self, columns: usize) -> io::Result<()> {
        self.term.move_cursor_right(columns)
    }

    fn move_cursor_left(&self, columns: usize) -> io::Result<()> {
        self.term.move_cursor_left(columns)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.term.write_line(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        TermLike::write_str(&self.term, text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.term.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.term.flush()
    }
}
