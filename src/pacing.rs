//! The pace of a client's calls: rate limits, and the waits after a failure.
//!
//! Box limits the calls of a user. [`RateLimiter`] and [`TokenBucket`] bound the calls of one
//! stream, and [`Backoff`] spreads its retries. They work on times that they are given, and never
//! wait themselves. The limits that a client's streams share are in [`limiter`](crate::limiter).
//! Start from [`Pace`] and [`RetryPolicy`].

mod backoff;
mod pace;
mod rate_limiter;
mod token_bucket;

pub use self::backoff::RetryPolicy;
pub(crate) use self::backoff::{Backoff, date, retry_after};
pub use self::pace::Pace;
pub(crate) use self::rate_limiter::{RateLimiter, Slot};
pub(crate) use self::token_bucket::TokenBucket;
