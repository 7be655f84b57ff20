//! The memory of this program, for tests that run alone in their process.
//!
//! Linux only: the numbers are read from `/proc`.

use crate::backend::Backend;

/// The backends of this build.
pub(crate) const BACKENDS: &[Backend] = &[
    #[cfg(feature = "reqwest")]
    Backend::Reqwest,
    #[cfg(feature = "surf")]
    Backend::Surf,
    #[cfg(feature = "isahc")]
    Backend::Isahc,
];

/// Returns the highest resident memory so far, in bytes.
pub(crate) fn most() -> usize {
    of_status("VmHWM:")
}

/// Returns the current resident memory, in bytes.
pub(crate) fn now() -> usize {
    of_status("VmRSS:")
}

/// Returns a field of `/proc/self/status` that is given in kB, in bytes.
fn of_status(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib: usize = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kib << 10
}
