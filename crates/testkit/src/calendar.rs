use std::time::{Duration, Instant};

use jiff::{Timestamp, fmt::rfc2822, tz::Offset};

/// Turns the moments of a monotonic clock into dates.
#[derive(Clone, Debug)]
pub(crate) struct Calendar {
    started: Instant,
    started_unix: i64,
    /// How far into its second the first moment lies.
    fraction: Duration,
}

impl Calendar {
    pub(crate) fn new(started: Instant, started_unix: i64) -> Self {
        Self {
            started,
            started_unix,
            fraction: Duration::ZERO,
        }
    }

    /// The same, with a first moment that lies so far into its second.
    pub(crate) fn with_fraction(self, fraction: Duration) -> Self {
        Self { fraction, ..self }
    }

    pub(crate) fn milliseconds(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }

    /// Seconds since 1970.
    pub(crate) fn unix(&self, now: Instant) -> i64 {
        let elapsed = now.saturating_duration_since(self.started) + self.fraction;
        self.started_unix.saturating_add_unsigned(elapsed.as_secs())
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
pub(crate) fn http_date(unix: i64) -> String {
    rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&date(unix))
        .unwrap_or_default()
}

/// Box writes times with the offset of its own servers: `2012-12-12T10:53:43-08:00`.
pub(crate) fn rfc3339(unix: i64) -> String {
    const PACIFIC: Offset = Offset::constant(-8);
    date(unix).display_with_offset(PACIFIC).to_string()
}

pub(crate) fn parse_rfc3339(text: &str) -> Option<i64> {
    Some(text.parse::<Timestamp>().ok()?.as_second())
}

fn date(unix: i64) -> Timestamp {
    Timestamp::from_second(unix).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn the_second_in_which_the_first_moment_lies_is_over_when_its_rest_is() {
        let started = Instant::now();
        let calendar = Calendar::new(started, 100).with_fraction(Duration::from_millis(900));
        let unix = |milliseconds| calendar.unix(started + Duration::from_millis(milliseconds));
        assert_eq!(
            [unix(0), unix(99), unix(100), unix(1_100)],
            [100, 100, 101, 102]
        );
    }

    #[test]
    fn dates_are_written_as_http_and_box_write_them() {
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(rfc3339(1_355_338_423), "2012-12-12T10:53:43-08:00");
        assert_eq!(
            parse_rfc3339("2012-12-12T10:53:43-08:00"),
            Some(1_355_338_423)
        );
    }
}
