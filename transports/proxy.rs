//! The words for why a proxy gives no connection, the same for each library.
//!
//! A library tells more or less of it. [`ProxyFailure`] holds what is known, and becomes an error whose text says what to
//! do. No text shows a proxy's URL: it may hold a password.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::transport::{TransportError, TransportErrorKind};

/// Why a proxy gives no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProxyFailure {
    /// Nobody accepts a connection where the proxy should be, or its name is unknown.
    Unreachable,
    /// The proxy responded to `CONNECT` with this status.
    Refused(u16),
    /// The proxy responded to `CONNECT` with a status that the library does not tell.
    RefusedSomehow,
    /// The proxy did not respond as an HTTP proxy does.
    NoHttpProxy,
    /// The SOCKS proxy requires another user or password, or one at all.
    SocksPassword,
    /// The SOCKS proxy could not connect, or may not.
    SocksRefused,
}

impl ProxyFailure {
    fn detail(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Unreachable => {
                "the proxy cannot be reached: check that it runs, and its host and port (HTTPS_PROXY)"
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
                    "the proxy could not connect ({status}): its log says why, if this does not pass"
                ));
            }
            Self::RefusedSomehow => {
                "the proxy refused, with a status that is not known here: check its user and \
                 password, and have it permit Box's hosts"
            }
            Self::NoHttpProxy => {
                "the proxy does not respond as an HTTP proxy: check its scheme and port (HTTPS_PROXY)"
            }
            Self::SocksPassword => {
                "the SOCKS proxy refused the user and password: check them in its URL (HTTPS_PROXY), \
                 where special characters are percent-encoded"
            }
            Self::SocksRefused => {
                "the SOCKS proxy could not connect: have it permit Box's hosts, if this does not pass"
            }
        })
    }

    /// The error. It may pass, so the client's streams retry and show it in their status.
    pub(super) fn error(
        self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> TransportError {
        TransportError::with_source(TransportErrorKind::Connect, source).with_detail(self.detail())
    }
}

/// The error of a proxy that the library can't use. It can't pass, so the client's streams stop.
pub(super) fn unusable(detail: impl Into<Cow<'static, str>>) -> TransportError {
    TransportError::new(TransportErrorKind::InvalidRequest).with_detail(detail)
}

/// The longest time for a [`Question`].
pub(super) const QUESTION_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection of our own to the proxy, made to learn the status with which it refuses.
///
/// There is one at a time, however many requests fail together.
pub(super) struct Question(());

static IS_BEING_PUT: AtomicBool = AtomicBool::new(false);

impl Question {
    /// Begins a question. `None`: another one is under way.
    pub(super) fn begin() -> Option<Self> {
        let is_busy = IS_BEING_PUT.swap(true, Ordering::Relaxed);
        (!is_busy).then_some(Self(()))
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        IS_BEING_PUT.store(false, Ordering::Relaxed);
    }
}
