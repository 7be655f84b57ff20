//! [`Rotation`]: the rule by which a file is moved away and a new one begun.

use std::time::Duration;

use jiff::Timestamp;

/// The limits of a file. Without limits, it grows forever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rotation {
    /// The largest size in bytes. A file with a single page may be larger.
    pub(crate) size: Option<u64>,
    /// The length of a period, counted from 1970-01-01T00:00:00Z: a day begins at midnight UTC, and
    /// an hour at its minute 0. All pages of a file are written in the same period.
    pub(crate) every: Option<Duration>,
}

impl Rotation {
    /// Returns `true` if a page of `page` bytes belongs into a new file. The present one has
    /// `length` bytes, and is never moved away while it is empty.
    pub(super) fn is_due(
        &self,
        length: u64,
        page: usize,
        last_write: Timestamp,
        now: Timestamp,
    ) -> bool {
        let is_full = |size| length + page as u64 > size;
        let is_over = |every: Duration| period(now, every) > period(last_write, every);
        length > 0 && (self.size.is_some_and(is_full) || self.every.is_some_and(is_over))
    }
}

/// Returns the number of the period that contains the time.
fn period(time: Timestamp, every: Duration) -> i128 {
    let every = i128::try_from(every.as_nanos()).unwrap_or(i128::MAX);
    time.as_nanosecond().div_euclid(every)
}
