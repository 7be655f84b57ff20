//! The error of a token source.
//!
//! [`TokenError`] says why there is no token, and its kind says whether a retry may help. This
//! module also turns it into the [`Error`] of a call or a stream.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind};
use crate::redact::quote_up_to;

/// The most of a source's text that is shown, 600 characters: room for the advice and for Box's
/// words.
const LONGEST_SENTENCE: usize = 600;

/// The error of a [`TokenSource`](crate::TokenSource) that has no token.
///
/// Its text is that of the source's own error. The sources in this crate write one sentence that
/// says what to do. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct TokenError {
    kind: TokenErrorKind,
    source: Arc<dyn StdError + Send + Sync>,
    pub(super) retry_after: Option<Duration>,
    /// The moment of the failure, if the source recorded it.
    pub(super) since: Option<Instant>,
}

/// The kind of a [`TokenError`], and what to do about it.
///
/// The client retries after [`Transient`](Self::Transient). All other kinds stop the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenErrorKind {
    /// A failure that a retry may resolve: a network failure, a 5xx of the token endpoint, a full
    /// disk. The client retries after a growing pause.
    Transient,
    /// Box knows no application with this client id and secret: correct them.
    InvalidClient,
    /// The application is not allowed to get the token. An administrator has to authorize the
    /// application, or you have to set it up for the grant.
    NotAuthorized,
    /// Box refuses the grant, for instance its subject, or the key that signs its JWT: correct the
    /// configuration.
    InvalidGrant,
    /// The refresh token no longer works: the user has to authorize the application again. Pass the
    /// new credential to [`CredentialFile::replace`](super::CredentialFile::replace).
    ReauthorizationRequired,
    /// The clock of this machine differs too much from Box's: set it.
    ClockSkew,
    /// The transport can't send the request, because its runtime is not running or it can't use the
    /// proxy. Run the client on the transport's runtime, or correct the proxy. Other callers may
    /// still get a token.
    Runtime,
    /// Any other failure that a retry can't resolve.
    Permanent,
}

impl TokenError {
    /// Creates an error that a retry may resolve, such as a network failure or a 5xx of the token
    /// endpoint. The client retries after a growing pause.
    ///
    /// The source's text is logged, and shown in the status. It must contain no secret, such as a
    /// URL with a key in it.
    pub fn transient(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(TokenErrorKind::Transient, source)
    }

    /// Creates an error that a retry can't resolve, such as a revoked grant or a wrong secret. The
    /// stream stops.
    ///
    /// The source's text is logged, and shown in the status. It must contain no secret, such as a
    /// URL with a key in it.
    pub fn permanent(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(TokenErrorKind::Permanent, source)
    }

    /// Creates an error of a kind.
    ///
    /// The source's text is logged, and shown in the status. It must contain no secret, such as a
    /// URL with a key in it.
    pub fn new(kind: TokenErrorKind, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            kind,
            source: Arc::from(source.into()),
            retry_after: None,
            since: None,
        }
    }

    /// Records the moment of the failure.
    pub(super) fn since(self, since: Instant) -> Self {
        Self {
            since: Some(since),
            ..self
        }
    }

    /// Returns the `Retry-After` of the token endpoint, if it sent one.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Returns the kind of the failure.
    #[must_use]
    pub fn kind(&self) -> TokenErrorKind {
        self.kind
    }

    /// Returns the same failure as a transient one, so that the client retries.
    pub(super) fn into_transient(mut self) -> Self {
        self.kind = TokenErrorKind::Transient;
        self
    }

    /// Returns the error that this one was created from.
    #[must_use]
    pub fn get_ref(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.source
    }

    /// Returns `true` if a retry may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.kind == TokenErrorKind::Transient
    }
}

impl TokenError {
    /// Returns the error of a call or a stream that gets no token.
    pub(crate) fn into_error(self) -> Error {
        let (kind, text) = match self.kind {
            TokenErrorKind::Transient => (ErrorKind::Token, "no access token for now"),
            TokenErrorKind::Runtime => (ErrorKind::Runtime, "no access token"),
            _ => (ErrorKind::Unauthorized, "no access token"),
        };
        Error::new(kind, text).with_source(self)
    }
}

/// Adds a hint to the error of a 401 response: there is no newer token. `why` is the error of the
/// token source, if it returned one.
pub(crate) fn without_newer_token(unauthorized: Error, why: Option<TokenError>) -> Error {
    let error = unauthorized.with_hint("and there is no newer access token");
    match why {
        Some(why) => error.with_source(why),
        None => error,
    }
}

/// Converts an error, such as that of [`AccessToken::new`](crate::AccessToken::new), into a
/// permanent error.
impl From<Error> for TokenError {
    fn from(error: Error) -> Self {
        Self::permanent(error)
    }
}

/// Writes the text of the source's error, cut to 600 characters.
impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quote_up_to(LONGEST_SENTENCE, &self.source.to_string()))
    }
}

/// Returns the source of the inner error, whose text this error already shows.
impl StdError for TokenError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.source()
    }
}
