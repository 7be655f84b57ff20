//! How often a client may call: rate limits, and the waits after a failure.

mod backoff;
mod pace;
mod rate_limiter;
mod token_bucket;

pub use self::backoff::RetryPolicy;
pub(crate) use self::backoff::{Backoff, date, retry_after};
pub use self::pace::Pace;
pub(crate) use self::rate_limiter::RateLimiter;
pub(crate) use self::token_bucket::TokenBucket;
