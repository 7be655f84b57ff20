//! A token source made from a closure.
//!
//! [`token_fn`] suits tokens that something else issues or refreshes. It keeps the token between
//! calls and calls the closure once for all callers. It does not know when a token expires: the
//! client reports when Box rejects it.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::in_flight::call;
use super::{AccessToken, TokenError, TokenSource};
use crate::single_flight::WeakFlight;
use crate::sys::lock;

/// Creates a [`TokenSource`] from a closure that gets a token.
///
/// The source calls the closure for the first token, and again when Box rejects the current one. It
/// keeps the token in between. It never calls the closure while an earlier call is still running.
///
/// If all callers are dropped, the closure's future is dropped too. A panic of the closure counts
/// as a transient error.
///
/// The closure must return a new token each time. If it returns the rejected one, the stream stops.
/// If another program refreshes the token and has not done so yet, return
/// [`TokenError::transient`], and the client retries.
///
/// ```
/// use box_longpoll::{AccessToken, auth::{TokenError, token_fn}};
/// # async fn fetch_token() -> std::io::Result<String> { Ok(String::new()) }
///
/// let source = token_fn(|| async {
///     let text = fetch_token().await.map_err(TokenError::transient)?;
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

/// The token source that [`token_fn`] creates.
pub struct TokenFn<F> {
    get: Arc<F>,
    kept: Arc<Mutex<Kept>>,
}

/// The last token of the closure, and the call in flight for the next one.
#[derive(Default)]
struct Kept {
    token: Option<AccessToken>,
    /// Weak, so that the call is dropped with its last caller.
    in_flight: Option<WeakFlight<Result<AccessToken, TokenError>>>,
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
    Fut: Future<Output = Result<AccessToken, TokenError>> + Send + 'static,
{
    /// Returns the kept token, or the outcome of a call if there is none or it was rejected.
    async fn token(&self, rejected: Option<&AccessToken>) -> Result<AccessToken, TokenError> {
        let call = {
            let mut kept = lock(&self.kept);
            if let Some(token) = &kept.token
                && Some(token) != rejected
            {
                return Ok(token.clone());
            }
            let in_flight = kept.in_flight.as_ref().and_then(WeakFlight::upgrade);
            if let Some(call) = in_flight.filter(|call| call.outcome().is_none()) {
                call
            } else {
                let (get, store) = (self.get.clone(), self.kept.clone());
                let call = call(async move {
                    let token = get().await?;
                    lock(&store).token = Some(token.clone());
                    Ok(token)
                });
                kept.in_flight = Some(call.downgrade());
                call
            }
        };
        call.await
    }
}
