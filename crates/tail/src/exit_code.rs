//! The exit codes of the program, by which a supervisor decides if it starts the program again.
//!
//! The numbers from 64 on are those of `sysexits.h`, which systemd shows by name.

use std::process::ExitCode;

use box_longpoll::ErrorKind;

/// Something failed that may work the next time, such as a full disk.
pub(crate) const FAILURE: u8 = 1;

/// An option, a variable or a setting is wrong. Clap uses the same code.
const USAGE: u8 = 2;

/// An audit has found an event that is missing.
pub(crate) const MISSING: u8 = 3;

/// Box refuses the position, or an event can't be read. A person must decide where to continue.
const DATA: u8 = 65;

/// Box refuses the credentials, or the right to read the events. A person must change them.
const REFUSED: u8 = 77;

/// Ctrl-C ended the program. A shell reports the same code for a program that SIGINT ended.
pub(crate) const INTERRUPTED: u8 = 130;

/// Returns the exit code after an error that stopped a stream.
pub(crate) fn of(kind: ErrorKind) -> ExitCode {
    ExitCode::from(match kind {
        ErrorKind::Config | ErrorKind::ParameterRejected => USAGE,
        ErrorKind::PositionRejected | ErrorKind::PageUndecodable => DATA,
        ErrorKind::Unauthorized | ErrorKind::Forbidden => REFUSED,
        _ => FAILURE,
    })
}
