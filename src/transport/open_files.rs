//! The limits of open files.
//!
//! The operating system reports "too many open files" without saying which limit it means: the one
//! of the process, or the one of the machine. [`limit_reached`] finds out, and says how to raise
//! it.

use std::error::Error as StdError;
use std::io;

/// The error code of the process's limit: `EMFILE`, or `WSAEMFILE` on Windows.
const PROCESS_LIMIT: i32 = if cfg!(windows) { 10_024 } else { 24 };

/// The error code of the machine's limit: `ENFILE`. Windows has no such limit.
const MACHINE_LIMIT: i32 = 23;

/// Returns the limit of open files that caused an error, as a sentence that says how to raise it.
pub(crate) fn limit_reached(error: &(dyn StdError + 'static)) -> Option<&'static str> {
    let io_error = error.downcast_ref::<io::Error>();
    match io_error.and_then(io::Error::raw_os_error) {
        Some(PROCESS_LIMIT) => Some(
            "the process has reached its limit of open files and sockets: raise RLIMIT_NOFILE (ulimit -n)",
        ),
        Some(MACHINE_LIMIT) if !cfg!(windows) => Some(
            "the machine has reached its limit of open files and sockets: raise the system's limit (fs.file-max on Linux)",
        ),
        _ => match io_error.and_then(io::Error::get_ref) {
            // The source of an `io::Error` is not its inner error, but that error's source.
            Some(inner) => limit_reached(inner),
            None => limit_reached(error.source()?),
        },
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_names(source: &io::Error, limit: &str) {
        let reached = limit_reached(source).unwrap();
        assert!(reached.contains(limit), "{reached}");
    }

    #[test]
    fn limit_of_the_process_differs_from_that_of_the_machine() {
        assert_names(&io::Error::from_raw_os_error(24), "ulimit -n");
        assert_names(&io::Error::from_raw_os_error(23), "fs.file-max");
        let deep = io::Error::other(io::Error::other(io::Error::from_raw_os_error(24)));
        assert_names(&deep, "ulimit -n");
    }

    #[test]
    fn no_limit_is_named_when_another_failure_occurs() {
        assert_eq!(limit_reached(&io::Error::from_raw_os_error(111)), None);
    }
}
