//! Access tokens that are refreshed before they expire.
//!
//! [`RefreshedTokens`] is the token source of every grant of Box. It caches one token for all
//! clients that share it, refreshes it early, and retries with backoff. A [`Grant`] gets the token
//! from Box.
//!
//! Callers drive the refresh: there is no background task. [`Shared::next_token`] decides what a
//! caller gets, and [`State::record_outcome`] records a refresh that has ended. No lock is held
//! across an `await`, or while the log, the metrics or the transport's clock run: their code may be
//! the program's own, and may need a token.

mod ended;
mod issued;
mod refresh;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use self::ended::Ended;
pub(super) use self::issued::Issued;
use self::issued::{JITTER, REFRESH_AFTER};
use self::refresh::{Refresh, Waiter};
use super::endpoint::Endpoint;
use super::in_flight::call;
use super::{AccessToken, Subject, TokenError, TokenErrorKind, TokenSource};
use crate::clock::Moment;
use crate::pacing::{Backoff, RetryPolicy};
use crate::sys::lock;

/// The time for which a caller with a valid token waits for a refresh, 5 s. A healthy endpoint
/// responds faster, and a failing one delays no event by more than this.
const REFRESH_GRACE: Duration = Duration::from_secs(5);

/// The time for which a caller without a valid token waits for a refresh, 5 minutes. The refresh
/// itself has no such limit. If it began on a runtime that no longer runs, though, callers on other
/// runtimes must not wait forever.
const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);

/// The access tokens of a grant: a [`TokenSource`] that caches its token and refreshes it before it
/// expires.
///
/// The `tokens` method of each grant builds it, such as
/// [`ClientCredentials::tokens`](super::ClientCredentials::tokens). Clones share the token.
///
/// - **Early refresh.** A token is refreshed after 85 to 95 % of its life, when the next API call
///   needs one. A token of 60 minutes is refreshed after 51 to 57 minutes. A held poll needs no
///   token, and a refresh does not interrupt it.
/// - **Single flight.** One refresh serves all callers. While the old token is valid, only the
///   caller that starts the refresh waits for it, for at most 5 s. If there is no new token by
///   then, it gets the old one. The other callers get the old token at once. If there is no valid
///   token, all callers wait for up to 5 minutes, and then get a transient error.
/// - **Backoff.** After a failure, the source pauses: for 50 to 250 ms after the first, then for
///   0.5 s to 60 s with decorrelated jitter. If the endpoint sends a longer `Retry-After`, the
///   source respects it, up to one hour. During the pause, callers without a valid token get the
///   same error again.
/// - **Permanent failures.** If a retry can't resolve the failure and the old token is still valid,
///   the source sends no request until that token expires. Without a valid token, it pauses as
///   after any other failure.
/// - **No aborted refreshes.** A refresh that has begun runs to its end, even if all its callers
///   are dropped: it then continues on a thread of its own. Only the end of the process, or of the
///   runtime that it began on, cuts it short. Before your program ends, await
///   [`flush`](TokenSource::flush) or the client's [`flush`](crate::LongPollClient::flush), which
///   calls it.
///
/// A token's life counts from the moment of its request, on the monotonic clock and on the wall
/// clock. A token that has expired on either clock has expired.
#[derive(Clone)]
pub struct RefreshedTokens {
    shared: Arc<Shared>,
}

/// The parts that clones share.
struct Shared {
    endpoint: Endpoint,
    grant: Arc<dyn Grant>,
    state: Mutex<State>,
}

/// A way to get the next token from Box.
#[async_trait]
pub(super) trait Grant: Send + Sync + 'static {
    /// Returns a token other than `old`, which Box has rejected or which is about to expire.
    async fn obtain(
        &self,
        endpoint: &Endpoint,
        old: Option<&AccessToken>,
    ) -> Result<Issued, TokenError>;

    /// Returns the account that the tokens act for, if the grant knows it.
    fn subject(&self) -> Option<&Subject> {
        None
    }

    /// Saves a credential that is not durable yet.
    async fn flush(&self, _endpoint: &Endpoint) {}
}

/// The cached token, and the refresh that will replace it.
struct State {
    cached: Option<Cached>,
    /// The refresh in flight, or one that has ended and is not recorded yet.
    refresh: Option<Arc<Refresh>>,
    /// The last failure, or `None` after a success.
    failure: Option<Failure>,
    backoff: Backoff,
    rng: fastrand::Rng,
}

/// A token, and the fraction of its life after which it is refreshed.
struct Cached {
    issued: Issued,
    refresh_after: f64,
}

/// A failure that callers get again until the source may send the next request.
struct Failure {
    error: TokenError,
    /// The moment from which the next request may be sent.
    until: Instant,
}

impl RefreshedTokens {
    pub(super) fn new(endpoint: Endpoint, grant: Arc<dyn Grant>) -> Self {
        Self {
            shared: Arc::new(Shared {
                endpoint,
                grant,
                state: Mutex::new(State {
                    cached: None,
                    refresh: None,
                    failure: None,
                    backoff: Backoff::new(RetryPolicy::default(), fastrand::Rng::new()),
                    rng: fastrand::Rng::new(),
                }),
            }),
        }
    }

    /// Returns the cached token, or waits for a refresh. This may return the rejected token once
    /// more, if the refresh began before Box rejected it.
    async fn cached_or_refreshed(
        &self,
        rejected: Option<&AccessToken>,
    ) -> Result<AccessToken, TokenError> {
        let (valid, waiter) = match self.shared.next_token(rejected) {
            NextToken::Ready(outcome) => return outcome,
            NextToken::Await { valid, waiter } => (valid, waiter),
        };
        if let Some(valid) = valid {
            let outcome = waiter.wait(REFRESH_GRACE).await;
            self.shared.record_outcome();
            if let Some(Ok(issued)) = outcome {
                return Ok(issued.token);
            }
            if !valid.is_past(1.0, self.shared.endpoint.now()) {
                return Ok(valid.token);
            }
        }
        let outcome = waiter.wait(LONGEST_WAIT).await;
        self.shared.record_outcome();
        match outcome {
            Some(outcome) => outcome.map(|issued| issued.token),
            None => Err(TokenError::transient(
                "the token refresh did not end within 5 minutes",
            )),
        }
    }
}

