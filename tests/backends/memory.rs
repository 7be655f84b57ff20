//! How much memory this program takes, whatever backend it uses.

use crate::backend::Backend;

pub(crate) const BACKENDS: &[Backend] = &[
    #[cfg(feature = "reqwest")]
    Backend::Reqwest,
    #[cfg(feature = "surf")]
    Backend::Surf,
    #[cfg(feature = "isahc")]
    Backend::Isahc,
];

/// The most so far, in bytes.
pub(crate) fn most() -> usize {
    of_status("VmHWM:")
}

/// At this moment, in bytes.
pub(crate) fn now() -> usize {
    of_status("VmRSS:")
}

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
