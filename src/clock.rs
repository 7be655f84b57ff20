//! Both clocks of the machine, and timestamps.
//!
//! A [`Moment`] is one time on both clocks. Their difference shows that the machine was suspended.
//! Only [`Moment::read_clocks`] reads the clocks: everywhere else, time is an argument, so that
//! tests control it. This module does not sleep; transports do.

use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;

/// The difference between the clocks that means that the machine was suspended, 10 s. A shorter
/// suspension breaks no connection, and the usual corrections of a clock are smaller.
const SUSPEND_THRESHOLD: Duration = Duration::from_secs(10);

/// One moment on two clocks.
///
/// The monotonic clock measures waits. The wall clock dates what is shown and stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The monotonic clock.
    pub monotonic: Instant,
    /// The wall clock, which may jump.
    pub wall: SystemTime,
}

impl Moment {
    /// Reads the operating system's clocks.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the default of `HttpTransport::now`, the one source of the time"
    )]
    pub fn read_clocks() -> Self {
        Self {
            monotonic: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// Returns the time on the wall clock at `instant`, if nobody sets the clock in between.
    pub(crate) fn wall_at(self, instant: Instant) -> SystemTime {
        let ahead = instant.saturating_duration_since(self.monotonic);
        self.wall.checked_add(ahead).unwrap_or(self.wall)
    }

    /// Returns `true` if the clocks differ by more than 10 s since that moment. The monotonic clock
    /// stops while the machine is suspended, and the wall clock does not.
    pub(crate) fn was_suspended_since(self, since: Moment) -> bool {
        let awake = self.monotonic.saturating_duration_since(since.monotonic);
        let difference = match self.wall.duration_since(since.wall) {
            Ok(passed) => passed.abs_diff(awake),
            Err(back) => back.duration().saturating_add(awake),
        };
        difference > SUSPEND_THRESHOLD
    }
}

/// Returns a time as RFC 3339. A time before 1970 or after 9999 becomes 1970.
pub(crate) fn to_rfc3339(time: SystemTime) -> String {
    // A clock that is millennia ahead becomes 1970 too: the client then checks for missing events.
    Timestamp::try_from(time)
        .unwrap_or_default()
        .max(Timestamp::UNIX_EPOCH)
        .to_string()
}

/// Parses a time in RFC 3339. Returns `None` if it is malformed, or not between 1970 and 9999.
pub(crate) fn from_rfc3339(text: &str) -> Option<SystemTime> {
    let time: Timestamp = text.parse().ok()?;
    let since_1970 = Duration::try_from(time.as_duration()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(since_1970)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since_1970(seconds: u64, nanoseconds: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds)
    }

    #[test]
    fn time_has_as_many_digits_as_it_needs() {
        for (time, text) in [
            (since_1970(0, 0), "1970-01-01T00:00:00Z"),
            (since_1970(0, 1), "1970-01-01T00:00:00.000000001Z"),
            (since_1970(1_784_111_777, 0), "2026-07-15T10:36:17Z"),
            (
                since_1970(1_784_111_777, 500_000_000),
                "2026-07-15T10:36:17.5Z",
            ),
            (
                since_1970(1_784_111_777, 120_000_000),
                "2026-07-15T10:36:17.12Z",
            ),
            (
                since_1970(1_784_111_777, 123_456_000),
                "2026-07-15T10:36:17.123456Z",
            ),
            (
                since_1970(1_784_111_777, 123_456_789),
                "2026-07-15T10:36:17.123456789Z",
            ),
            (since_1970(32_503_680_000, 0), "3000-01-01T00:00:00Z"),
        ] {
            assert_eq!(to_rfc3339(time), text);
            assert_eq!(from_rfc3339(text), Some(time));
        }
    }

    #[test]
    fn time_before_1970_or_after_9999_is_written_as_1970() {
        let year = Duration::from_secs(365 * 24 * 60 * 60);
        for time in [
            SystemTime::UNIX_EPOCH - year,
            SystemTime::UNIX_EPOCH + 8_100 * year,
        ] {
            assert_eq!(to_rfc3339(time), "1970-01-01T00:00:00Z");
        }
        assert_eq!(from_rfc3339("1969-12-31T23:59:59.9Z"), None);
        assert_eq!(from_rfc3339("10000-01-01T00:00:00Z"), None);
        assert_eq!(from_rfc3339("2026-07-15"), None);
    }

    #[test]
    fn time_is_read_in_any_offset() {
        let time = Some(since_1970(1_784_111_777, 0));
        assert_eq!(from_rfc3339("2026-07-15T03:36:17-07:00"), time);
        assert_eq!(from_rfc3339("2026-07-15T12:36:17+02:00"), time);
    }
}
