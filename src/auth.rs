//! Who the client is: access tokens and where they come from.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use http::HeaderValue;

use crate::error::{Error, ErrorKind};

/// Box's tokens have 32 characters and more. What is shorter than this is made up, and a part of many words.
const SHORTEST_SECRET: usize = 8;

/// A Box access token. It is never shown: `Debug` hides it, it has no `Display`, and where a server's text repeats it, it
/// is taken out (a token of 8 characters or more: shorter ones are made up, for tests).
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
        let refused = if text.is_empty() {
            "it is empty"
        } else if text.starts_with("Bearer ") {
            "leave out the word Bearer"
        } else if text.contains(char::is_whitespace) {
            "it has white space in it, or a line break at its end"
        } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            "it has characters other than visible ASCII"
        } else {
            return Ok(Self(text.into()));
        };
        Err(Error::new(
            ErrorKind::Config,
            format!("not an access token: {refused}"),
        ))
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
/// Calls never overlap. It gives a new token each time: the rejected one once more counts as none, and stops the stream.
/// Where somebody else renews the token, answer with [`TokenError::transient`] as long as it is still the old one.
///
/// ```
/// use box_longpoll::{AccessToken, TokenError, token_fn};
/// # async fn ask_for_a_token() -> std::io::Result<String> { Ok(String::new()) }
///
/// let source = token_fn(|| async {
///     let text = ask_for_a_token().await.map_err(TokenError::transient)?;
///     Ok(AccessToken::new(text)?)
/// });
/// ```
pub fn token_fn<F, Fut>(get: F) -> TokenFn<F>
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<AccessToken, TokenError>> + Send + 'static,
{
    TokenFn {
        get,
        kept: Mutex::new(None),
    }
}

/// A token source made by [`token_fn`].
pub struct TokenFn<F> {
    get: F,
    kept: Mutex<Option<Flight>>,
}

impl<F> fmt::Debug for TokenFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenFn(..)")
    }
}

impl<F, Fut> TokenFn<F>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<AccessToken, TokenError>> + Send + 'static,
{
    /// The token that is kept or under way, unless it is not wanted.
    fn flight(&self, rejected: Option<&AccessToken>) -> Flight {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some(flight) if flight.is_worth_joining(rejected) => flight.clone(),
            _ => kept.insert(Flight::begin((self.get)())).clone(),
        }
    }
}

#[async_trait]
impl<F, Fut> TokenSource for TokenFn<F>
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<AccessToken, TokenError>> + Send + 'static,
{
    async fn token(&self) -> Result<AccessToken, TokenError> {
        self.flight(None).0.await
    }

    async fn refresh(&self, rejected: &AccessToken) -> Result<AccessToken, TokenError> {
        self.flight(Some(rejected)).0.await
    }
}

/// A call for a token that many may wait for. Whoever is polled drives it, so that a waiter that nobody polls any more
/// does not keep the others waiting.
#[derive(Clone)]
struct Flight(Shared<BoxFuture<'static, Result<AccessToken, TokenError>>>);

impl Flight {
    fn begin(call: impl Future<Output = Result<AccessToken, TokenError>> + Send + 'static) -> Self {
        Self(call.boxed().shared())
    }

    /// Whether it is under way, or gave another token than the rejected one.
    fn is_worth_joining(&self, rejected: Option<&AccessToken>) -> bool {
        match self.0.peek() {
            None => true,
            Some(Ok(token)) => Some(token) != rejected,
            Some(Err(_)) => false,
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

/// A text that is no token: permanent.
impl From<Error> for TokenError {
    fn from(error: Error) -> Self {
        Self::permanent(error)
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
}

struct Refresh {
    rejected: AccessToken,
    flight: Flight,
}

impl SharedTokens {
    pub(crate) fn new(source: Arc<dyn TokenSource>) -> Self {
        Self {
            source,
            last_refresh: Mutex::new(None),
        }
    }

    /// The token to use now, or a newer one than `rejected`.
    pub(crate) async fn token(
        &self,
        rejected: Option<&AccessToken>,
    ) -> Result<AccessToken, TokenError> {
        match rejected {
            None => self.source.token().await,
            Some(rejected) => self.refresh(rejected).0.await,
        }
    }

    fn refresh(&self, rejected: &AccessToken) -> Flight {
        let mut last = self
            .last_refresh
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &*last
            && last.rejected == *rejected
            && last.flight.is_worth_joining(Some(rejected))
        {
            return last.flight.clone();
        }
        let (source, token) = (self.source.clone(), rejected.clone());
        let flight = Flight::begin(async move { source.refresh(&token).await });
        *last = Some(Refresh {
            rejected: rejected.clone(),
            flight: flight.clone(),
        });
        flight
    }
}
