//! The token that a call needs, and the decision after Box refuses the call.
//!
//! After a 401 the engine requests a newer token from the token source. Only an error in Box's own
//! form stops a stream. Other refusals come from something on the way, such as a captive portal,
//! and are retried. This module does not refresh tokens itself. The type to start from is
//! [`Authorizer`].

use std::time::{Duration, Instant};

use http::StatusCode;

use super::state::{Next, Scheduled, WaitReason};
use crate::auth::{AccessToken, TokenError, without_newer_token};
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::pacing::Backoff;

/// Half of the life of a Box token: 30 minutes. A token that is rejected in its first half was
/// never valid.
const FRESH: Duration = Duration::from_secs(30 * 60);

/// The interval at which a newer token is requested from the token source while no call gets
/// through: 5 minutes.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// The time without a successful call after which refusals by something on the way count as
/// degraded: 10 minutes. A shorter outage is likely to pass.
const DEGRADED_AFTER: Duration = Duration::from_secs(10 * 60);

/// The token that was rejected or refreshed, and the time of the last request for a newer one.
#[derive(Debug)]
pub(super) struct Authorizer {
    /// The waits after failures of the token source.
    backoff: Backoff,
    /// The last failure of the token source, with the end of the wait after it.
    failed: Option<(Error, Instant)>,
    /// The token that was rejected, with the error, until the source has said if there is a newer
    /// one.
    rejected: Option<(AccessToken, Error)>,
    /// The token that the last refresh replaced. It is kept until the other lane's call, which may
    /// have carried it too, is rejected as well.
    replaced: Option<AccessToken>,
    /// The token from the last refresh, with its time, until Box has accepted it once.
    refreshed: Option<(AccessToken, Moment)>,
    /// The token for which a newer one was last requested, with the time of that request.
    refresh_requested: Option<(AccessToken, Instant)>,
    /// The token to continue with, if the source has no better one.
    unchanged: Option<AccessToken>,
    /// The time since which every call failed with a 401.
    unauthorized_since: Option<Instant>,
}

impl Authorizer {
    pub(super) fn new(backoff: Backoff) -> Self {
        Self {
            backoff,
            failed: None,
            rejected: None,
            replaced: None,
            refreshed: None,
            refresh_requested: None,
            unchanged: None,
            unauthorized_since: None,
        }
    }

    /// Returns the last failure of the token source, with the end of the wait after it, until which
    /// neither lane calls the source again.
    pub(super) fn failure(&mut self, now: Instant) -> Option<(Error, Instant)> {
        self.failed.take_if(|(_, until)| *until <= now);
        self.failed.clone()
    }

    /// Ends the wait after a failure of the token source, since it began before the machine was
    /// suspended.
    pub(super) fn machine_was_suspended(&mut self) {
        self.failed = None;
    }

    /// Returns `true` unless the token source has failed, and not succeeded since.
    pub(super) fn works(&self) -> bool {
        self.backoff.in_a_row() == 0
    }

    /// Returns the token that was rejected, if a newer one is needed.
    pub(super) fn rejected(&self) -> Option<AccessToken> {
        self.rejected.as_ref().map(|(token, _)| token.clone())
    }

    /// Returns the token to continue with, if the token source need not be called.
    pub(super) fn take_unchanged_token(&mut self) -> Option<AccessToken> {
        self.unchanged.take()
    }

    /// Takes the result of the token source. Returns `Err` with the next step if the call can't be
    /// sent.
    pub(super) fn token_came(
        &mut self,
        outcome: Result<AccessToken, TokenError>,
        now: Moment,
    ) -> Result<AccessToken, Next> {
        if outcome.is_ok() {
            self.backoff.succeeded();
        }
        match (outcome, self.rejected.take()) {
            (Ok(token), None) => Ok(token),
            (Ok(token), Some((rejected, error))) if token == rejected => {
                Err(self.has_no_newer_token(error, rejected, None))
            }
            (Ok(token), Some((rejected, _))) => {
                self.replaced = Some(rejected);
                self.refreshed = Some((token.clone(), now));
                Ok(token)
            }
            (Err(why), Some((rejected, error))) if !why.is_transient() || !error.is_from_box() => {
                Err(self.has_no_newer_token(error, rejected, Some(why)))
            }
            (Err(why), rejected) if why.is_transient() => {
                self.rejected = rejected;
                let error = why.into_error();
                let wait = self.backoff.after_failure(error.retry_after());
                let until = now.monotonic + wait;
                self.failed = Some((error.clone(), until));
                Err(Next::NoToken(error, until))
            }
            (Err(why), _) => Err(Next::Stop(why.into_error())),
        }
    }

    /// Decides what follows if the source has no newer token. A 401 from something on the way says
    /// nothing about the token, which may work again in a moment.
    fn has_no_newer_token(
        &mut self,
        error: Error,
        token: AccessToken,
        why: Option<TokenError>,
    ) -> Next {
        if error.is_from_box() {
            return Next::Stop(without_newer_token(error, why));
        }
        self.unchanged = Some(token);
        Next::Retry(error)
    }

    /// Notes that Box accepted a call, and so its token.
    pub(super) fn token_was_good(&mut self) {
        self.refreshed = None;
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

    /// Decides what follows a 401. At most one newer token is requested per [`REFRESH_INTERVAL`]
    /// while a portal refuses them all.
    fn token_rejected(&mut self, error: Error, token: AccessToken, now: Moment) -> Next {
        if self.is_outdated(&token) {
            return Next::Again(Scheduled::now(now));
        }
        let again = self.unauthorized_since.is_some();
        self.unauthorized_since.get_or_insert(now.monotonic);
        let requested = self.refresh_requested.as_ref();
        let was_requested =
            requested.is_some_and(|(of, _)| *of == token) && self.requested_lately(now);
        let is_final = self.is_fresh(&token, now) || (was_requested && again);
        if error.is_from_box() && is_final {
            Next::Stop(without_newer_token(error, None))
        } else if self.requested_lately(now) && !error.is_from_box() {
            // A portal rejects each newer token as well.
            self.unchanged = Some(token);
            Next::Retry(error)
        } else {
            self.refresh_requested = Some((token.clone(), now.monotonic));
            self.rejected = Some((token, error));
            Next::Again(Scheduled::now(now))
        }
    }

    /// Returns `true` if the other lane's call was rejected with this token, so that a newer one is
    /// on its way, or has come already. After the newer one has come, this is `true` once, because
    /// a faulty source may return the older one again.
    pub(super) fn is_outdated(&mut self, token: &AccessToken) -> bool {
        let rejected = self.rejected.as_ref();
        rejected.is_some_and(|(rejected, _)| rejected == token)
            || self.replaced.take_if(|old| old == token).is_some()
    }

    /// Returns the reason for the wait before a failed call is made again.
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

    /// Returns `true` if this token came from a refresh so recent that it cannot have expired.
    fn is_fresh(&self, token: &AccessToken, now: Moment) -> bool {
        self.refreshed.as_ref().is_some_and(|(refreshed, at)| {
            let awake = now.monotonic.saturating_duration_since(at.monotonic);
            // Tokens also expire while the machine is suspended.
            let passed = now.wall.duration_since(at.wall);
            refreshed == token && awake < FRESH && passed.is_ok_and(|passed| passed < FRESH)
        })
    }

    /// Returns `true` if a newer token was requested within [`REFRESH_INTERVAL`].
    fn requested_lately(&self, now: Moment) -> bool {
        self.refresh_requested
            .as_ref()
            .is_some_and(|(_, at)| now.monotonic.saturating_duration_since(*at) < REFRESH_INTERVAL)
    }
}
