//! [`Exec`]: a command for each event, with the event on its standard input.
//!
//! The command's standard input is a file that has the complete event before the command starts. So
//! a command never reads a part of an event, not even if this program is killed, and it need not
//! read the event at all.

mod process;

use std::env;
use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::Event;
use tokio::process::Command;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use self::process::Process;
use super::{Failure, Page, Sink, SinkError};
use crate::output::Format;
use crate::report::without_status_line;

/// The exit codes that blame no event. A shell ends with 126 or 127 if it can't start a command, and
/// 75 is `EX_TEMPFAIL` in `sysexits.h`: a failure that may pass.
const UNAVAILABLE: [i32; 3] = [75, 126, 127];

/// The longest value of a variable, in bytes: 100 KiB. Linux starts no command with a variable of
/// 128 KiB or more, and a name of the server can be that long.
const MAX_VALUE: usize = 100 * 1024;

/// The variables that are for this program alone: they may be secrets.
const PRIVATE: [&str; 2] = ["BOX_ACCESS_TOKEN", "BOX_CLIENT_SECRET"];
const PRIVATE_PREFIX: &str = "BOX_TAIL_";

/// A command of the shell. An event is handled once the command has ended with exit code 0.
pub(crate) struct Exec {
    pub(crate) command: String,
    pub(crate) format: Format,
    /// The time limit of a run.
    pub(crate) timeout: Duration,
}

#[async_trait]
impl Sink for Exec {
    /// Runs the command for one event after the other. If the future is dropped, the command is
    /// killed.
    async fn write(&mut self, page: Page<'_>) -> Result<(), SinkError> {
        // The command may write to the terminal of the status line.
        let _hidden = without_status_line();
        for (written, event) in page.events.iter().enumerate() {
            let process = self.start(event).await.map_err(|error| {
                let text = "the command cannot be started";
                SinkError::new(Failure::Unavailable, written, text).because(error)
            })?;
            self.wait(process, written).await?;
        }
        Ok(())
    }

    fn time_limit(&self) -> Duration {
        self.timeout
    }
}

impl Exec {
    async fn start(&self, event: &Event) -> io::Result<Process> {
        let line = self.format.line(event) + "\n";
        let input = spawn_blocking(move || input(&line)).await??;
        let mut command = process::shell(&self.command);
        command.stdin(Stdio::from(input));
        hide_secrets(&mut command);
        let kind = event.event_type().map(|kind| kind.as_str().to_owned());
        let time = event.created_at().map(|time| time.to_string());
        let id = event.id().map(str::to_owned);
        for (name, value) in [
            ("BOX_EVENT_ID", id),
            ("BOX_EVENT_TYPE", kind),
            ("BOX_CREATED_AT", time),
        ] {
            // A variable can't have a NUL.
            let fits = |value: &String| value.len() <= MAX_VALUE && !value.contains('\0');
            match value.filter(fits) {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Process::spawn(command)
    }

    /// Waits for the end of a run. The first `written` events were handled before.
    async fn wait(&self, mut process: Process, written: usize) -> Result<(), SinkError> {
        let error = |kind, text: String| SinkError::new(kind, written, text);
        match timeout(self.timeout, process.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(error(kind(status), format!("the command failed: {status}"))),
            Ok(Err(cause)) => {
                let text = "the command's exit code is unknown".to_owned();
                Err(error(Failure::Unavailable, text).because(cause))
            }
            Err(_) => Err(error(
                Failure::Refused,
                format!("the command did not end within {:?}", self.timeout),
            )),
        }
    }
}

/// Returns a file without a name that has this text, to be read from its start.
fn input(text: &str) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

/// Removes the variables from the command's environment that are for this program alone.
fn hide_secrets(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let is_private = |text: &str| PRIVATE.contains(&text) || text.starts_with(PRIVATE_PREFIX);
        if name.to_str().is_some_and(is_private) {
            command.env_remove(name);
        }
    }
}

/// Returns the kind of the failure of a command that ended without success.
fn kind(status: ExitStatus) -> Failure {
    match status.code() {
        Some(code) if UNAVAILABLE.contains(&code) => Failure::Unavailable,
        _ => Failure::Refused,
    }
}
