//! An access token and its life, on two clocks.
//!
//! The monotonic clock stops while a machine is suspended, and the wall clock may be set.
//! [`Issued`] therefore counts a token's life on both, and the clock that shows the greater age
//! decides.

use std::time::{Duration, Instant};

use crate::auth::AccessToken;
use crate::auth::credential::Access;
use crate::clock::Moment;

/// The fraction of its life after which a token is refreshed, at the earliest. The rest is time for
/// retries before the token expires.
pub(super) const REFRESH_AFTER: f64 = 0.85;

/// The most that is added at random to [`REFRESH_AFTER`], so that processes that started together
/// don't refresh their tokens together.
pub(super) const JITTER: f64 = 0.10;

/// An access token and its life.
#[derive(Clone)]
pub(in crate::auth) struct Issued {
    pub(super) token: AccessToken,
    /// The moment at which its life began.
    since: Moment,
    life: Duration,
}

impl Issued {
    pub(in crate::auth) fn new(token: AccessToken, since: Moment, life: Duration) -> Self {
        Self { token, since, life }
    }

    /// Restores a token that was stored, with the rest of its life.
    pub(in crate::auth) fn before(access: &Access, now: Moment) -> Self {
        let age = now.wall.duration_since(access.issued).unwrap_or_default();
        let since = Moment {
            monotonic: now.monotonic.checked_sub(age).unwrap_or(now.monotonic),
            wall: access.issued,
        };
        let life = access.until.duration_since(access.issued);
        Self::new(access.token.clone(), since, life.unwrap_or_default())
    }

    /// Returns `true` if the token must be refreshed even with the largest jitter.
    pub(in crate::auth) fn is_due(&self, now: Moment) -> bool {
        self.is_past(REFRESH_AFTER + JITTER, now)
    }

    /// Returns the instant at which the token expires, by the monotonic clock.
    pub(super) fn until(&self) -> Option<Instant> {
        self.since.monotonic.checked_add(self.life)
    }

    /// Returns `true` if this fraction of the token's life has passed on either clock. A fraction
    /// of 1.0 means that the token has expired.
    pub(super) fn is_past(&self, fraction: f64, now: Moment) -> bool {
        let least_age = self.life.mul_f64(fraction);
        let monotonic = now
            .monotonic
            .saturating_duration_since(self.since.monotonic);
        let wall = now.wall.duration_since(self.since.wall).unwrap_or_default();
        monotonic >= least_age || wall >= least_age
    }
}
