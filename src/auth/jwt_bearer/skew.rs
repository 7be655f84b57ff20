//! How far clocks are from each other.

use std::time::SystemTime;

use jiff::SignedDuration;

/// A clock that is off by more than this is not set right; an answer's `Date` has whole seconds, and comes late.
const NOTICED: SignedDuration = SignedDuration::from_secs(3);

/// How far another clock is ahead, by a time that it told between two moments. Zero: not so far that it is noticed.
pub(super) fn ahead([asked, answered]: [SystemTime; 2], there: SystemTime) -> SignedDuration {
    let since = |here| SignedDuration::system_until(here, there).unwrap_or_default();
    let (least, most) = (since(answered), since(asked));
    if least > NOTICED {
        least
    } else if most < -NOTICED {
        most
    } else {
        SignedDuration::ZERO
    }
}

/// The time on a clock that is so far ahead.
pub(super) fn corrected(here: SystemTime, ahead: SignedDuration) -> SystemTime {
    let there = if ahead.is_negative() {
        here.checked_sub(ahead.unsigned_abs())
    } else {
        here.checked_add(ahead.unsigned_abs())
    };
    there.unwrap_or(here)
}
