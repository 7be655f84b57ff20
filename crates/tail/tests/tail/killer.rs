//! [`Killer`]: kills the program at the entry of a chosen system call, by `strace`.
//!
//! The moment does not depend on chance, and the program needs no hooks for tests.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::program::{Ended, Tail};

/// A shell command that runs its arguments.
pub(crate) const FREELY: &str = r#"exec "$0" "$@""#;

/// A shell command that runs its arguments with a limit of 4,096 bytes for files, so that a longer
/// file is written in two parts.
pub(crate) const IN_PARTS: &str = r#"ulimit -S -f 8; exec "$0" "$@""#;

/// A run of `strace` that kills the program at a system call.
pub(crate) struct Killer {
    call: String,
    /// The file in which `strace` logs the calls.
    log: NamedTempFile,
    arguments: Vec<OsString>,
}

impl Killer {
    /// Kills at the `nth` call with that name on one of the paths. Calls on other paths do not
    /// count. Each thread has its own count, and a save runs on a separate thread.
    pub(crate) fn at(call: &str, nth: usize, paths: &[&Path]) -> Self {
        let log = NamedTempFile::new().unwrap();
        let inject = format!("inject={call}:signal=KILL:when={nth}");
        let fixed = [
            "strace",
            "-f",
            "-qq",
            "-s0",
            "-e",
            "signal=none",
            "-e",
            &inject,
            "-o",
        ];
        let mut arguments: Vec<OsString> = fixed.map(OsString::from).into();
        arguments.push(log.path().into());
        for path in paths {
            arguments.extend(["-P".into(), path.as_os_str().to_owned()]);
        }
        Self {
            call: call.to_owned(),
            log,
            arguments,
        }
    }

    /// Returns the beginning of a command line. The program's own command line follows it. `run` is
    /// one of the shell commands above.
    pub(crate) fn runner<'a>(&'a self, run: &'a str) -> Vec<&'a OsStr> {
        let shell = ["sh", "-c", run].map(OsStr::new);
        let strace = self.arguments.iter().map(OsString::as_os_str);
        shell.into_iter().chain(strace).collect()
    }

    /// Asserts that the program was killed in the chosen call. `strace` logs a call that did not
    /// return with `= ?`.
    #[track_caller]
    pub(crate) fn assert_killed(&self, tail: Tail) -> Ended {
        let ended = tail.end();
        let calls = fs::read_to_string(self.log.path()).unwrap();
        assert_eq!(ended.code, None, "{ended:?} {calls}");
        let last = calls.lines().rfind(|line| line.ends_with("= ?"));
        let last = last.unwrap_or_else(|| panic!("{calls}"));
        assert!(last.contains(&format!(" {}(", self.call)), "{calls}");
        ended
    }
}
