//! [`Format`]: the text of an event.

mod line;

use std::env;
use std::io::{self, IsTerminal as _};

use box_longpoll::Event;

use self::line::Line;

/// The format of an event.
pub(crate) enum Format {
    /// A line for people.
    Readable(Line),
    /// Box's own JSON, on one line.
    Json,
}

impl Format {
    /// Returns the format for people, with colors if standard output is a terminal.
    pub(crate) fn for_people() -> Self {
        Self::Readable(Line::new(is_colored()))
    }

    /// Returns an event in this format, without a line break.
    pub(crate) fn line(&self, event: &Event) -> String {
        match self {
            Format::Readable(line) => line.of(event),
            // In JSON, a line break can only be white space between tokens. Strings have it
            // escaped.
            Format::Json => event.raw().replace(['\n', '\r'], " "),
        }
    }
}

/// Returns `true` if the output is a terminal with colors, and the user has not disabled them by
/// `NO_COLOR` (<https://no-color.org>).
fn is_colored() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb
}
