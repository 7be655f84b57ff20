//! The property of `Retry-After`, and of the `Date` that it may refer to.

use std::time::Duration;

use box_longpoll::protocol::{Call, Output};
use box_longpoll::{LongPollClient, StartAt};
use bytes::Bytes;
use futures_lite::future::block_on;
use http::{HeaderValue, Response};

use super::exchange::{Engine, client};
use super::shown;

/// Asserts that a wait in seconds is respected up to an hour, and that no wait is longer. The first
/// line of the data is `Retry-After`, and the second line is `Date`.
pub(crate) fn holds(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let retry_after = lines.next().unwrap_or_default();
    let sent = lines.next();
    for status in [429, 503] {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = status.try_into().expect("a status");
        for (name, value) in [("retry-after", Some(retry_after)), ("date", sent)] {
            if let Some(Ok(value)) = value.map(HeaderValue::from_bytes) {
                response.headers_mut().insert(name, value);
            }
        }
        let fetched = block_on(client(LongPollClient::builder(), &response).fetch(StartAt::Now));
        let error = fetched.expect_err("an error status");
        shown::assert_error(&error);
        let seconds = seconds(retry_after);
        if seconds.is_some() {
            assert_eq!(error.retry_after(), seconds);
        }
        if sent.is_none() {
            assert_eq!(
                error.retry_after(),
                seconds,
                "a date needs the `Date` of the response"
            );
        }

        for call in [Call::Fetch, Call::List, Call::Listen] {
            let mut engine = Engine::awaiting(call);
            engine.respond(response.clone());
            let before = engine.now.monotonic;
            let output = engine.next();
            assert!(matches!(output, Output::Send { .. }), "{output:?}");
            let waited = engine.now.monotonic - before;
            // After a failed poll, a page is fetched at once, and the wait comes after it.
            if call != Call::Listen {
                assert!(waited >= error.retry_after().unwrap_or_default());
            }
        }
    }
}

/// Returns the wait that a number of seconds requests, or `None` if the value is not a number.
fn seconds(value: &[u8]) -> Option<Duration> {
    let digits = value.trim_ascii();
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    HeaderValue::from_bytes(value).ok().filter(|_| all_digits)?;
    let seconds = digits.iter().fold(0_u64, |seconds, digit| {
        seconds
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    });
    Some(Duration::from_secs(seconds.min(3_600)))
}
