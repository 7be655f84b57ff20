//! A token request in flight that several callers wait for.
//!
//! [`call`] wraps it as a [`SingleFlight`], whose outcome is an error if the token source panics.

use std::future::Future;

use super::TokenError;
use crate::single_flight::SingleFlight;

/// A token request that runs once for all callers.
pub(super) type Call<T> = SingleFlight<Result<T, TokenError>>;

/// Wraps work that gets a token. It begins when the call is first polled.
pub(super) fn call<T: Clone + Send + 'static>(
    work: impl Future<Output = Result<T, TokenError>> + Send + 'static,
) -> Call<T> {
    SingleFlight::new(work, || {
        Err(TokenError::transient("the token source panicked"))
    })
}
