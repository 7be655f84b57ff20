//! Moments as they are written, by RFC 3339.

use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub(crate) fn written(time: SystemTime) -> String {
    let since_1970 = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i128::try_from(since_1970.as_nanos())
        .ok()
        .and_then(|nanos| OffsetDateTime::from_unix_timestamp_nanos(nanos).ok())
        .and_then(|time| time.format(&Rfc3339).ok())
        // Of a clock that is millennia ahead: too old, which asks for a look at what is missing.
        .unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned())
}

/// `None` for what is no moment since 1970.
pub(crate) fn read(text: &str) -> Option<SystemTime> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let nanos = u64::try_from(time.unix_timestamp_nanos()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(nanos))
}
