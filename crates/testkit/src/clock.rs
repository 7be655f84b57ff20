//! The emulator's clock, which maps the moments of a monotonic clock to dates.
//!
//! The emulator reads no clock itself: each call receives the present moment. This module also
//! formats and parses dates as HTTP and Box write them. Start from [`Clock`].

use std::time::{Duration, Instant};

use jiff::{Timestamp, civil::Time, fmt::rfc2822, tz::Offset};

/// A mapping from the moments of a monotonic clock to dates.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    /// The emulator's first moment.
    started: Instant,
    /// The first moment in complete seconds since 1970.
    started_unix: i64,
    /// The fraction of a second to add to `started_unix`.
    fraction: Duration,
}

impl Clock {
    pub(crate) fn new(started: Instant, started_unix: i64) -> Self {
        Self {
            started,
            started_unix,
            fraction: Duration::ZERO,
        }
    }

    /// Sets the fraction of a second by which the first moment lies after `started_unix`. Default:
    /// 0.
    pub(crate) fn with_fraction(self, fraction: Duration) -> Self {
        Self { fraction, ..self }
    }

    /// Returns the milliseconds since the first moment.
    pub(crate) fn milliseconds(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }

    /// Returns the nanoseconds since the first moment.
    pub(crate) fn nanoseconds(&self, now: Instant) -> i64 {
        i64::try_from(now.saturating_duration_since(self.started).as_nanos()).unwrap_or(i64::MAX)
    }

    /// Returns the nanoseconds from the first moment to a date in seconds since 1970. The number is
    /// negative if the date is earlier.
    pub(crate) fn nanoseconds_to(&self, unix: i64) -> i64 {
        let seconds = unix.saturating_sub(self.started_unix);
        let fraction = i64::from(self.fraction.subsec_nanos());
        seconds
            .saturating_mul(1_000_000_000)
            .saturating_sub(fraction)
    }

    /// Returns the complete seconds since 1970.
    pub(crate) fn unix(&self, now: Instant) -> i64 {
        let elapsed = now.saturating_duration_since(self.started) + self.fraction;
        self.started_unix.saturating_add_unsigned(elapsed.as_secs())
    }
}

/// Formats seconds since 1970 as a `Date` header: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn http_date(unix: i64) -> String {
    rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&date(unix))
        .unwrap_or_default()
}

/// Formats seconds since 1970 as Box does, with the UTC offset of its servers:
/// `2012-12-12T10:53:43-08:00`.
pub(crate) fn rfc3339(unix: i64) -> String {
    const PACIFIC: Offset = Offset::constant(-8);
    date(unix).display_with_offset(PACIFIC).to_string()
}

/// Parses a date of RFC 3339 into seconds since 1970. Returns `None` if it can't be read.
pub(crate) fn parse_rfc3339(text: &str) -> Option<i64> {
    Some(text.parse::<Timestamp>().ok()?.as_second())
}

/// Returns the end of the month in UTC that contains a time. Both are in seconds since 1970.
pub(crate) fn end_of_month(unix: i64) -> i64 {
    let last_day = Offset::UTC.to_datetime(date(unix)).date().last_of_month();
    let next_month = last_day
        .tomorrow()
        .map(|day| day.to_datetime(Time::midnight()));
    next_month
        .and_then(|midnight| Offset::UTC.to_timestamp(midnight))
        .map_or(i64::MAX, Timestamp::as_second)
}

fn date(unix: i64) -> Timestamp {
    Timestamp::from_second(unix).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn the_first_second_ends_after_the_rest_of_its_fraction() {
        let started = Instant::now();
        let clock = Clock::new(started, 100).with_fraction(Duration::from_millis(900));
        let unix = |milliseconds| clock.unix(started + Duration::from_millis(milliseconds));
        assert_eq!(
            [unix(0), unix(99), unix(100), unix(1_100)],
            [100, 100, 101, 102]
        );
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn a_date_before_the_first_moment_is_negative_nanoseconds() {
        let clock = Clock::new(Instant::now(), 100).with_fraction(Duration::from_millis(250));
        assert_eq!(clock.nanoseconds_to(98), -2_250_000_000);
        assert_eq!(clock.nanoseconds_to(101), 750_000_000);
    }

    #[test]
    fn a_month_ends_at_midnight_in_utc() {
        let unix = |text| parse_rfc3339(text).unwrap();
        for (time, end) in [
            ("2026-11-30T23:59:59Z", "2026-12-01T00:00:00Z"),
            ("2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("2028-01-31T18:00:00-08:00", "2028-03-01T00:00:00Z"),
        ] {
            assert_eq!(end_of_month(unix(time)), unix(end), "{time}");
        }
    }

    #[test]
    fn dates_have_the_formats_of_http_and_box() {
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(rfc3339(1_355_338_423), "2012-12-12T10:53:43-08:00");
        assert_eq!(
            parse_rfc3339("2012-12-12T10:53:43-08:00"),
            Some(1_355_338_423)
        );
    }
}
