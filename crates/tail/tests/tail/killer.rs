//! `strace`, which kills a program at the entry of a system call: so the moment is chosen and not met by chance, and the
//! program is the one that everybody runs.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::program::{Ended, Tail};

/// Runs what stands behind it.
pub(crate) const FREELY: &str = r#"exec "$0" "$@""#;

/// Runs it so that a file longer than 4,096 bytes is written in two parts.
pub(crate) const IN_PARTS: &str = r#"ulimit -S -f 8; exec "$0" "$@""#;

pub(crate) struct Killer {
    call: String,
    /// Where the calls are noted.
    calls: NamedTempFile,
    arguments: Vec<OsString>,
}

impl Killer {
    /// At the so many'th call of that name on one of the paths. Calls are counted for each thread, and a save has a thread of
    /// its own. The paths leave out all other calls.
    pub(crate) fn at(call: &str, nth: usize, paths: &[&Path]) -> Self {
        let calls = NamedTempFile::new().unwrap();
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
        arguments.push(calls.path().into());
        for path in paths {
            arguments.extend(["-P".into(), path.as_os_str().to_owned()]);
        }
        Self {
            call: call.to_owned(),
            calls,
            arguments,
        }
    }

    /// What the program's command line stands behind, so that it is run by a shell that says how.
    pub(crate) fn runner<'a>(&'a self, run: &'a str) -> Vec<&'a OsStr> {
        let shell = ["sh", "-c", run].map(OsStr::new);
        let strace = self.arguments.iter().map(OsString::as_os_str);
        shell.into_iter().chain(strace).collect()
    }

    /// A call that does not return is the one that the program died of.
    #[track_caller]
    pub(crate) fn assert_killed(&self, tail: Tail) -> Ended {
        let ended = tail.end();
        let calls = fs::read_to_string(self.calls.path()).unwrap();
        assert_eq!(ended.code, None, "{ended:?} {calls}");
        let last = calls.lines().rfind(|line| line.ends_with("= ?"));
        let last = last.unwrap_or_else(|| panic!("{calls}"));
        assert!(last.contains(&format!(" {}(", self.call)), "{calls}");
        ended
    }
}
