//! The command `man`.

use std::process::ExitCode;

use clap::Args;

#[derive(Args)]
pub(crate) struct ManArguments {}

/// Runs the command, and returns the exit code of the program.
pub(crate) async fn run(_arguments: ManArguments) -> ExitCode {
    crate::failure("this command is not built yet")
}
