//! The command `man`: the manual pages, from the texts of `--help`.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory as _};
use clap_mangen::Man;

use crate::cli::Cli;

#[derive(Args)]
pub(crate) struct ManArguments {
    /// Writes the page of each command into this directory, such as `/usr/local/share/man/man1`;
    /// otherwise the page of the program goes to standard output
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs the command, and returns the exit code of the program.
pub(crate) fn run(arguments: &ManArguments) -> ExitCode {
    let written = match &arguments.out {
        Some(directory) => write_all(directory),
        None => print(),
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => crate::failure(&format!("cannot write the manual: {error}")),
    }
}

fn print() -> io::Result<()> {
    let mut page = Vec::new();
    Man::new(Cli::command()).render(&mut page)?;
    io::stdout().write_all(&page)
}

fn write_all(directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    // The page of this command's help would repeat the page of the program.
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), directory)
}
