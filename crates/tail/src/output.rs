//! The output of `follow`: which sink gets the events, in which format, and how many of them.
//!
//! [`OutputArguments`] are the arguments, and [`Outlet`] is what they select. Everything that is not
//! an event goes to standard error, through the module [`report`](crate::report).

mod format;
mod outlet;

use clap::Args;

pub(crate) use self::format::Format;
pub(crate) use self::outlet::{Outlet, Written};
use crate::account::Transport;
use crate::sink::{Sink, SinkError, Stdout};

/// The place and the format of the events
#[derive(Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArguments {
    /// Writes each event as Box's own JSON, on one line
    #[arg(long)]
    json: bool,
}

impl OutputArguments {
    /// Returns the outlet for events, up to `count` of them. `transport` sends them if they go to a
    /// URL.
    pub(crate) fn outlet(
        &self,
        _transport: &Transport,
        count: Option<u64>,
    ) -> Result<Outlet, SinkError> {
        Ok(Outlet::new(self.sink(), count))
    }

    fn sink(&self) -> Box<dyn Sink> {
        Box::new(Stdout::new(self.format()))
    }

    fn format(&self) -> Format {
        if self.json {
            Format::Json
        } else {
            Format::for_people()
        }
    }
}
