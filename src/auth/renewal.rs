//! Tokens that are renewed before they run out.

mod call;
mod issued;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use self::call::{Renewal, Waiter};
pub(super) use self::issued::Issued;
use self::issued::{JITTER, RENEWED_AFTER};
use super::endpoint::Endpoint;
use super::in_flight::call;
use super::{AccessToken, Subject, TokenError, TokenErrorKind, TokenSource, lock};
use crate::clock::Moment;
use crate::pacing::{Backoff, RetryPolicy};
use crate::redact::Chain;

/// How long a token that is still good is held back while the next one is awaited. Longer than a healthy endpoint takes, and
/// short enough for a sick one to delay no event by much.
const REFRESH_GRACE: Duration = Duration::from_secs(5);

/// How long a token is waited for where there is none. A renewal takes as long as it takes, but where it began on a runtime
/// that rests by now, those on other runtimes are not to rest with it.
const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);

/// The access tokens of a grant: a [`TokenSource`] that keeps the one it has, and renews it before it runs out. Made by
/// [`ClientCredentials::tokens`](super::ClientCredentials::tokens) and its like. Clones share the token.
///
/// - A token is renewed after 85 to 95 % of its life, when the next API call is due: after 51 to 57 of 60 minutes. A poll
///   that is held needs none, and is not broken by it.
/// - One call renews for all who wait. While the old token is good it is used on where the call takes longer than 5 s or fails.
/// - After a failure the endpoint is left alone for 0.5 s to 60 s, with jitter, and for as long as it says in `Retry-After`.
///   Who asks meanwhile is told of the failure again.
/// - A call that has begun comes to its end, whoever is dropped: on a thread of its own, where nobody waits for it any more.
///   Only the end of the process cuts it short, or that of the runtime it began on: a program that ends in good order awaits
///   [`flush`](TokenSource::flush) before, which is also the client's
///   [`flush`](crate::LongPollClient::flush).
/// - What does not pass is told once more to those who ask within the pause, and asked for anew after it; while the old token
///   is good, not before it is over.
///
/// A token's life is counted on both clocks, from the moment in which it was asked for; one that is over on either is over.
#[derive(Clone)]
pub struct RefreshedTokens {
    shared: Arc<Shared>,
}

struct Shared {
    endpoint: Endpoint,
    grant: Arc<dyn Grant>,
    state: Mutex<State>,
}

/// What gives the next token.
#[async_trait]
pub(super) trait Grant: Send + Sync + 'static {
    /// Gets a token other than the one that is rejected, or has little of its life left.
    async fn obtain(
        &self,
        endpoint: &Endpoint,
        old: Option<&AccessToken>,
    ) -> Result<Issued, TokenError>;

    /// Returns the account that its tokens stand for, if it knows.
    fn subject(&self) -> Option<&Subject> {
        None
    }

    /// Makes durable what is not durable yet.
    async fn flush(&self, _endpoint: &Endpoint) {}
}

struct State {
    held: Option<Held>,
    renewal: Option<Arc<Renewal>>,
    failure: Option<Failure>,
    backoff: Backoff,
    rng: fastrand::Rng,
}

struct Held {
    issued: Issued,
    renewed_after: f64,
}

/// A failure, which is told of again until the endpoint may be asked again.
struct Failure {
    error: TokenError,
    until: Instant,
}

impl RefreshedTokens {
    pub(super) fn new(endpoint: Endpoint, grant: Arc<dyn Grant>) -> Self {
        Self {
            shared: Arc::new(Shared {
                endpoint,
                grant,
                state: Mutex::new(State {
                    held: None,
                    renewal: None,
                    failure: None,
                    backoff: Backoff::new(RetryPolicy::default(), fastrand::Rng::new()),
                    rng: fastrand::Rng::new(),
                }),
            }),
        }
    }

    async fn ask(&self, rejected: Option<&AccessToken>) -> Result<AccessToken, TokenError> {
        let (good, waiter) = match self.shared.step(rejected) {
            Step::Answer(outcome) => return outcome,
            Step::Await { good, waiter } => (good, waiter),
        };
        if let Some(good) = good {
            let outcome = waiter.wait(REFRESH_GRACE).await;
            self.shared.take_note();
            if let Some(Ok(issued)) = outcome {
                return Ok(issued.token);
            }
            if !good.is_past(1.0, self.shared.endpoint.now()) {
                return Ok(good.token);
            }
        }
        let outcome = waiter.wait(LONGEST_WAIT).await;
        self.shared.take_note();
        match outcome {
            Some(outcome) => outcome.map(|issued| issued.token),
            None => Err(TokenError::transient("a renewal takes too long")),
        }
    }
}

