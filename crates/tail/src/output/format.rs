//! [`Format`]: the text of an event.

mod activity;
mod ecs;
mod escape;
mod item;
mod line;
mod object;
mod ocsf;
mod template;

use std::env;
use std::io::{self, IsTerminal as _};
use std::str::FromStr;

use box_longpoll::Event;

use self::escape::escaped_json;
use self::line::Line;
pub(crate) use self::line::{what, who};
use self::template::Template;

/// The format of an event.
#[derive(Clone)]
pub(crate) enum Format {
    /// A line for people.
    Readable(Line),
    /// Box's own JSON, on one line.
    Json,
    /// A line as the user has described it.
    Template(Template),
    /// The Elastic Common Schema, as JSON on one line.
    Ecs,
    /// The Open Cybersecurity Schema Framework, as JSON on one line.
    Ocsf,
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
            Format::Json => on_one_line(event.raw()),
            Format::Template(template) => template.line(event),
            Format::Ecs => ecs::object(event).line(),
            Format::Ocsf => ocsf::object(event).line(),
        }
    }

    /// Returns an event in this format for a terminal, without characters that could control it.
    /// JSON permits DEL and the controls from U+0080 on in strings, so they get JSON's own escapes:
    /// the value stays the same.
    pub(crate) fn line_for_terminal(&self, event: &Event) -> String {
        let line = self.line(event);
        match self {
            Format::Json | Format::Ecs | Format::Ocsf => escaped_json(&line),
            // They escape what they show, and may have colors.
            Format::Readable(_) | Format::Template(_) => line,
        }
    }
}

/// Reads a template, or the name of a format.
impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "json" => Self::Json,
            "ecs" => Self::Ecs,
            "ocsf" => Self::Ocsf,
            _ if text.contains(['{', '}']) => Self::Template(Template::parse(text)?),
            _ => {
                return Err(
                    "neither json, ecs or ocsf nor a template with a field in braces, such \
                            as '{created_at} {event_type}'"
                        .into(),
                );
            }
        })
    }
}

/// Returns JSON on one line. A line break can only be white space between tokens: strings have it
/// escaped.
fn on_one_line(json: &str) -> String {
    json.replace(['\n', '\r'], " ")
}

/// Returns `true` if the output is a terminal with colors, and the user has not disabled them by
/// `NO_COLOR` (<https://no-color.org>).
fn is_colored() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb
}
