//! The command `positions`: shows, sets or exports the position in a checkpoint file.
//!
//! It reads a [`Place`] without a lock, so it shows the checkpoint of a running program too. It locks
//! the file to set the position. The format of the file belongs to the library.

mod place;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use box_longpoll::StartAt;
use box_longpoll::checkpoint::{CheckpointFile, CheckpointStore as _};
use box_longpoll::transport::Moment;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

use self::place::{Found, Place, in_file};
use crate::failure;
use crate::report::{self, with_causes};

/// Shows, sets or exports the position in a checkpoint file
///
/// A checkpoint file is that of `box-tail follow --checkpoint FILE`. `sqlite:FILE` stands for the
/// checkpoints in a database of `box-tail follow --to sqlite:FILE`.
#[derive(Args)]
pub(crate) struct PositionsArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Shows the position, and the account that it belongs to
    ///
    /// This works while box-tail follows. A database may have the positions of several accounts.
    Show {
        /// The checkpoint file, or `sqlite:FILE`
        #[arg(value_name = "FILE")]
        place: Place,
        /// Prints each position as JSON, on one line
        #[arg(long)]
        json: bool,
    },
    /// Changes the position; box-tail must not run
    ///
    /// Run this as the user that runs box-tail, because the file is written again.
    ///
    /// If the new position is earlier than the old one, the events between the two are delivered
    /// again. If it is later, these events are never delivered. A position belongs to one account
    /// and to one type of stream: with that of another, events are lost without an error. To start
    /// at a position without a checkpoint file, use `box-tail follow --checkpoint FILE --from
    /// POSITION`. In a database, delete the row of the account from the table `checkpoints`, and
    /// use `--from`.
    Set {
        /// The checkpoint file
        file: PathBuf,
        /// A position that box-tail has printed, or `oldest`; for an enterprise also a time, such
        /// as "since 2026-01-31T00:00:00Z"
        position: StartAt,
        /// Changes the file; without this, only the effect is shown
        #[arg(long)]
        yes: bool,
    },
    /// Prints the complete checkpoint as JSON, to put it into another store
    ///
    /// The JSON is what `Checkpoint` of the library box-longpoll reads. It has no token. It may have
    /// some thousand hashes of the ids of the latest events, which suppress repeats.
    Export {
        /// The checkpoint file, or `sqlite:FILE`
        #[arg(value_name = "FILE")]
        place: Place,
        /// The account, if the database has several: a value of its column `account`
        #[arg(long, value_name = "NAME")]
        account: Option<String>,
    },
}

/// Runs the command, and returns the exit code of the program.
pub(crate) async fn run(arguments: PositionsArguments) -> ExitCode {
    let done = match &arguments.action {
        Action::Show { place, json } => show(place, *json),
        Action::Set {
            file,
            position,
            yes,
        } => set(file, position, *yes).await,
        Action::Export { place, account } => export(place, account.as_deref()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure(&error),
    }
}

fn show(place: &Place, is_json: bool) -> Result<(), String> {
    let texts = place
        .read()?
        .into_iter()
        .map(|found| if is_json { found.json() } else { found.text() });
    let between = if is_json { "\n" } else { "\n\n" };
    print(&texts.collect::<Vec<_>>().join(between))
}

impl Found {
    /// Returns the position for programs.
    fn json(&self) -> String {
        let checkpoint = &self.checkpoint;
        let object = json!({
            "account": self.account,
            "subject": checkpoint.subject().map(ToString::to_string),
            "key": checkpoint.account(),
            "stream_type": checkpoint.stream_type(),
            "api": checkpoint.api_origin(),
            "position": checkpoint.resume_at().to_string(),
            "complete_at": self.complete_at().to_string(),
            "history_ids": checkpoint.history_ids(),
        });
        object.to_string()
    }

    /// Returns the position for people.
    fn text(&self) -> String {
        let checkpoint = &self.checkpoint;
        let subject = checkpoint.subject().map(ToString::to_string);
        let subject = subject.unwrap_or_else(|| "not known: that of the access token".to_owned());
        let lines = [
            ("position", checkpoint.resume_at().to_string()),
            ("complete at", self.complete_at().to_string()),
            ("user", subject),
            ("stream type", checkpoint.stream_type().to_owned()),
            ("API", checkpoint.api_origin().to_owned()),
            ("history ids", checkpoint.history_ids().to_string()),
        ];
        let account = self.account.clone().map(|account| ("account", account));
        let lines = account.into_iter().chain(lines);
        let lines = lines.map(|(name, value)| format!("{name:<13}{}", value.escape_debug()));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn complete_at(&self) -> Timestamp {
        Timestamp::try_from(self.checkpoint.last_success()).unwrap_or_default()
    }
}

async fn set(file: &Path, position: &StartAt, is_confirmed: bool) -> Result<(), String> {
    // The lock comes first, so that nobody moves the position in between.
    let store = is_confirmed.then(|| CheckpointFile::open(file));
    let store = store.transpose().map_err(|error| with_causes(&error))?;
    let old = in_file(file)?;
    let new = old.moved_to(position.clone(), Moment::read_clocks().wall);
    let new = new.map_err(|error| with_causes(&error))?;
    let shown = |start: StartAt| start.to_string().escape_debug().to_string();
    let (from, to) = (shown(old.resume_at()), shown(new.resume_at()));
    report::print_line(&format!(
        "{}: the position changes from {from} to {to}: if the new one is earlier, the events \
         between the two are delivered again; if it is later, they are never delivered",
        file.display()
    ));
    let Some(store) = store else {
        return Err("nothing was changed: add --yes to change the file".to_owned());
    };
    let saved = store.save(new.account(), &new).await;
    saved.map_err(|error| with_causes(&error))
}

fn export(place: &Place, account: Option<&str>) -> Result<(), String> {
    let mut found = place.read()?;
    found.retain(|found| account.is_none() || found.account.as_deref() == account);
    let [Found { checkpoint, .. }] = &found[..] else {
        let accounts = place.read()?.into_iter().filter_map(|found| found.account);
        let accounts: Vec<_> = accounts.collect();
        return Err(format!(
            "name one of the accounts by --account: {}",
            accounts.join(", ")
        ));
    };
    if checkpoint.history_ids() > 0 {
        report::print_line(&format!(
            "{} ids of past events are not exported: if a program resumes without them, some \
             events may be delivered again",
            checkpoint.history_ids(),
        ));
    }
    print(&serde_json::to_string_pretty(checkpoint).map_err(|error| error.to_string())?)
}

/// Prints a text and a line break to standard output.
fn print(text: &str) -> Result<(), String> {
    let written = io::stdout().write_all(format!("{text}\n").as_bytes());
    written.map_err(|error| format!("cannot write: {error}"))
}
