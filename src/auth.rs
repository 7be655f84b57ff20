//! Who the client is: access tokens and where they come from.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_lock::Mutex;
use async_trait::async_trait;
use http::HeaderValue;

use crate::error::{Error, ErrorKind};

/// Box's tokens have 32 characters and more. What is shorter than this is made up, and a part of many words.
const SHORTEST_SECRET: usize = 8;

/// A Box access token. It is never shown: `Debug` hides it, and it has no `Display`.
///
/// As a [`TokenSource`] it is a fixed token, which lives 60 minutes; the stream stops with
/// [`ErrorKind::Unauthorized`] when Box no longer takes it.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(Arc<str>);

impl AccessToken {
    /// Takes a token as Box gave it, without the word `Bearer`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when the text is empty or has anything but visible ASCII: such a header can't be sent.
    pub fn new(text: impl AsRef<str>) -> Result<Self, Error> {
        let text = text.as_ref();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text.into()))
        } else {
            Err(Error::new(
                ErrorKind::Config,
                "an access token is visible ASCII without spaces",
            ))
        }
    }

    pub(crate) fn header(&self) -> HeaderValue {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0))
            .expect("visible ASCII is a header value");
        value.set_sensitive(true);
        value
    }

    /// Takes the token out of text that came from a server, which may echo it.
    pub(crate) fn scrub(&self, text: &str) -> String {
        if self.0.len() < SHORTEST_SECRET {
            text.to_owned()
        } else {
            text.replace(&*self.0, "[access token]")
        }
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(..)")
    }
}

/// Where access tokens come from.
///
/// [`AccessToken`] is a fixed one, [`token_fn`] makes one of a closure.
#[async_trait]
pub trait TokenSource: Send + Sync + 'static {
    /// The token to use now. Called before every API call, so an implementation keeps the token it has.
    ///
    /// # Errors
    ///
    /// After a [transient](TokenError::transient) error the client asks again, with a growing pause; a
    /// [permanent](TokenError::permanent) one stops the stream.
    async fn token(&self) -> Result<AccessToken, TokenError>;

    /// A newer token than `rejected`, which Box answered with 401.
    ///
    /// The client calls this once for all its streams that met the same 401.
    ///
    /// # Errors
    ///
    /// As for [`token`](TokenSource::token). A source that has no newer token answers with a permanent error.
    async fn refresh(&self, rejected: &AccessToken) -> Result<AccessToken, TokenError>;
}

#[async_trait]
impl TokenSource for AccessToken {
    async fn token(&self) -> Result<AccessToken, TokenError> {
        Ok(self.clone())
    }

    async fn refresh(&self, _rejected: &AccessToken) -> Result<AccessToken, TokenError> {
        Err(TokenError::permanent(
            "this is a fixed token; get a new one from Box",
        ))
    }
}

#[async_trait]
impl<S: TokenSource + ?Sized> TokenSource for Arc<S> {
    async fn token(&self) -> Result<AccessToken, TokenError> {
        (**self).token().await
    }

    async fn refresh(&self, rejected: &AccessToken) -> Result<AccessToken, TokenError> {
        (**self).refresh(rejected).await
    }
}

/// A [`TokenSource`] out of a closure that gets a token.
///
/// The closure is called for the first token, and again when Box rejects the one it gave; in between the token is kept.
/// Calls never overlap.
///
/// ```
/// use box_longpoll::{AccessToken, TokenError, token_fn};
///
/// let source = token_fn(|| async {
///     let text = std::fs::read_to_string("token.txt").map_err(TokenError::transient)?;
///     AccessToken::new(text.trim()).map_err(TokenError::permanent)
/// });
/// ```
pub fn token_fn<F, Fut>(get: F) -> TokenFn<F>
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<AccessToken, TokenError>> + Send,
{
    TokenFn {
        get,
        kept: Mutex::new(None),
    }
}

/// A token source made by [`token_fn`].
pub struct TokenFn<F> {
    get: F,
    kept: Mutex<Option<AccessToken>>,
}

impl<F> fmt::Debug for TokenFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenFn(..)")
    }
}

#[async_trait]
impl<F, Fut> TokenSource for TokenFn<F>
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<AccessToken, TokenError>> + Send,
{
    async fn token(&self) -> Result<AccessToken, TokenError> {
        let mut kept = self.kept.lock().await;
        match &*kept {
            Some(token) => Ok(token.clone()),
            None => Ok(kept.insert((self.get)().await?).clone()),
        }
    }

    async fn refresh(&self, rejected: &AccessToken) -> Result<AccessToken, TokenError> {
        let mut kept = self.kept.lock().await;
        match &*kept {
            Some(token) if token != rejected => Ok(token.clone()),
            _ => Ok(kept.insert((self.get)().await?).clone()),
        }
    }
}

/// Why a [`TokenSource`] has no token.
#[derive(Clone, Debug)]
pub struct TokenError {
    transient: bool,
    source: Arc<dyn StdError + Send + Sync>,
}

impl TokenError {
    /// It may pass: the network, the token endpoint's 5xx. The client asks again, with a growing pause.
    pub fn transient(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            transient: true,
            source: Arc::from(source.into()),
        }
    }

    /// It will not pass by itself: a revoked grant, a wrong secret. The stream stops.
    pub fn permanent(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            transient: false,
            source: Arc::from(source.into()),
        }
    }

    /// Whether asking again may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.transient
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.transient {
            "no access token for now"
        } else {
            "no access token"
        })
    }
}

impl StdError for TokenError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.source.as_ref() as &(dyn StdError + 'static))
    }
}

/// A client's token source, shared by its streams: whoever meets a 401 first refreshes for all.
pub(crate) struct SharedTokens {
    source: Arc<dyn TokenSource>,
    last_refresh: Mutex<Option<Refresh>>,
    refreshes: AtomicU64,
}

struct Refresh {
    rejected: AccessToken,
    outcome: Result<AccessToken, TokenError>,
}

impl SharedTokens {
    pub(crate) fn new(source: Arc<dyn TokenSource>) -> Self {
        Self {
            source,
            last_refresh: Mutex::new(None),
            refreshes: AtomicU64::new(0),
        }
    }

    /// The token to use now, or a newer one than `rejected`.
    ///
    /// A refresh that ended while this call waited for it speaks for this call too, even where it failed. One that had
    /// failed before does not: asking again may help by now.
    pub(crate) async fn token(
        &self,
        rejected: Option<&AccessToken>,
    ) -> Result<AccessToken, TokenError> {
        let Some(rejected) = rejected else {
            return self.source.token().await;
        };
        let refreshes = self.refreshes.load(Ordering::Acquire);
        let mut last = self.last_refresh.lock().await;
        if let Some(last) = &*last
            && last.rejected == *rejected
            && (last.outcome.is_ok() || self.refreshes.load(Ordering::Acquire) != refreshes)
        {
            return last.outcome.clone();
        }
        let outcome = self.source.refresh(rejected).await;
        self.refreshes.fetch_add(1, Ordering::AcqRel);
        *last = Some(Refresh {
            rejected: rejected.clone(),
            outcome: outcome.clone(),
        });
        outcome
    }
}
