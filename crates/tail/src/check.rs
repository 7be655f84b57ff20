//! The command `check`.

use std::process::ExitCode;

use clap::Args;

#[derive(Args)]
pub(crate) struct CheckArguments {}

/// Runs the command, and returns the exit code of the program.
pub(crate) async fn run(_arguments: CheckArguments) -> ExitCode {
    crate::failure("this command is not built yet")
}
