//! `Retry-After`, and the `Date` that it may be measured against.

use std::time::Duration;

use box_longpoll::protocol::{Call, Output};
use box_longpoll::{LongPollClient, StartAt};
use bytes::Bytes;
use futures_lite::future::block_on;
use http::{HeaderValue, Response};

use super::exchange::{Engine, client};
use super::shown;

/// The first line is the one, the second the other. Seconds are obeyed up to an hour, and nothing waits longer.
pub(crate) fn holds(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let retry_after = lines.next().unwrap_or_default();
    let sent = lines.next();
    for status in [429, 503] {
        let mut answer = Response::new(Bytes::new());
        *answer.status_mut() = status.try_into().expect("a status");
        for (name, value) in [("retry-after", Some(retry_after)), ("date", sent)] {
            if let Some(Ok(value)) = value.map(HeaderValue::from_bytes) {
                answer.headers_mut().insert(name, value);
            }
        }
        let fetched = block_on(client(LongPollClient::builder(), &answer).fetch(StartAt::Now));
        let error = fetched.expect_err("a bad status");
        shown::assert_error(&error);
        let seconds = seconds(retry_after);
        if seconds.is_some() {
            assert_eq!(error.retry_after(), seconds);
        }
        if sent.is_none() {
            assert_eq!(
                error.retry_after(),
                seconds,
                "a date is measured against a date"
            );
        }

        for call in [Call::Fetch, Call::List, Call::Listen] {
            let mut engine = Engine::asking(call);
            engine.answer(answer.clone());
            let before = engine.now.monotonic;
            let output = engine.next();
            assert!(matches!(output, Output::Send { .. }), "{output:?}");
            let waited = engine.now.monotonic - before;
            // A poll's own wait comes after the page that is fetched at once.
            if call != Call::Listen {
                assert!(waited >= error.retry_after().unwrap_or_default());
            }
        }
    }
}

/// What whole seconds ask for.
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
