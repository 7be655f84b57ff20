//! A call for a token that many wait for.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use super::{AccessToken, TokenError};

/// A call that many wait for. Each of them drives it when it is polled, so that one that nobody polls any more keeps none
/// of the others waiting; what the call itself waits for has to be alive, such as its runtime. It ends when the last of
/// them is dropped.
pub(super) type Call<T> = Shared<BoxFuture<'static, Result<T, TokenError>>>;

pub(super) fn call<T: Clone>(
    work: impl Future<Output = Result<T, TokenError>> + Send + 'static,
) -> Call<T> {
    // Unwinding through it would leave a call that panics for all who wait.
    AssertUnwindSafe(work)
        .catch_unwind()
        .map(|outcome| {
            outcome.unwrap_or_else(|_| Err(TokenError::transient("the token source panicked")))
        })
        .boxed()
        .shared()
}

/// The call that is under way, if there is one.
#[derive(Default)]
pub(super) struct UnderWay(Option<WeakShared<BoxFuture<'static, Result<AccessToken, TokenError>>>>);

impl UnderWay {
    pub(super) fn join_or_begin(
        &mut self,
        work: impl Future<Output = Result<AccessToken, TokenError>> + Send + 'static,
    ) -> Call<AccessToken> {
        if let Some(call) = self.0.as_ref().and_then(WeakShared::upgrade)
            && call.peek().is_none()
        {
            return call;
        }
        let call = call(work);
        self.0 = call.downgrade();
        call
    }
}
