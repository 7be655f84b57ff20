//! The token that a call needs, and what follows where Box refuses the call.
//!
//! A 401 asks the token source for a newer token. Only Box's own word stops a stream: other refusals come from something on
//! the way, such as a captive portal, and are retried. Start with [`LongPoll::api_failed`].

use std::time::{Duration, Instant};

use http::StatusCode;

use super::drain::Drain;
use super::state::{Because, Due, Phase};
use super::{Call, LongPoll};
use crate::auth::{AccessToken, TokenError, without_newer_token};
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};

/// Half of a token's life: one that is rejected in its first half was never any good.
const FRESH: Duration = Duration::from_secs(30 * 60);

/// How often the token source is asked for a newer token while no call gets through.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5 * 60);

/// After so long without a call that got through, refusals by something on the way are no passing trouble.
const DEGRADED_AFTER: Duration = Duration::from_secs(10 * 60);

/// The token that was rejected or renewed, and when the source was asked.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    /// The token that was rejected, and how, until the source has said whether there is a newer one.
    pub(super) rejected: Option<(AccessToken, Error)>,
    /// The token that a refresh gave, and when, until Box has taken it once.
    renewed: Option<(AccessToken, Moment)>,
    /// The token that the source was last asked to renew, and when.
    asked: Option<(AccessToken, Instant)>,
    /// The token to go on with, where nobody knows a better one.
    same: Option<AccessToken>,
    /// Since when every call was responded to with a 401.
    unauthorized_since: Option<Instant>,
}

impl Tokens {
    /// Returns `true` if a refresh gave this token, too lately for it to have run out.
    fn is_fresh(&self, token: &AccessToken, now: Moment) -> bool {
        self.renewed.as_ref().is_some_and(|(renewed, at)| {
            let awake = now.monotonic.saturating_duration_since(at.monotonic);
            // Tokens also run out while the machine sleeps.
            let passed = now.wall.duration_since(at.wall);
            renewed == token && awake < FRESH && passed.is_ok_and(|passed| passed < FRESH)
        })
    }

    /// Returns `true` if the source was asked lately for a newer token than this one.
    fn was_asked(&self, token: &AccessToken, now: Moment) -> bool {
        let asked = self.asked.as_ref();
        asked.is_some_and(|(asked, _)| asked == token) && self.asked_lately(now)
    }

    /// Returns `true` if the source was asked lately for a newer token than any.
    fn asked_lately(&self, now: Moment) -> bool {
        self.asked
            .as_ref()
            .is_some_and(|(_, at)| now.monotonic.saturating_duration_since(*at) < ASK_AGAIN_AFTER)
    }
}

impl LongPoll {
    pub(super) fn take_token(&mut self, outcome: Result<AccessToken, TokenError>, now: Moment) {
        match (outcome, self.tokens.rejected.take()) {
            (Ok(token), None) => self.enter(Phase::send(Some(token))),
            (Ok(token), Some((rejected, error))) if token == rejected => {
                self.has_no_newer_token(error, rejected, None, now);
            }
            (Ok(token), Some(_)) => {
                self.tokens.renewed = Some((token.clone(), now));
                self.enter(Phase::send(Some(token)));
            }
            (Err(why), Some((rejected, error))) if !why.is_transient() || !error.is_from_box() => {
                self.has_no_newer_token(error, rejected, Some(why), now);
            }
            (Err(why), rejected) if why.is_transient() => {
                self.tokens.rejected = rejected;
                self.retry(why.into_error(), now);
            }
            (Err(why), Some((_, error))) => self.stop(without_newer_token(error, Some(why))),
            (Err(why), None) => self.stop(why.into_error()),
        }
    }

    /// A 401 of something on the way says nothing of the token, which may be good again in a moment.
    fn has_no_newer_token(
        &mut self,
        error: Error,
        token: AccessToken,
        why: Option<TokenError>,
        now: Moment,
    ) {
        if error.is_from_box() {
            self.stop(without_newer_token(error, why));
        } else {
            self.tokens.same = Some(token);
            self.retry(error, now);
        }
    }

    /// The token to go on with without asking for one.
    pub(super) fn take_same_token(&mut self) -> Option<AccessToken> {
        self.tokens.same.take()
    }

    /// A call got through.
    pub(super) fn token_was_good(&mut self) {
        self.tokens.renewed = None;
        self.tokens.unauthorized_since = None;
    }

    pub(super) fn api_failed(&mut self, error: Error, token: AccessToken, now: Moment) {
        match error.kind() {
            _ if error.status() == Some(StatusCode::UNAUTHORIZED) => {
                self.token_rejected(error, token, now);
            }
            ErrorKind::Forbidden
            | ErrorKind::PositionRejected
            | ErrorKind::ParameterRejected
            | ErrorKind::Runtime => self.stop(error),
            _ => self.retry(error, now),
        }
    }

    fn token_rejected(&mut self, error: Error, token: AccessToken, now: Moment) {
        let again = self.tokens.unauthorized_since.is_some();
        self.tokens.unauthorized_since.get_or_insert(now.monotonic);
        let was_asked = self.tokens.was_asked(&token, now);
        let for_good = self.tokens.is_fresh(&token, now) || (was_asked && again);
        if error.is_from_box() && for_good {
            self.stop(without_newer_token(error, None));
        } else if self.tokens.asked_lately(now) && !error.is_from_box() {
            // A portal rejects each newer token as well.
            self.tokens.same = Some(token);
            self.retry(error, now);
        } else {
            self.tokens.asked = Some((token.clone(), now.monotonic));
            self.tokens.rejected = Some((token, error));
            self.enter(Phase::Due(Due::now(now)));
        }
    }

    /// Tries again later. Events are fetched in any case, also while Box lists no servers.
    pub(super) fn retry(&mut self, error: Error, now: Moment) {
        if let Call::List = self.call {
            return self.retry_list(error, now);
        }
        let at = self.after_api_backoff(&error, now);
        let due = Due::at(at, self.because(error, now), now);
        match self.call {
            Call::Fetch => self.enter(Phase::Due(due)),
            Call::List | Call::Listen => self.fetch(Drain::default(), due),
        }
    }

    /// Why a call is made again later.
    pub(super) fn because(&self, error: Error, now: Moment) -> Because {
        let since = self.tokens.unauthorized_since;
        let lasts = since
            .is_some_and(|since| now.monotonic.saturating_duration_since(since) >= DEGRADED_AFTER);
        if lasts && error.status() == Some(StatusCode::UNAUTHORIZED) {
            Because::Degraded(error)
        } else {
            Because::Failed(error)
        }
    }

    pub(super) fn after_api_backoff(&mut self, error: &Error, now: Moment) -> Instant {
        let wait = self.api_backoff.after_failure(
            &self.config.retry,
            error.retry_after().unwrap_or_default(),
            &mut self.rng,
        );
        now.monotonic + wait
    }
}
