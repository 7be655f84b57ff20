//! The command `completions`: the options and commands of the program, for a shell that completes
//! them.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Args, CommandFactory as _};
use clap_complete::{Shell, generate};

use crate::cli::{Cli, with_options_of_follow};

#[derive(Args)]
pub(crate) struct CompletionsArguments {
    /// The shell; bash reads the output by `source <(box-tail completions bash)`
    shell: Shell,
}

/// Runs the command, and returns the exit code of the program.
pub(crate) fn run(arguments: &CompletionsArguments) -> ExitCode {
    let mut script = Vec::new();
    let mut program = with_options_of_follow(Cli::command());
    generate(arguments.shell, &mut program, "box-tail", &mut script);
    match io::stdout().write_all(&script) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => crate::failure(&format!("cannot write the completions: {error}")),
    }
}
