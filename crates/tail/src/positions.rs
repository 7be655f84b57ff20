//! The command `positions`: shows, sets or exports the position in a checkpoint file.
//!
//! It reads a file without a lock, so it shows the checkpoint of a running program too. It locks the
//! file to set the position. The format of the file belongs to the library.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use box_longpoll::StartAt;
use box_longpoll::checkpoint::{Checkpoint, CheckpointFile, CheckpointStore as _};
use box_longpoll::transport::Moment;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

use crate::failure;
use crate::report::{self, with_causes};

/// Shows, sets or exports the position in a checkpoint file
///
/// A checkpoint file is that of `box-tail follow --checkpoint FILE`.
#[derive(Args)]
pub(crate) struct PositionsArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Shows the position, and the account that it belongs to
    ///
    /// This works while box-tail follows.
    Show {
        /// The checkpoint file
        file: PathBuf,
        /// Prints the result as JSON
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
    /// POSITION`.
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
        /// The checkpoint file
        file: PathBuf,
    },
}

/// Runs the command, and returns the exit code of the program.
pub(crate) async fn run(arguments: PositionsArguments) -> ExitCode {
    let done = match &arguments.action {
        Action::Show { file, json } => show(file, *json),
        Action::Set {
            file,
            position,
            yes,
        } => set(file, position, *yes).await,
        Action::Export { file } => export(file),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure(&error),
    }
}

/// Reads the checkpoint.
fn read(file: &Path) -> Result<Checkpoint, String> {
    let checkpoint = CheckpointFile::read(file).map_err(|error| with_causes(&error))?;
    checkpoint.ok_or_else(|| {
        let file = file.display();
        format!(
            "{file}: there is no such file; `box-tail follow --checkpoint {file} --from POSITION` \
             creates it"
        )
    })
}

fn show(file: &Path, is_json: bool) -> Result<(), String> {
    let checkpoint = read(file)?;
    let account = checkpoint.subject().map(ToString::to_string);
    let position = checkpoint.resume_at().to_string();
    let complete_at = Timestamp::try_from(checkpoint.last_success()).unwrap_or_default();
    let (key, stream_type) = (checkpoint.account(), checkpoint.stream_type());
    let (api, history_ids) = (checkpoint.api_origin(), checkpoint.history_ids());
    if is_json {
        return print(&json!({
            "account": account,
            "key": key,
            "stream_type": stream_type,
            "api": api,
            "position": position,
            "complete_at": complete_at.to_string(),
            "history_ids": history_ids,
        }));
    }
    let account = account.unwrap_or_else(|| "not known: that of the access token".to_owned());
    print(&format!(
        "position     {}\n\
         complete at  {complete_at}\n\
         account      {}\n\
         stream type  {stream_type}\n\
         API          {}\n\
         key          {}\n\
         history ids  {history_ids}",
        position.escape_debug(),
        account.escape_debug(),
        api.escape_debug(),
        key.escape_debug()
    ))
}

async fn set(file: &Path, position: &StartAt, is_confirmed: bool) -> Result<(), String> {
    // The lock comes first, so that nobody moves the position in between.
    let store = is_confirmed.then(|| CheckpointFile::open(file));
    let store = store.transpose().map_err(|error| with_causes(&error))?;
    let old = read(file)?;
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

fn export(file: &Path) -> Result<(), String> {
    let checkpoint = read(file)?;
    if checkpoint.history_ids() > 0 {
        report::print_line(&format!(
            "{} ids of past events stay in {}.ids: if a program resumes without them, some events \
             may be delivered again",
            checkpoint.history_ids(),
            file.display()
        ));
    }
    print(&serde_json::to_string_pretty(&checkpoint).map_err(|error| error.to_string())?)
}

/// Prints a text and a line break to standard output.
fn print(text: &impl ToString) -> Result<(), String> {
    let text = text.to_string() + "\n";
    let written = io::stdout().write_all(text.as_bytes());
    written.map_err(|error| format!("cannot write: {error}"))
}
