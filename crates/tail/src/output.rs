//! The output of `follow`: which sink gets the events, in which format, and how many of them.
//!
//! [`OutputArguments`] are the arguments, and [`Outlet`] is what they select. Everything that is not
//! an event goes to standard error, through the module [`report`](crate::report).

mod delivery_arguments;
mod file_arguments;
mod format;
mod outlet;

use std::path::PathBuf;

use clap::Args;

use self::delivery_arguments::DeliveryArguments;
pub(crate) use self::delivery_arguments::signing_secrets;
use self::file_arguments::FileArguments;
pub(crate) use self::format::{Format, what, who};
pub(crate) use self::outlet::{OnError, Outlet, Retry, Written};
use crate::account::Transport;
use crate::cli::usage_error;
use crate::sink::{Endpoint, Exec, JsonLines, Sink, SinkError, Sqlite, Stdout, Webhook};

/// The number of events in a page that is written at once.
const PAGE: u32 = 500;

/// The number of events in a page that is delivered one by one. The position moves after a page, so
/// a killed program delivers up to so many events again.
const DELIVERED_PAGE: u32 = 100;

/// The place and the format of the events
#[derive(Args, Default)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArguments {
    /// Writes each event as Box's own JSON, on one line; the same as `--format json`
    #[arg(long, conflicts_with = "format")]
    json: bool,

    /// The format of an event: `json`, `ecs` (Elastic Common Schema), `ocsf` (Open Cybersecurity Schema
    /// Framework), or a line with fields of Box's JSON in braces, such as `'{created_at} {event_type}
    /// {source.name}'`. `{user}`, `{item}`, `{item_id}` and `{item_type}` work for all sources; `{{` and
    /// `}}` are braces, and `-` stands for a missing field
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,

    /// Writes the events to this place instead of standard output: `jsonl:FILE` appends lines of JSON
    /// to a file; `sqlite:FILE` stores each event once in a database, which also keeps the position,
    /// in place of --checkpoint; `https://…` sends webhooks. Without `--as-user` or `--subject`, the
    /// account in a database cannot be checked: each user needs a database of their own
    #[arg(long, value_name = "PLACE", conflicts_with = "exec")]
    to: Option<String>,

    /// Runs this command of the shell for each event, with its JSON on standard input and
    /// `BOX_EVENT_ID`, `BOX_EVENT_TYPE` and `BOX_CREATED_AT` set; exit code 0 means that the event
    /// is handled, and 75 that the command can't work now
    #[arg(long, value_name = "COMMAND")]
    exec: Option<String>,

    #[command(flatten)]
    file: FileArguments,

    #[command(flatten)]
    delivery: DeliveryArguments,
}

/// The place for events that was chosen.
enum Place {
    Stdout,
    JsonLines(PathBuf),
    Sqlite(PathBuf),
    Webhook(Box<Endpoint>),
    Command(String),
}

impl OutputArguments {
    /// Returns the outlet for events of this account, up to `count` of them. `transport` sends them
    /// if they go to a URL. Ends the program if an argument is wrong, or belongs to another place.
    pub(crate) fn outlet(
        &self,
        transport: &Transport,
        account: &str,
        count: Option<u64>,
    ) -> Result<Outlet, SinkError> {
        let (place, on_error) = self.checked();
        let sink: Box<dyn Sink> = match place {
            Place::Stdout => Box::new(Stdout::new(self.format())),
            Place::JsonLines(path) => {
                let path = self.file.path(&path);
                let (encoding, rotation) = (self.file.encoding(), self.file.rotation());
                Box::new(JsonLines::open(
                    &path,
                    self.format_or_json(),
                    encoding,
                    rotation,
                )?)
            }
            Place::Sqlite(path) => Box::new(Sqlite::open(&path, account)?),
            Place::Webhook(endpoint) => Box::new(Webhook {
                transport: transport.clone(),
                endpoint: *endpoint,
                secrets: self.delivery.secrets(),
                format: self.format_of_webhook(),
                batch: self.delivery.batch(),
                timeout: self.delivery.request_timeout(),
            }),
            Place::Command(command) => Box::new(Exec {
                command,
                format: self.format_or_json(),
                timeout: self.delivery.command_timeout(),
            }),
        };
        Outlet::new(sink, count, on_error)
    }

