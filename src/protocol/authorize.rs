//! The token that a call needs, and what follows if Box refuses the call.
//!
//! After a 401 the engine requests a newer token from the token source. Only Box's own error stops a stream: other refusals come from
//! something on the way, such as a captive portal, and are retried. The type to start from is [`Authorizer`].

use std::time::{Duration, Instant};

use http::StatusCode;

use super::state::{Next, Scheduled, WaitReason};
use crate::auth::{AccessToken, TokenError, without_newer_token};
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};

/// Half of a token's life: one that is rejected in its first half was never any good.
const FRESH: Duration = Duration::from_secs(30 * 60);

/// How often a newer token is requested from the token source while no call gets through.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5 * 60);

/// After so long without a call that got through, refusals by something on the way are no passing trouble.
const DEGRADED_AFTER: Duration = Duration::from_secs(10 * 60);

/// The token that was rejected or renewed, and when a newer one was requested.
#[derive(Debug, Default)]
pub(super) struct Authorizer {
    /// The token that was rejected, and how, until the source has said if there is a newer one.
    rejected: Option<(AccessToken, Error)>,
    /// The token that a refresh gave, and when, until Box has taken it once.
    renewed: Option<(AccessToken, Moment)>,
    /// The token that a newer one was last requested for, and when.
    asked: Option<(AccessToken, Instant)>,
    /// The token to go on with, if nobody knows a better one.
    same: Option<AccessToken>,
    /// Since when every call was responded to with a 401.
    unauthorized_since: Option<Instant>,
}

impl Authorizer {
    /// Returns the token that was rejected, if a newer one is needed.
    pub(super) fn rejected(&self) -> Option<AccessToken> {
        self.rejected.as_ref().map(|(token, _)| token.clone())
    }

    /// Returns the token to go on with without the token source.
    pub(super) fn take_same_token(&mut self) -> Option<AccessToken> {
        self.same.take()
    }

    /// Takes what the token source gave. `Err` says what follows if the call can't go out.
    pub(super) fn token_came(
        &mut self,
        outcome: Result<AccessToken, TokenError>,
        now: Moment,
    ) -> Result<AccessToken, Next> {
        match (outcome, self.rejected.take()) {
            (Ok(token), None) => Ok(token),
            (Ok(token), Some((rejected, error))) if token == rejected => {
                Err(self.has_no_newer_token(error, rejected, None))
            }
            (Ok(token), Some(_)) => {
                self.renewed = Some((token.clone(), now));
                Ok(token)
            }
            (Err(why), Some((rejected, error))) if !why.is_transient() || !error.is_from_box() => {
                Err(self.has_no_newer_token(error, rejected, Some(why)))
            }
            (Err(why), rejected) if why.is_transient() => {
                self.rejected = rejected;
                Err(Next::Retry(why.into_error()))
            }
            (Err(why), _) => Err(Next::Stop(why.into_error())),
        }
    }

    /// A 401 of something on the way says nothing of the token, which may be good again in a moment.
    fn has_no_newer_token(
        &mut self,
        error: Error,
        token: AccessToken,
        why: Option<TokenError>,
    ) -> Next {
        if error.is_from_box() {
            return Next::Stop(without_newer_token(error, why));
        }
        self.same = Some(token);
        Next::Retry(error)
    }

    /// A call got through.
    pub(super) fn token_was_good(&mut self) {
        self.renewed = None;
        self.unauthorized_since = None;
    }

    /// Decides what follows an API call that failed.
    pub(super) fn call_failed(&mut self, error: Error, token: AccessToken, now: Moment) -> Next {
        match error.kind() {
            _ if error.status() == Some(StatusCode::UNAUTHORIZED) => {
                self.token_rejected(error, token, now)
            }
            ErrorKind::Forbidden
            | ErrorKind::PositionRejected
            | ErrorKind::ParameterRejected
            | ErrorKind::Runtime => Next::Stop(error),
            _ => Next::Retry(error),
        }
    }

    fn token_rejected(&mut self, error: Error, token: AccessToken, now: Moment) -> Next {
        let again = self.unauthorized_since.is_some();
        self.unauthorized_since.get_or_insert(now.monotonic);
        let asked = self.asked.as_ref();
        let was_asked = asked.is_some_and(|(asked, _)| *asked == token) && self.asked_lately(now);
        let is_final = self.is_fresh(&token, now) || (was_asked && again);
        if error.is_from_box() && is_final {
            Next::Stop(without_newer_token(error, None))
        } else if self.asked_lately(now) && !error.is_from_box() {
            // A portal rejects each newer token as well.
            self.same = Some(token);
            Next::Retry(error)
        } else {
            self.asked = Some((token.clone(), now.monotonic));
            self.rejected = Some((token, error));
            Next::Again(Scheduled::now(now))
        }
    }

    /// Returns why a call that failed is made again later.
    pub(super) fn wait_reason(&self, error: Error, now: Moment) -> WaitReason {
        let since = self.unauthorized_since;
        let lasts = since
            .is_some_and(|since| now.monotonic.saturating_duration_since(since) >= DEGRADED_AFTER);
        if lasts && error.status() == Some(StatusCode::UNAUTHORIZED) {
            WaitReason::Degraded(error)
        } else {
            WaitReason::Failed(error)
        }
    }

    /// Returns `true` if a refresh gave this token, too lately for it to have run out.
    fn is_fresh(&self, token: &AccessToken, now: Moment) -> bool {
        self.renewed.as_ref().is_some_and(|(renewed, at)| {
            let awake = now.monotonic.saturating_duration_since(at.monotonic);
            // Tokens also run out while the machine sleeps.
            let passed = now.wall.duration_since(at.wall);
            renewed == token && awake < FRESH && passed.is_ok_and(|passed| passed < FRESH)
        })
    }

    /// Returns `true` if any newer token was requested lately.
    fn asked_lately(&self, now: Moment) -> bool {
        self.asked
            .as_ref()
            .is_some_and(|(_, at)| now.monotonic.saturating_duration_since(*at) < ASK_AGAIN_AFTER)
    }
}
