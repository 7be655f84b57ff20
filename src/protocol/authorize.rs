//! The token that a call needs, and what follows where Box refuses the call.
//!
//! A 401 asks the token source for a newer token. Other refusals stop the stream or are retried. Start with `api_failed`.

use std::time::{Duration, Instant};

use super::LongPoll;
use super::drain::Drain;
use super::state::{Because, Due, Phase, Step};
use crate::auth::{AccessToken, TokenError};
use crate::error::{Error, ErrorKind};
use crate::transport::Moment;

/// Half of a token's life: one that is rejected in its first half was never any good.
const FRESH: Duration = Duration::from_secs(30 * 60);

impl LongPoll {
    pub(super) fn take_token(&mut self, outcome: Result<AccessToken, TokenError>, now: Moment) {
        match (outcome, self.rejected.take()) {
            (Ok(token), None) => self.enter(Phase::send(Some(token))),
            (Ok(token), Some((rejected, error))) if token == rejected => {
                self.stop(error.without_newer_token(None));
            }
            (Ok(token), Some(_)) => {
                self.renewed = Some((token.clone(), now));
                self.enter(Phase::send(Some(token)));
            }
            (Err(why), rejected) if why.is_transient() => {
                self.rejected = rejected;
                self.retry(Error::no_token(why), now);
            }
            (Err(why), Some((_, error))) => self.stop(error.without_newer_token(Some(why))),
            (Err(why), None) => self.stop(Error::no_token(why)),
        }
    }

    pub(super) fn api_failed(&mut self, error: Error, token: AccessToken, now: Moment) {
        match error.kind() {
            ErrorKind::Unauthorized if self.is_fresh(&token, now) => {
                self.stop(error.without_newer_token(None));
            }
            ErrorKind::Unauthorized => {
                self.rejected = Some((token, error));
                self.enter(Phase::Due(Due::now(now)));
            }
            ErrorKind::Forbidden | ErrorKind::PositionRejected | ErrorKind::Runtime => {
                self.stop(error);
            }
            _ => self.retry(error, now),
        }
    }

    /// Whether a refresh gave this token, too lately for it to have run out.
    fn is_fresh(&self, token: &AccessToken, now: Moment) -> bool {
        self.renewed.as_ref().is_some_and(|(renewed, at)| {
            let awake = now.monotonic.saturating_duration_since(at.monotonic);
            // Tokens also run out while the machine sleeps.
            let passed = now.wall.duration_since(at.wall);
            renewed == token && awake < FRESH && passed.is_ok_and(|passed| passed < FRESH)
        })
    }

    /// Tries again later. Events are fetched in any case, also while Box lists no servers.
    pub(super) fn retry(&mut self, error: Error, now: Moment) {
        let at = self.after_api_backoff(&error, now);
        let due = Due::at(at, Because::Failed(error), now);
        match self.step {
            Step::Fetch => self.enter(Phase::Due(due)),
            Step::List | Step::Listen => self.fetch(Drain::default(), due),
        }
    }

    pub(super) fn after_api_backoff(&mut self, error: &Error, now: Moment) -> Instant {
        let wait = self.api_backoff.after_failure(
            &self.config.retry,
            error.retry_after().unwrap_or_default(),
            &mut self.rng,
            now.monotonic,
        );
        now.monotonic + wait
    }
}
