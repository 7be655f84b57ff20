//! The output of `follow`: which sink gets the events, in which format, and how many of them.
//!
//! [`OutputArguments`] are the arguments, and [`Outlet`] is what they select. Everything that is not
//! an event goes to standard error, through the module [`report`](crate::report).

mod file_arguments;
mod format;
mod outlet;

use std::path::PathBuf;

use clap::Args;

use self::file_arguments::FileArguments;
pub(crate) use self::format::Format;
pub(crate) use self::outlet::{Outlet, Written};
use crate::account::Transport;
use crate::cli::usage_error;
use crate::sink::{JsonLines, Sink, SinkError, Sqlite, Stdout};

/// The place and the format of the events
#[derive(Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArguments {
    /// Writes each event as Box's own JSON, on one line
    #[arg(long)]
    json: bool,

    /// Writes the events to this place instead of standard output: `jsonl:FILE` for a file of lines
    /// of JSON, or `sqlite:FILE` for a database, which also keeps the position
    #[arg(long, value_name = "PLACE")]
    to: Option<String>,

    #[command(flatten)]
    file: FileArguments,
}

/// The place for events that was chosen.
enum Place {
    Stdout,
    JsonLines(PathBuf),
    Sqlite(PathBuf),
}

impl OutputArguments {
    /// Returns the outlet for events of this account, up to `count` of them. `transport` sends them
    /// if they go to a URL. Ends the program if an argument is wrong, or belongs to another place.
    pub(crate) fn outlet(
        &self,
        _transport: &Transport,
        account: &str,
        count: Option<u64>,
    ) -> Result<Outlet, SinkError> {
        let place = self.place();
        if !matches!(place, Place::JsonLines(_)) {
            self.file.refuse();
        }
        let sink: Box<dyn Sink> = match place {
            Place::Stdout => Box::new(Stdout::new(self.format())),
            Place::JsonLines(path) => {
                let path = self.file.path(&path);
                let (encoding, rotation) = (self.file.encoding(), self.file.rotation());
                Box::new(JsonLines::open(&path, Format::Json, encoding, rotation)?)
            }
            Place::Sqlite(path) => Box::new(Sqlite::open(&path, account)?),
        };
        Ok(Outlet::new(sink, count))
    }

    /// Returns `true` if the place keeps the position, so that there is no other checkpoint.
    pub(crate) fn keeps_checkpoint(&self) -> bool {
        matches!(self.place(), Place::Sqlite(_))
    }

    /// Returns the place for the events. Ends the program if there is no such place.
    fn place(&self) -> Place {
        let Some(to) = &self.to else {
            return Place::Stdout;
        };
        match to.split_once(':') {
            Some(("jsonl", path)) if !path.is_empty() => Place::JsonLines(path.into()),
            Some(("sqlite", path)) if !path.is_empty() => Place::Sqlite(path.into()),
            _ => usage_error(&format!(
                "--to {to:?}: neither jsonl:FILE nor sqlite:FILE, such as jsonl:events.jsonl"
            )),
        }
    }

    fn format(&self) -> Format {
        if self.json {
            Format::Json
        } else {
            Format::for_people()
        }
    }
}
