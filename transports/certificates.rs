//! The error of a machine without certificates, on which `https` can't be used.

use std::error::Error as StdError;
use std::fmt;

/// Why `https` can't be used on this machine, around what the library says of it.
#[derive(Debug)]
pub(super) struct NoCertificates<E>(pub(super) E);

impl<E> fmt::Display for NoCertificates<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "no certificate authorities on this machine: install its ca-certificates package, or name a bundle in SSL_CERT_FILE",
        )
    }
}

impl<E: StdError + 'static> StdError for NoCertificates<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}
