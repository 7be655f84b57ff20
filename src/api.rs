//! One account's access to Box: the transport, the tokens, the settings, and the limits of calls.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;

use crate::auth::{AccessToken, TokenError, TokenSource, without_newer_token};
use crate::config::Config;
use crate::error::Error;
use crate::limiter::{ApiCall, CallLimiter};
use crate::protocol::{CLOCK_CHECK_INTERVAL, Call, Input, LongPoll, Response};
use crate::transport::{HttpTransport, Sleep, TransportRequest, exchange};

/// Something that the engine waits for. A wait that is over gives no input.
pub(crate) type InFlight = Pin<Box<dyn Future<Output = Option<Input>> + Send>>;

/// A client's access to Box, which its streams share.
pub(crate) struct Api<T> {
    pub(crate) tokens: Arc<dyn TokenSource>,
    pub(crate) config: Arc<Config>,
    shared: Arc<Shared<T>>,
}

/// The part that clients of other accounts share too.
struct Shared<T> {
    transport: T,
    limiter: CallLimiter,
    /// The streams check the clocks at multiples of [`CLOCK_CHECK_INTERVAL`] after this: they wake the machine once.
    began: Instant,
    /// `true` if a realtime server has shown that it honors the position of a poll.
    positions_are_honored: AtomicBool,
}

impl<T: HttpTransport> Api<T> {
    pub(crate) fn new(transport: T, tokens: Arc<dyn TokenSource>, config: Config) -> Self {
        let began = transport.now().monotonic;
        Self {
            tokens,
            shared: Arc::new(Shared {
                transport,
                limiter: CallLimiter::new(&config, began),
                began,
                positions_are_honored: AtomicBool::new(false),
            }),
            config: Arc::new(config),
        }
    }

    /// Access to another account, with the same settings.
    pub(crate) fn with_tokens(&self, tokens: Arc<dyn TokenSource>) -> Self {
        Self {
            tokens,
            config: self.config.clone(),
            shared: self.shared.clone(),
        }
    }

    /// Access to the same account, with other settings.
    pub(crate) fn with_config(&self, config: Config) -> Self {
        Self {
            tokens: self.tokens.clone(),
            config: Arc::new(config),
            shared: self.shared.clone(),
        }
    }

    pub(crate) fn transport(&self) -> &T {
        &self.shared.transport
    }

    /// An API call, tried again with a newer token after a 401.
    pub(crate) async fn authorized<R>(
        &self,
        call: ApiCall,
        request: impl Fn(&AccessToken) -> TransportRequest,
        read: impl Fn(Response, &AccessToken) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let token = self.token().await?;
        let outcome = read(self.call_or_resend(call, request(&token)).await, &token);
        let unauthorized = match outcome {
            Err(error) if error.status() == Some(StatusCode::UNAUTHORIZED) => error,
            outcome => return outcome,
        };
        match self.tokens.token(Some(&token)).await {
            Ok(same) if same == token => Err(without_newer_token(unauthorized, None)),
            Ok(newer) => read(self.call_or_resend(call, request(&newer)).await, &newer),
            Err(why) if why.is_transient() => Err(why.into_error()),
            Err(why) => Err(without_newer_token(unauthorized, Some(why))),
        }
    }

    pub(crate) async fn token(&self) -> Result<AccessToken, Error> {
        let token = self.tokens.token(None).await;
        token.map_err(TokenError::into_error)
    }

    /// Sends a call to Box's API, and once more if a kept connection dies under it.
    async fn call_or_resend(&self, call: ApiCall, request: TransportRequest) -> Response {
        match self.call(call, request.clone()).await {
            Err(error) if error.may_be_resent() => {
                self.call(call, request.with_fresh_connection()).await
            }
            result => result,
        }
    }

    /// Sends an engine's request. A poll is no call to Box's API, so the limiter does not count it, and its future, which is
    /// held for minutes, has no room for a permit.
    pub(crate) fn send(self: &Arc<Self>, call: Call, request: TransportRequest) -> InFlight {
        let api = self.clone();
        let api_call = match call {
            Call::List => ApiCall::List,
            Call::Fetch => ApiCall::Fetch,
            Call::Listen => {
                return Box::pin(async move {
                    let result = exchange(api.transport(), request).await;
                    Some(Input::Response { call, result })
                });
            }
        };
        Box::pin(async move {
            let result = api.call(api_call, request).await;
            Some(Input::Response { call, result })
        })
    }

    /// Sends a call to Box's API, when its turn has come.
    async fn call(&self, call: ApiCall, request: TransportRequest) -> Response {
        let _permit = self.shared.limiter.acquire(call, self.transport()).await?;
        exchange(self.transport(), request).await
    }

    /// Tells a stream what another one has found out of the realtime servers, and the other way round.
    pub(crate) fn share_what_is_known(&self, engine: &mut LongPoll) {
        let known = &self.shared.positions_are_honored;
        if let Some(finding) = engine.take_finding() {
            known.store(finding, Ordering::Relaxed);
        } else if engine.is_unsure_of_positions() && known.load(Ordering::Relaxed) {
            engine.assume_positions_are_honored();
        }
    }

    pub(crate) fn sleep(self: &Arc<Self>, duration: Duration) -> Sleep<'static> {
        let api = self.clone();
        Box::pin(async move { api.transport().sleep(duration).await })
    }

    /// Returns the time until the clocks are checked next.
    pub(crate) fn until_tick(&self, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.shared.began);
        let past = passed.as_secs_f64() % CLOCK_CHECK_INTERVAL.as_secs_f64();
        CLOCK_CHECK_INTERVAL.saturating_sub(Duration::from_secs_f64(past))
    }
}