/// The way in which a caller gets its token.
enum NextToken {
    /// The caller gets this outcome at once.
    Ready(Result<AccessToken, TokenError>),
    /// The caller waits for a refresh.
    Await {
        /// The old token, if it is valid: the fallback if the refresh takes too long or fails.
        valid: Option<Issued>,
        waiter: Waiter,
    },
}

impl Shared {
    /// Decides whether a caller gets a token or an error at once, or waits for a refresh, which
    /// this starts if none is in flight. Only the caller that starts a refresh waits while the old
    /// token is valid.
    fn next_token(&self, rejected: Option<&AccessToken>) -> NextToken {
        self.update(|state, now| self.choose(state, rejected, now))
    }

    /// Does the work of [`next_token`](Self::next_token).
    fn choose(&self, state: &mut State, rejected: Option<&AccessToken>, now: Moment) -> NextToken {
        let unusable = state.cached.take_if(|cached| {
            Some(&cached.issued.token) == rejected || cached.issued.is_past(1.0, now)
        });
        let valid = match &state.cached {
            Some(cached) if !cached.issued.is_past(cached.refresh_after, now) => {
                return NextToken::Ready(Ok(cached.issued.token.clone()));
            }
            cached => cached.as_ref().map(|cached| cached.issued.clone()),
        };
        if let Some(failure) = &state.failure
            && now.monotonic < failure.until
        {
            return NextToken::Ready(match valid {
                Some(valid) => Ok(valid.token),
                None => Err(failure.error.clone()),
            });
        }
        if let (Some(valid), Some(_)) = (&valid, &state.refresh) {
            return NextToken::Ready(Ok(valid.token.clone()));
        }
        let refresh = state.refresh.get_or_insert_with(|| {
            let unusable = unusable.map(|cached| cached.issued);
            let old = valid.clone().or(unusable).map(|issued| issued.token);
            self.refresh(old.or(rejected.cloned()))
        });
        NextToken::Await {
            valid,
            waiter: Waiter::of(refresh, &self.endpoint),
        }
    }

    /// Returns a refresh that has not begun: its waiters drive it.
    fn refresh(&self, old: Option<AccessToken>) -> Arc<Refresh> {
        let (grant, endpoint) = (self.grant.clone(), self.endpoint.clone());
        Arc::new(Refresh::new(call(async move {
            let outcome = grant.obtain(&endpoint, old.as_ref()).await;
            outcome.map_err(|error| error.since(endpoint.now().monotonic))
        })))
    }

    fn record_outcome(&self) {
        self.update(|_, _| ());
    }

    /// Records the outcome of the refresh, if it has ended, and then does the work. The log and the
    /// metrics get the outcome without the lock.
    fn update<R>(&self, work: impl FnOnce(&mut State, Moment) -> R) -> R {
        let now = self.endpoint.now();
        let mut state = lock(&self.state);
        let ended = state.record_outcome(now);
        let outcome = work(&mut state, now);
        drop(state);
        if let Some(ended) = ended {
            ended.report();
        }
        outcome
    }
}

impl State {
    /// Records the outcome of the refresh, if it has ended: a new token, or a failure and its
    /// pause. Returns what to report about it.
    fn record_outcome(&mut self, now: Moment) -> Option<Ended> {
        let outcome = self.refresh.as_ref()?.call.outcome()?;
        self.refresh = None;
        Some(match outcome {
            Ok(issued) => {
                self.cached = Some(Cached {
                    issued,
                    refresh_after: REFRESH_AFTER + JITTER * self.rng.f64(),
                });
                self.failure = None;
                self.backoff.succeeded();
                Ended::Refreshed
            }
            // The caller's runtime failed, not the endpoint. Other callers may retry now.
            Err(error) if error.kind() == TokenErrorKind::Runtime => Ended::RuntimeFailed,
            Err(error) => {
                let since = error.since.unwrap_or(now.monotonic);
                let wait = self.backoff.after_failure(error.retry_after());
                let valid_until = self
                    .cached
                    .as_ref()
                    .and_then(|cached| cached.issued.until());
                self.failure = Some(Failure {
                    until: match valid_until {
                        Some(until) if !error.is_transient() => until,
                        _ => since + wait,
                    },
                    error: error.clone(),
                });
                Ended::Failed {
                    error,
                    attempt: self.backoff.in_a_row(),
                    wait,
                }
            }
        })
    }
}

#[async_trait]
impl TokenSource for RefreshedTokens {
    async fn token(&self, rejected: Option<&AccessToken>) -> Result<AccessToken, TokenError> {
        let token = self.cached_or_refreshed(rejected).await?;
        if Some(&token) == rejected {
            // The refresh may have begun before Box rejected this token.
            return self.cached_or_refreshed(rejected).await;
        }
        Ok(token)
    }

    fn subject(&self) -> Option<Subject> {
        self.shared.grant.subject().cloned()
    }

    async fn flush(&self) {
        let in_flight = lock(&self.shared.state).refresh.clone();
        if let Some(refresh) = in_flight {
            let _ = refresh.call.clone().await;
        }
        self.shared.grant.flush(&self.shared.endpoint).await;
    }
}

impl fmt::Debug for RefreshedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshedTokens(..)")
    }
}