/// What there is to be done for one who asks.
enum Step {
    Answer(Result<AccessToken, TokenError>),
    /// There is a renewal to wait for.
    Await {
        /// The token to use where that takes too long.
        good: Option<Issued>,
        waiter: Waiter,
    },
}

impl Shared {
    fn step(&self, rejected: Option<&AccessToken>) -> Step {
        let now = self.endpoint.now();
        let mut state = lock(&self.state);
        state.take_note(now);
        let over = state
            .held
            .take_if(|held| Some(&held.issued.token) == rejected || held.issued.is_past(1.0, now));
        let good = match &state.held {
            Some(held) if !held.issued.is_past(held.renewed_after, now) => {
                return Step::Answer(Ok(held.issued.token.clone()));
            }
            held => held.as_ref().map(|held| held.issued.clone()),
        };
        if let Some(failure) = &state.failure
            && now.monotonic < failure.until
        {
            return Step::Answer(match good {
                Some(good) => Ok(good.token),
                None => Err(failure.error.clone()),
            });
        }
        if let (Some(good), Some(_)) = (&good, &state.renewal) {
            return Step::Answer(Ok(good.token.clone()));
        }
        let renewal = state.renewal.get_or_insert_with(|| {
            let over = over.map(|held| held.issued);
            let old = good.clone().or(over).map(|issued| issued.token);
            self.renewal(old.or(rejected.cloned()))
        });
        Step::Await {
            good,
            waiter: Waiter::of(renewal, &self.endpoint),
        }
    }

    fn renewal(&self, old: Option<AccessToken>) -> Arc<Renewal> {
        let (grant, endpoint) = (self.grant.clone(), self.endpoint.clone());
        Arc::new(Renewal::new(call(async move {
            let outcome = grant.obtain(&endpoint, old.as_ref()).await;
            outcome.map_err(|error| error.since(endpoint.now().monotonic))
        })))
    }

    fn take_note(&self) {
        lock(&self.state).take_note(self.endpoint.now());
    }
}

impl State {
    /// Takes note of a call that has ended.
    fn take_note(&mut self, now: Moment) {
        let Some(outcome) = self
            .renewal
            .as_ref()
            .and_then(|renewal| renewal.call.outcome())
        else {
            return;
        };
        match outcome {
            Ok(issued) => {
                self.held = Some(Held {
                    issued,
                    renewed_after: RENEWED_AFTER + JITTER * self.rng.f64(),
                });
                self.failure = None;
                self.backoff.succeeded();
            }
            // It says something of who called, and nothing of the endpoint.
            Err(error) if error.kind() == TokenErrorKind::Runtime => {}
            Err(error) => {
                let since = error.since.unwrap_or(now.monotonic);
                let wait = self.backoff.after_failure(error.retry_after());
                let good_until = self.held.as_ref().and_then(|held| held.issued.until());
                tracing::warn!(error = %Chain(&error), ?wait, "no new access token");
                self.failure = Some(Failure {
                    until: match good_until {
                        Some(until) if !error.is_transient() => until,
                        _ => since + wait,
                    },
                    error,
                });
            }
        }
        self.renewal = None;
    }
}

#[async_trait]
impl TokenSource for RefreshedTokens {
    async fn token(&self, rejected: Option<&AccessToken>) -> Result<AccessToken, TokenError> {
        let token = self.ask(rejected).await?;
        if Some(&token) == rejected {
            // A call that began before Box rejected it may give that very one.
            return self.ask(rejected).await;
        }
        Ok(token)
    }

    fn subject(&self) -> Option<Subject> {
        self.shared.grant.subject().cloned()
    }

    async fn flush(&self) {
        let under_way = lock(&self.shared.state).renewal.clone();
        if let Some(renewal) = under_way {
            let _ = renewal.call.clone().await;
        }
        self.shared.grant.flush(&self.shared.endpoint).await;
    }
}

impl fmt::Debug for RefreshedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshedTokens(..)")
    }
}
