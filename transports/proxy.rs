//! The errors of proxies, in the same words for each library.
//!
//! The libraries report more or less of the reason. [`ProxyFailure`] holds the known part, and
//! becomes an error with the remedy. No text shows a proxy's URL, because it may contain a
//! password. If a library hides the proxy's status, the transport makes a [`ProxyProbe`] to learn
//! it.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::transport::{TransportError, TransportErrorKind};

/// The reason why a proxy provides no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProxyFailure {
    /// No process accepts connections at the address of the proxy, or its name is unknown.
    Unreachable,
    /// The proxy responded to `CONNECT` with this status.
    Refused(u16),
    /// The proxy responded to `CONNECT` with an error status that the library does not report.
    RefusedWithUnknownStatus,
    /// The proxy did not respond as an HTTP proxy does.
    NoHttpProxy,
    /// The SOCKS proxy requires a user and a password, or rejects the given ones.
    SocksPassword,
    /// The SOCKS proxy could not connect, or does not permit the host.
    SocksRefused,
}

impl ProxyFailure {
    /// Returns the text of the failure: the reason, and the remedy.
    fn detail(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Unreachable => {
                "the proxy cannot be reached: check that it runs, and its host and port \
                 (HTTPS_PROXY)"
            }
            Self::Refused(status @ (401 | 407)) => {
                return Cow::Owned(format!(
                    "the proxy refused the user and password ({status}): check them in its URL \
                     (HTTPS_PROXY), where special characters are percent-encoded"
                ));
            }
            Self::Refused(status @ 403) => {
                return Cow::Owned(format!(
                    "the proxy does not permit this host ({status}): have it permit Box's hosts"
                ));
            }
            Self::Refused(status) => {
                return Cow::Owned(format!(
                    "the proxy could not connect ({status}): if this persists, check the proxy's \
                     log"
                ));
            }
            Self::RefusedWithUnknownStatus => {
                "the proxy refused the connection with an unknown status: check its user and \
                 password, and have it permit Box's hosts"
            }
            Self::NoHttpProxy => {
                "the proxy does not respond as an HTTP proxy: check its scheme and port \
                 (HTTPS_PROXY)"
            }
            Self::SocksPassword => {
                "the SOCKS proxy refused the user and password: check them in its URL \
                 (HTTPS_PROXY), where special characters are percent-encoded"
            }
            Self::SocksRefused => {
                "the SOCKS proxy could not connect: if this persists, have it permit Box's hosts"
            }
        })
    }

    /// Returns the error. The failure may be temporary, so streams retry it and show it in their
    /// status.
    pub(super) fn error(
        self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> TransportError {
        TransportError::with_source(TransportErrorKind::Connect, source).with_detail(self.detail())
    }
}

/// Returns the error of a proxy that the library can't use. It is permanent, so streams stop.
pub(super) fn unusable(detail: impl Into<Cow<'static, str>>) -> TransportError {
    TransportError::new(TransportErrorKind::InvalidRequest).with_detail(detail)
}

/// The timeout of a [`ProxyProbe`]. A failed request waits for it, so it is short.
pub(super) const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// The permit for an extra connection to the proxy, which learns the status with which it refuses.
///
/// There is one at a time, even if many requests fail at once.
pub(super) struct ProxyProbe(());

static IS_RUNNING: AtomicBool = AtomicBool::new(false);

impl ProxyProbe {
    /// Begins a probe. Returns `None` if another one is running.
    pub(super) fn begin() -> Option<Self> {
        let is_busy = IS_RUNNING.swap(true, Ordering::Relaxed);
        (!is_busy).then_some(Self(()))
    }
}

impl Drop for ProxyProbe {
    fn drop(&mut self) {
        IS_RUNNING.store(false, Ordering::Relaxed);
    }
}
