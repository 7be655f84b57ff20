//! The limits of open files. What the system says of them is "too many open files", which doesn't tell whose they are.

use std::error::Error as StdError;
use std::io;

/// `EMFILE`, and what Windows says of sockets.
const OF_THE_PROCESS: i32 = if cfg!(windows) { 10_024 } else { 24 };

/// `ENFILE`. Windows has no such limit.
const OF_THE_SYSTEM: i32 = 23;

/// Which limit of open files a failure met, as a sentence that says what to do about it.
pub(crate) fn limit_reached(error: &(dyn StdError + 'static)) -> Option<&'static str> {
    let io_error = error.downcast_ref::<io::Error>();
    match io_error.and_then(io::Error::raw_os_error) {
        Some(OF_THE_PROCESS) => Some(
            "the process has as many files and sockets open as it may: raise its limit, RLIMIT_NOFILE (ulimit -n)",
        ),
        Some(OF_THE_SYSTEM) if !cfg!(windows) => Some(
            "the machine has as many files and sockets open as it may: raise the system's limit (fs.file-max on Linux)",
        ),
        _ => match io_error.and_then(io::Error::get_ref) {
            // An `io::Error` skips the error that it was made of when it names its source.
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
    fn limit_of_the_process_is_told_from_that_of_the_machine() {
        assert_names(&io::Error::from_raw_os_error(24), "ulimit -n");
        assert_names(&io::Error::from_raw_os_error(23), "fs.file-max");
        let deep = io::Error::other(io::Error::other(io::Error::from_raw_os_error(24)));
        assert_names(&deep, "ulimit -n");
    }

    #[test]
    fn another_failure_names_no_limit() {
        assert_eq!(limit_reached(&io::Error::from_raw_os_error(111)), None);
    }
}
