//! The pace of the calls that read a history in parallel.
//!
//! Each slice of a history has an engine of its own, and Box counts their calls together. The
//! slices share one [`Pacer`], which lets one call after another pass. If Box makes one slice wait,
//! all of them wait.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::pacing::{TokenBucket, retry_after};
use crate::sys::lock;
use crate::transport::{HttpTransport, TransportError};

/// The wait after a 429 that does not say how long to wait: 1 s.
const DEFAULT_WAIT: Duration = Duration::from_secs(1);

/// A rate limit that several engines share.
#[derive(Debug)]
pub(crate) struct Pacer(Mutex<TokenBucket>);

impl Pacer {
    pub(crate) fn new(bucket: TokenBucket) -> Self {
        Self(Mutex::new(bucket))
    }

    /// Returns the tokens that are left.
    pub(crate) fn bucket(&self) -> TokenBucket {
        lock(&self.0).clone()
    }

    /// Waits until a call may be sent.
    ///
    /// # Cancellation
    ///
    /// Dropping the future takes nothing from the limit.
    pub(crate) async fn acquire(
        &self,
        transport: &impl HttpTransport,
    ) -> Result<(), TransportError> {
        loop {
            let now = transport.now().monotonic;
            let Err(until) = lock(&self.0).try_acquire(now) else {
                return Ok(());
            };
            transport
                .sleep(until.saturating_duration_since(now))
                .await?;
        }
    }

    /// Takes note of a response. If Box refuses a call because of a rate limit, no call is sent
    /// until Box permits it, and the calls after that do not begin with a burst.
    pub(crate) fn take_note(&self, response: &Response<Bytes>, now: Instant) {
        let wait = retry_after(response.headers());
        let wait = match response.status() {
            StatusCode::TOO_MANY_REQUESTS => wait.or(Some(DEFAULT_WAIT)),
            StatusCode::SERVICE_UNAVAILABLE => wait,
            _ => None,
        };
        if let Some(wait) = wait {
            lock(&self.0).empty_until(now + wait);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;

    fn response(status: u16, headers: &[(&str, &str)]) -> Response<Bytes> {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(Bytes::new()).unwrap()
    }

    fn pacer(now: Instant) -> Pacer {
        Pacer::new(TokenBucket::full(10.0, 60.0, now))
    }

    fn try_acquire(pacer: &Pacer, now: Instant) -> bool {
        lock(&pacer.0).try_acquire(now).is_ok()
    }

    #[test]
    fn refusal_makes_all_wait_and_leaves_no_burst() {
        let now = Moment::read_clocks().monotonic;
        let after = |millis| now + Duration::from_millis(millis);
        let pacer = pacer(now);
        assert!(try_acquire(&pacer, now));
        pacer.take_note(&response(429, &[("Retry-After", "7")]), now);
        pacer.take_note(&response(429, &[("Retry-After", "2")]), after(10));
        assert!(!try_acquire(&pacer, after(7_000)));
        // From then on, there is a token a second.
        assert!(try_acquire(&pacer, after(8_001)));
        assert!(!try_acquire(&pacer, after(8_001)));
    }

    #[test]
    fn only_a_refusal_for_the_number_of_calls_counts() {
        let now = Moment::read_clocks().monotonic;
        let pacer = pacer(now);
        for other in [
            response(200, &[("Retry-After", "7")]),
            response(500, &[("Retry-After", "7")]),
            response(503, &[]),
        ] {
            pacer.take_note(&other, now);
            assert!(try_acquire(&pacer, now));
        }
        pacer.take_note(&response(429, &[]), now);
        assert!(!try_acquire(&pacer, now + DEFAULT_WAIT));
    }
}
