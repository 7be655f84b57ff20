//! A call for a token that many wait for.

use std::future::Future;

use super::{AccessToken, TokenError};
use crate::single_flight::{SingleFlight, WeakFlight};

pub(super) type Call<T> = SingleFlight<Result<T, TokenError>>;

pub(super) fn call<T: Clone + Send + 'static>(
    work: impl Future<Output = Result<T, TokenError>> + Send + 'static,
) -> Call<T> {
    SingleFlight::new(work, || {
        Err(TokenError::transient("the token source panicked"))
    })
}

/// The call that is under way, if there is one.
#[derive(Default)]
pub(super) struct InFlight(Option<WeakFlight<Result<AccessToken, TokenError>>>);

impl InFlight {
    pub(super) fn join_or_begin(
        &mut self,
        work: impl Future<Output = Result<AccessToken, TokenError>> + Send + 'static,
    ) -> Call<AccessToken> {
        if let Some(call) = self.0.as_ref().and_then(WeakFlight::upgrade)
            && call.outcome().is_none()
        {
            return call;
        }
        let call = call(work);
        self.0 = Some(call.downgrade());
        call
    }
}
