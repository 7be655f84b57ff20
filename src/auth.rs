//! Who the client is: access tokens and where they come from.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
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
///
/// A call is waited for without a limit, by all streams that need a token: give it a timeout of its own.
///
/// # Cancellation
///
/// A call ends when all who wait for it are dropped; the next who needs a token calls anew.
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
        get: Arc::new(get),
        kept: Arc::default(),
    }
}

/// A token source made by [`token_fn`].
pub struct TokenFn<F> {
    get: Arc<F>,
    kept: Arc<Mutex<Kept>>,
}

/// What a closure gave last, and the call for more that is under way.
#[derive(Default)]
struct Kept {
    token: Option<AccessToken>,
    under_way: UnderWay,
}

impl<F> fmt::Debug for TokenFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenFn(..)")
    }
}

impl<F, Fut> TokenFn<F>
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<AccessToken, TokenError>> + Send + 'static,
{
    /// The token that is kept, unless it is the rejected one; else the outcome of a call.
    async fn other_than(&self, rejected: Option<&AccessToken>) -> Result<AccessToken, TokenError> {
        let call = {
            let mut kept = lock(&self.kept);
            if let Some(token) = &kept.token
                && Some(token) != rejected
            {
                return Ok(token.clone());
            }
            let (get, store) = (self.get.clone(), self.kept.clone());
            kept.under_way.join_or_begin(async move {
                let token = get().await?;
                lock(&store).token = Some(token.clone());
                Ok(token)
            })
        };
        call.await
    }
}

#[async_trait]
impl<F, Fut> TokenSource for TokenFn<F>
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<AccessToken, TokenError>> + Send + 'static,
{
    async fn token(&self) -> Result<AccessToken, TokenError> {
        self.other_than(None).await
    }

    async fn refresh(&self, rejected: &AccessToken) -> Result<AccessToken, TokenError> {
        self.other_than(Some(rejected)).await
    }
}

/// A call for a token that many wait for. Each of them drives it when it is polled, so that one that nobody polls any
/// more keeps none of the others waiting; what the call itself waits for has to be alive, such as its runtime. It ends
/// when the last of them is dropped.
type Call = Shared<BoxFuture<'static, Result<AccessToken, TokenError>>>;

/// The call that is under way, if there is one.
#[derive(Default)]
struct UnderWay(Option<WeakShared<BoxFuture<'static, Result<AccessToken, TokenError>>>>);

impl UnderWay {
    fn join_or_begin(
        &mut self,
        call: impl Future<Output = Result<AccessToken, TokenError>> + Send + 'static,
    ) -> Call {
        if let Some(call) = self.0.as_ref().and_then(WeakShared::upgrade)
            && call.peek().is_none()
        {
            return call;
        }
        // Unwinding through it would leave a call that panics for all who wait.
        let call = AssertUnwindSafe(call)
            .catch_unwind()
            .map(|outcome| {
                outcome.unwrap_or_else(|_| Err(TokenError::transient("the token source panicked")))
            })
            .boxed()
            .shared();
        self.0 = call.downgrade();
        call
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a [`TokenSource`] has no token.
#[derive(Clone, Debug)]
pub struct TokenError {
    transient: bool,
    source: Arc<dyn StdError + Send + Sync>,
}

impl TokenError {
    /// It may pass: the network, the token endpoint's 5xx. The client asks again, with a growing pause.
    ///
    /// The source's text is logged and shown in the status: it must hold no secret, such as a URL with a key in it.
    pub fn transient(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            transient: true,
            source: Arc::from(source.into()),
        }
    }

    /// It will not pass by itself: a revoked grant, a wrong secret. The stream stops.
    ///
    /// The source's text is logged and shown in the status: it must hold no secret, such as a URL with a key in it.
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
    last_refresh: Arc<Mutex<Refresh>>,
}

/// What came, or is to come, in place of which token.
#[derive(Default)]
struct Refresh {
    rejected: Option<AccessToken>,
    newer: Option<AccessToken>,
    under_way: UnderWay,
}

impl SharedTokens {
    pub(crate) fn new(source: Arc<dyn TokenSource>) -> Self {
        Self {
            source,
            last_refresh: Arc::default(),
        }
    }

    /// The token to use now, or a newer one than `rejected`.
    pub(crate) async fn token(
        &self,
        rejected: Option<&AccessToken>,
    ) -> Result<AccessToken, TokenError> {
        match rejected {
            None => self.source.token().await,
            Some(rejected) => self.refresh(rejected).await,
        }
    }

    async fn refresh(&self, rejected: &AccessToken) -> Result<AccessToken, TokenError> {
        let call = {
            let mut last = lock(&self.last_refresh);
            if last.rejected.as_ref() != Some(rejected) {
                *last = Refresh {
                    rejected: Some(rejected.clone()),
                    ..Refresh::default()
                };
            }
            if let Some(newer) = &last.newer {
                return Ok(newer.clone());
            }
            let (source, store) = (self.source.clone(), self.last_refresh.clone());
            let rejected = rejected.clone();
            last.under_way.join_or_begin(async move {
                let newer = source.refresh(&rejected).await?;
                let mut last = lock(&store);
                if newer != rejected && last.rejected.as_ref() == Some(&rejected) {
                    last.newer = Some(newer.clone());
                }
                Ok(newer)
            })
        };
        call.await
    }
}
