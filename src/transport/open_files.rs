//! The limits of open files. What the system says of them is "too many open files", which doesn't tell whose they are.

use std::error::Error as StdError;
use std::io;

/// `EMFILE`, and what Windows says of sockets.
const OF_THE_PROCESS: &[i32] = if cfg!(windows) { &[10_024] } else { &[24] };

/// `ENFILE`. Windows has no such limit.
const OF_THE_SYSTEM: &[i32] = if cfg!(windows) { &[] } else { &[23] };

/// Which limit of open files a failure met, as a sentence that says what to do about it.
pub(crate) fn limit_reached(error: &(dyn StdError + 'static)) -> Option<&'static str> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            let code = error.raw_os_error();
            if code.is_some_and(|code| OF_THE_PROCESS.contains(&code)) {
                return Some(
                    "the process has as many files and sockets open as it may: raise its limit, RLIMIT_NOFILE (ulimit -n)",
                );
            }
            if code.is_some_and(|code| OF_THE_SYSTEM.contains(&code)) {
                return Some(
                    "the machine has as many files and sockets open as it may: raise the system's limit (fs.file-max on Linux)",
                );
            }
            // What an `io::Error` was made of is not among its sources.
            let inner = error
                .get_ref()
                .map(|inner| inner as &(dyn StdError + 'static));
            if let Some(limit) = inner.and_then(limit_reached) {
                return Some(limit);
            }
        }
        next = error.source();
    }
    None
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
