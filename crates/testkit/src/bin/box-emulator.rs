//! The emulator as a program: `box-emulator --port 8787`.

use std::io;

use box_longpoll_testkit::cli::{ServerArguments, serve};
use clap::{CommandFactory as _, Parser};

/// An emulator of Box's events API.
///
/// Point a client at the printed address, with any token. GET /_emulator/ lists the ways to control
/// the emulator.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    emulator: ServerArguments,
}

fn main() -> io::Result<()> {
    let server = Arguments::parse().emulator.start();
    serve(server.unwrap_or_else(|error| error.format(&mut Arguments::command()).exit()))
}
