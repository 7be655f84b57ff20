use std::time::Instant;

use time::{
    OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339, macros::format_description,
};

/// Turns the moments of a monotonic clock into dates.
#[derive(Clone, Debug)]
pub(crate) struct Calendar {
    started: Instant,
    started_unix: i64,
}

impl Calendar {
    pub(crate) fn new(started: Instant, started_unix: i64) -> Self {
        Self {
            started,
            started_unix,
        }
    }

    pub(crate) fn milliseconds(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }

    /// Seconds since 1970.
    pub(crate) fn unix(&self, now: Instant) -> i64 {
        self.started_unix
            .saturating_add_unsigned(self.milliseconds(now) / 1000)
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
pub(crate) fn http_date(unix: i64) -> String {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    date(unix).format(&format).unwrap_or_default()
}

/// Box writes times with the offset of its own servers: `2012-12-12T10:53:43-08:00`.
pub(crate) fn rfc3339(unix: i64) -> String {
    let pacific = UtcOffset::from_hms(-8, 0, 0).unwrap_or(UtcOffset::UTC);
    date(unix)
        .to_offset(pacific)
        .format(&Rfc3339)
        .unwrap_or_default()
}

pub(crate) fn parse_rfc3339(text: &str) -> Option<i64> {
    OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .map(OffsetDateTime::unix_timestamp)
}

fn date(unix: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(unix).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

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
