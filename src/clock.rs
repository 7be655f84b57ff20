//! Times: both clocks at once, a machine that was suspended, and timestamps as they are written.
//!
//! Only [`Moment::read_clocks`] reads the clocks; everywhere else the time is an argument.

use std::time::{Duration, Instant, SystemTime};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The machine was suspended if its clocks went so far apart, 10 s. No connection dies of less than that, and a clock that
/// is being set right stays below it.
const SUSPEND_THRESHOLD: Duration = Duration::from_secs(10);

/// One moment on two clocks: the monotonic one measures waits, the wall clock dates what is shown and stored.
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
        reason = "the default of the one trait that tells the time"
    )]
    pub fn read_clocks() -> Self {
        Self {
            monotonic: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// What the wall clock will say at `instant`, unless it is set in between.
    pub(crate) fn wall_at(self, instant: Instant) -> SystemTime {
        let ahead = instant.saturating_duration_since(self.monotonic);
        self.wall.checked_add(ahead).unwrap_or(self.wall)
    }

    /// Returns `true` if the wall clock went another way than the monotonic one, which stands still while the machine is
    /// suspended.
    pub(crate) fn was_suspended_since(self, since: Moment) -> bool {
        let awake = self.monotonic.saturating_duration_since(since.monotonic);
        let apart = match self.wall.duration_since(since.wall) {
            Ok(passed) => passed.abs_diff(awake),
            Err(back) => back.duration().saturating_add(awake),
        };
        apart > SUSPEND_THRESHOLD
    }
}

/// Writes a time by RFC 3339.
pub(crate) fn to_rfc3339(time: SystemTime) -> String {
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

/// Reads a time by RFC 3339. `None` if it is no moment since 1970.
pub(crate) fn from_rfc3339(text: &str) -> Option<SystemTime> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let nanos = u64::try_from(time.unix_timestamp_nanos()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(nanos))
}
