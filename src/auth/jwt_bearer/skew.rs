//! How far clocks are from each other.

use std::fmt;
use std::time::{Duration, SystemTime};

/// A clock that is off by more than this is not set right; an answer's `Date` has whole seconds, and comes late.
const NOTICED: Duration = Duration::from_secs(3);

/// Box's clock, seen from this machine's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Skew {
    #[default]
    Unnoticed,
    Ahead(Duration),
    Behind(Duration),
}

impl Skew {
    /// Of a time that was told between two moments.
    pub(super) fn between((asked, answered): (SystemTime, SystemTime), there: SystemTime) -> Self {
        if let Ok(ahead) = there.duration_since(answered)
            && ahead > NOTICED
        {
            Self::Ahead(ahead)
        } else if let Ok(behind) = asked.duration_since(there)
            && behind > NOTICED
        {
            Self::Behind(behind)
        } else {
            Self::Unnoticed
        }
    }

    pub(super) fn corrected(self, here: SystemTime) -> SystemTime {
        let there = match self {
            Self::Unnoticed => Some(here),
            Self::Ahead(by) => here.checked_add(by),
            Self::Behind(by) => here.checked_sub(by),
        };
        there.unwrap_or(here)
    }
}

/// Of this machine's clock.
impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unnoticed => f.write_str("right"),
            Self::Ahead(by) => write!(f, "{} s behind Box's", by.as_secs()),
            Self::Behind(by) => write!(f, "{} s ahead of Box's", by.as_secs()),
        }
    }
}
