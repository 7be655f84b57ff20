//! A token and its life, on two clocks.

use std::time::{Duration, Instant};

use crate::auth::AccessToken;
use crate::auth::credential::Access;
use crate::clock::Moment;

/// The part of its life after which a token is renewed, and how much later it may be: those of many processes that
/// started together are not renewed together.
pub(super) const RENEWED_AFTER: f64 = 0.85;
pub(super) const JITTER: f64 = 0.10;

/// A token and its life.
#[derive(Clone)]
pub(in crate::auth) struct Issued {
    pub(super) token: AccessToken,
    since: Moment,
    life: Duration,
}

impl Issued {
    pub(in crate::auth) fn new(token: AccessToken, since: Moment, life: Duration) -> Self {
        Self { token, since, life }
    }

    /// Of one that was given before, with what is left of its life.
    pub(in crate::auth) fn before(access: &Access, now: Moment) -> Self {
        let age = now.wall.duration_since(access.issued).unwrap_or_default();
        let since = Moment {
            monotonic: now.monotonic.checked_sub(age).unwrap_or(now.monotonic),
            wall: access.issued,
        };
        let life = access.until.duration_since(access.issued);
        Self::new(access.token.clone(), since, life.unwrap_or_default())
    }

    /// Whether it has to be renewed, at the latest.
    pub(in crate::auth) fn is_due(&self, now: Moment) -> bool {
        self.is_past(RENEWED_AFTER + JITTER, now)
    }

    /// When it is over, by the monotonic clock.
    pub(super) fn until(&self) -> Option<Instant> {
        self.since.monotonic.checked_add(self.life)
    }

    /// Whether it has had so much of its life.
    pub(super) fn is_past(&self, part: f64, now: Moment) -> bool {
        let part = self.life.mul_f64(part);
        let monotonic = now
            .monotonic
            .saturating_duration_since(self.since.monotonic);
        let wall = now.wall.duration_since(self.since.wall).unwrap_or_default();
        monotonic >= part || wall >= part
    }
}
