//! The command `emulator`: the fake Box as a server, for tests of other programs.
//!
//! The arguments and the server are those of the program `box-emulator`, in the testkit.

use std::process::ExitCode;

use box_longpoll_testkit::cli::{ServerArguments, serve};
use clap::{Args, CommandFactory as _};

use crate::cli::Cli;
use crate::failure;

/// Starts a fake Box, for tests
///
/// It prints its address, and serves until it is stopped. Point a client at the address, with any
/// token: `BOX_ACCESS_TOKEN=ada box-tail --api http://127.0.0.1:8787`. Each token is an account of
/// its own. GET /_emulator/ lists the ways to append events, to cause failures, and to change the
/// settings.
#[derive(Args)]
pub(crate) struct EmulatorArguments {
    #[command(flatten)]
    server: ServerArguments,
}

/// Runs the command, and returns the exit code of the program.
pub(crate) fn run(arguments: &EmulatorArguments) -> ExitCode {
    let server = arguments.server.start();
    let server = server.unwrap_or_else(|error| error.format(&mut Cli::command()).exit());
    match serve(server) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure(&format!("cannot print the address: {error}")),
    }
}
