//! The difference between Box's clock and this machine's.
//!
//! A response's `Date` lies between the moments at which its request was sent and at which the
//! response came. [`ahead`] computes the smallest difference between the clocks that explains the
//! `Date`, and [`corrected`] applies it.

use std::time::SystemTime;

use jiff::SignedDuration;

/// The largest difference that is ignored, 3 s. A response's `Date` has a resolution of 1 s, and
/// may be a little old.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(3);

/// Returns the time by which another clock is ahead, or zero if that is within the tolerance.
/// `there` is the time on that clock at some moment between `requested` and `responded`.
pub(super) fn ahead([requested, responded]: [SystemTime; 2], there: SystemTime) -> SignedDuration {
    let since = |here| SignedDuration::system_until(here, there).unwrap_or_default();
    let (least, most) = (since(responded), since(requested));
    if least > TOLERANCE {
        least
    } else if most < -TOLERANCE {
        most
    } else {
        SignedDuration::ZERO
    }
}

/// Returns the time on a clock that is ahead of this one by `ahead`.
pub(super) fn corrected(here: SystemTime, ahead: SignedDuration) -> SystemTime {
    let there = if ahead.is_negative() {
        here.checked_sub(ahead.unsigned_abs())
    } else {
        here.checked_add(ahead.unsigned_abs())
    };
    there.unwrap_or(here)
}
