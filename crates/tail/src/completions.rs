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
    if arguments.shell == Shell::Bash {
        script = with_one_name(&script);
    }
    match io::stdout().write_all(&script) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => crate::failure(&format!("cannot write the completions: {error}")),
    }
}

/// Gives the commands in the script for bash one name each.
///
/// `clap_complete` encodes the hyphen of `box-tail` in two ways. Without this, the script sets the
/// name of a command that no branch of it has, and completes nothing after a command.
fn with_one_name(script: &[u8]) -> Vec<u8> {
    let script = String::from_utf8_lossy(script);
    script
        .replace("box__subcmd__tail", "box__tail")
        .into_bytes()
}
