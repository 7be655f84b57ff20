//! The command `emulator`.

use std::process::ExitCode;

use clap::Args;

#[derive(Args)]
pub(crate) struct EmulatorArguments {}

/// Runs the command, and returns the exit code of the program.
pub(crate) async fn run(_arguments: EmulatorArguments) -> ExitCode {
    crate::failure("this command is not built yet")
}
