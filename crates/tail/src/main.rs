#![doc = include_str!("about.txt")]

mod account;
mod audit;
mod check;
mod cli;
mod completions;
mod config;
mod demo;
mod doctor;
mod emulator;
mod exit_code;
mod follow;
mod listen;
mod man;
mod output;
mod positions;
mod pulse;
mod report;
mod running;
mod service;
mod signals;
mod sink;
mod web;

use std::future::Future;
use std::process::ExitCode;

use self::cli::{Cli, Command};

fn main() -> ExitCode {
    let code = run(Cli::of_program().command);
    report::flush();
    code
}

fn run(command: Command) -> ExitCode {
    match command {
        Command::Follow(arguments) => block_on(follow::run(*arguments)),
        Command::Listen(arguments) => block_on(listen::run(*arguments)),
        Command::Doctor(arguments) => block_on(doctor::run(arguments)),
        Command::Audit(arguments) => block_on(audit::run(arguments)),
        Command::Positions(arguments) => block_on(positions::run(arguments)),
        Command::Emulator(arguments) => emulator::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
    }
}

/// Runs a command on an async runtime, and returns its exit code.
fn block_on(command: impl Future<Output = ExitCode>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failure(&format!("cannot start the async runtime: {error}")),
    };
    let code = runtime.block_on(command);
    // A thread may still be blocked because the reader of the output does not read. Do not wait for
    // it.
    runtime.shutdown_background();
    code
}

/// Prints an error, and returns the exit code of a failure that may pass.
pub(crate) fn failure(text: &str) -> ExitCode {
    report::print_line(&format!("error: {text}"));
    ExitCode::from(exit_code::FAILURE)
}
