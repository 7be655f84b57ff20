//! Why there is no token.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind};
use crate::redact::quote_up_to;

/// What is shown of a source's text, in characters: what to do, and what Box said.
const LONGEST_SENTENCE: usize = 600;

/// Why a [`TokenSource`](crate::TokenSource) has no token. Its text is one sentence that says what to do. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct TokenError {
    kind: TokenErrorKind,
    source: Arc<dyn StdError + Send + Sync>,
    pub(super) retry_after: Option<Duration>,
    /// When it came, where somebody took note of that.
    pub(super) since: Option<Instant>,
}

/// What kind of failure a [`TokenError`] is, and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenErrorKind {
    /// It may pass: the network, the token endpoint's 5xx, a full disk. The client asks again, with a growing pause. All other
    /// kinds stop the stream.
    Transient,
    /// Box knows no application of this client id and secret: correct them.
    InvalidClient,
    /// The application may not have such a token: an administrator has to authorize it, or it is not set up for the grant.
    NotAuthorized,
    /// Box refuses what stands for the application or its user: the subject, the key of a JWT.
    InvalidGrant,
    /// The refresh token can't be used any more: the user has to authorize the application anew. What comes of that goes to
    /// [`CredentialFile::replace`](super::CredentialFile::replace).
    AuthorizeAnew,
    /// This machine's clock is too far from Box's: set it.
    ClockSkew,
    /// The transport can't send the request: it was called where its runtime is not running, or it can't use the proxy.
    /// Another caller may have a token.
    Runtime,
    /// Something else that does not pass by itself.
    Permanent,
}

impl TokenError {
    /// It may pass: the network, the token endpoint's 5xx. The client asks again, with a growing pause.
    ///
    /// The source's text is logged and shown in the status: it must hold no secret, such as a URL with a key in it.
    pub fn transient(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(TokenErrorKind::Transient, source)
    }

    /// It will not pass by itself: a revoked grant, a wrong secret. The stream stops.
    ///
    /// The source's text is logged and shown in the status: it must hold no secret, such as a URL with a key in it.
    pub fn permanent(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(TokenErrorKind::Permanent, source)
    }

    /// Of that kind; what is said of [`transient`](Self::transient) ones' text holds for all.
    pub fn new(kind: TokenErrorKind, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            kind,
            source: Arc::from(source.into()),
            retry_after: None,
            since: None,
        }
    }

    pub(super) fn since(self, since: Instant) -> Self {
        Self {
            since: Some(since),
            ..self
        }
    }

    /// How long the token endpoint wants to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// What kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> TokenErrorKind {
        self.kind
    }

    /// The same failure, after which the client tries again.
    pub(super) fn into_transient(mut self) -> Self {
        self.kind = TokenErrorKind::Transient;
        self
    }

    /// Returns the error that the token source gave.
    #[must_use]
    pub fn get_ref(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.source
    }

    /// Whether asking again may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.kind == TokenErrorKind::Transient
    }
}

impl TokenError {
    /// The error of a call or a stream that gets no token.
    pub(crate) fn into_error(self) -> Error {
        let (kind, text) = match self.kind {
            TokenErrorKind::Transient => (ErrorKind::Token, "no access token for now"),
            TokenErrorKind::Runtime => (ErrorKind::Runtime, "no access token"),
            _ => (ErrorKind::Unauthorized, "no access token"),
        };
        Error::new(kind, text).with_source(self)
    }
}

/// Adds to the error of a 401 that the token source has no other token, or fails to give one.
pub(crate) fn without_newer_token(unauthorized: Error, why: Option<TokenError>) -> Error {
    let error = unauthorized.with_hint("and there is no newer access token");
    match why {
        Some(why) => error.with_source(why),
        None => error,
    }
}

/// A text that is no token: permanent.
impl From<Error> for TokenError {
    fn from(error: Error) -> Self {
        Self::permanent(error)
    }
}

/// Why there is none.
impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quote_up_to(LONGEST_SENTENCE, &self.source.to_string()))
    }
}

/// The text is the inner error's, and so is the source.
impl StdError for TokenError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.source()
    }
}
