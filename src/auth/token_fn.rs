//! A closure that gets tokens.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::in_flight::call;
use super::{AccessToken, TokenError, TokenSource, lock};
use crate::single_flight::WeakFlight;

/// A [`TokenSource`] out of a closure that gets a token.
///
/// The closure is called for the first token, and again when Box rejects the one it gave; in between the token is kept.
/// Calls never overlap. It gives a new token each time: the rejected one once more counts as none, and stops the stream.
/// Where somebody else renews the token, answer with [`TokenError::transient`] as long as it is still the old one.
///
/// ```
/// use box_longpoll::{AccessToken, auth::{TokenError, token_fn}};
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
    /// Returns the token that is kept, unless it is the rejected one; else the outcome of a call.
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