    /// Ends the program if an argument is wrong, or belongs to another place. Opens no file for
    /// events.
    pub(crate) fn check(&self) {
        if let (Place::Webhook(_), _) = self.checked() {
            self.format_of_webhook();
            self.delivery.secrets();
        }
    }

    /// Returns the place, and the policy after an error there. Ends the program if an argument
    /// belongs to another place.
    fn checked(&self) -> (Place, OnError) {
        let place = self.place();
        if !matches!(place, Place::JsonLines(_)) {
            self.file.refuse();
        }
        if !matches!(place, Place::Webhook(_)) {
            self.delivery.refuse_webhook();
        }
        if matches!(place, Place::Sqlite(_)) && self.format.is_some() {
            usage_error("--to sqlite:FILE stores Box's own JSON: leave out --format");
        }
        let on_error = self.delivery.on_error(&place);
        (place, on_error)
    }

    /// Returns `true` if the events go to another place than standard output.
    pub(crate) fn has_place(&self) -> bool {
        self.to.is_some() || self.exec.is_some()
    }

    /// Returns `true` if the place keeps the position, so that there is no other checkpoint.
    pub(crate) fn keeps_checkpoint(&self) -> bool {
        matches!(self.place(), Place::Sqlite(_))
    }

    /// Returns the name of the place, as the label `sink` of the metrics has it.
    pub(crate) fn sink_name(&self) -> &'static str {
        match self.place() {
            Place::Stdout => "stdout",
            Place::JsonLines(_) => "jsonl",
            Place::Sqlite(_) => "sqlite",
            Place::Webhook(_) => "http",
            Place::Command(_) => "exec",
        }
    }

    /// Returns the number of events in a page that suits the place.
    pub(crate) fn page_limit(&self) -> u32 {
        match self.place() {
            Place::Stdout | Place::JsonLines(_) | Place::Sqlite(_) => PAGE,
            Place::Webhook(_) | Place::Command(_) => DELIVERED_PAGE.max(self.delivery.batch_size()),
        }
    }

    /// Returns the place for the events. Ends the program if there is no such place. The error does
    /// not show a URL, which may have a password.
    fn place(&self) -> Place {
        if let Some(command) = &self.exec {
            return Place::Command(command.clone());
        }
        let Some(to) = &self.to else {
            return Place::Stdout;
        };
        match to.split_once(':') {
            Some(("jsonl", path)) if !path.is_empty() => Place::JsonLines(path.into()),
            Some(("sqlite", path)) if !path.is_empty() => Place::Sqlite(path.into()),
            _ => match to.parse() {
                Ok(endpoint) => Place::Webhook(Box::new(endpoint)),
                Err(error) => usage_error(&format!(
                    "--to: neither jsonl:FILE nor sqlite:FILE, such as jsonl:events.jsonl, and {error}"
                )),
            },
        }
    }

    /// Returns the format of the events that a program reads.
    fn format_or_json(&self) -> Format {
        self.format.clone().unwrap_or(Format::Json)
    }

    /// Returns the format of the events in a JSON body. Ends the program if it is not JSON.
    fn format_of_webhook(&self) -> Format {
        match self.format_or_json() {
            Format::Template(_) => usage_error("--format: a webhook is JSON: json, ecs or ocsf"),
            format => format,
        }
    }

    fn format(&self) -> Format {
        match &self.format {
            Some(format) => format.clone(),
            None if self.json => Format::Json,
            None => Format::for_people(),
        }
    }
}
