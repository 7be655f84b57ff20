//! A call for a token that many wait for.

use std::future::Future;

use super::TokenError;
use crate::single_flight::SingleFlight;

pub(super) type Call<T> = SingleFlight<Result<T, TokenError>>;

pub(super) fn call<T: Clone + Send + 'static>(
    work: impl Future<Output = Result<T, TokenError>> + Send + 'static,
) -> Call<T> {
    SingleFlight::new(work, || {
        Err(TokenError::transient("the token source panicked"))
    })
}
