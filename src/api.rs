//! Access to Box for one account: the transport, the tokens, the settings, and the limits on calls.
//!
//! Every request of a client and its streams goes through [`Api`]. Each derived client has an
//! [`Api`] of its own. They share the transport and the limits, so the limit on concurrent API
//! calls counts for all accounts together. The engine in [`protocol`](crate::protocol) decides
//! which request is due; this module only sends it. Start at [`Api::authorized`] for single calls,
//! and at [`Api::send`] for streams.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;

use crate::auth::{AccessToken, TokenError, TokenSource, without_newer_token};
use crate::config::Config;
use crate::error::Error;
use crate::limiter::{ApiCall, CallLimiter, Pacer, Permit};
use crate::protocol::{CLOCK_CHECK_INTERVAL, Call, Input, LongPoll, Response};
use crate::transport::{
    HttpTransport, ReceivedBody, Sleep, TransportError, TransportRequest, exchange,
};

/// An operation that the engine waits for.
pub(crate) type InFlight = Pin<Box<dyn Future<Output = Done> + Send>>;

/// The result of an operation.
pub(crate) struct Done {
    /// The input for the engine.
    pub(crate) input: Input,
    /// The times of a call to Box's API. `None` for all else.
    pub(crate) times: Option<CallTimes>,
}

/// The times of a call to Box's API.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallTimes {
    /// The wait until the limits of the client permitted the call.
    pub(crate) waited: Duration,
    /// The time from sending the call to the end of its response.
    pub(crate) took: Duration,
}

impl Done {
    /// Returns the length of the response's body, as it was received.
    pub(crate) fn body_length(&self) -> usize {
        match &self.input {
            Input::Response {
                result: Ok(response),
                ..
            } => ReceivedBody::of(response).len(),
            _ => 0,
        }
    }
}

impl From<Input> for Done {
    fn from(input: Input) -> Self {
        Self { input, times: None }
    }
}

/// A client's access to Box. All streams of the client share it.
pub(crate) struct Api<T> {
    pub(crate) tokens: Arc<dyn TokenSource>,
    pub(crate) config: Arc<Config>,
    /// The rate limit that the slices of a history share.
    pacer: Option<Arc<Pacer>>,
    shared: Arc<Shared<T>>,
}

/// The part that derived clients of other accounts share too.
struct Shared<T> {
    transport: T,
    limiter: CallLimiter,
    /// The zero of the clock checks. All streams check the clocks at multiples of
    /// [`CLOCK_CHECK_INTERVAL`] after this moment, so that they wake the machine together.
    began: Instant,
    /// `true` if a realtime server has shown that it honors the position of a poll.
    positions_are_honored: AtomicBool,
}

impl<T: HttpTransport> Api<T> {
    pub(crate) fn new(transport: T, tokens: Arc<dyn TokenSource>, config: Config) -> Self {
        let began = transport.now().monotonic;
        Self {
            tokens,
            pacer: None,
            shared: Arc::new(Shared {
                transport,
                limiter: CallLimiter::new(&config, began),
                began,
                positions_are_honored: AtomicBool::new(false),
            }),
            config: Arc::new(config),
        }
    }

    /// Returns the access to another account, with the same settings.
    pub(crate) fn with_tokens(&self, tokens: Arc<dyn TokenSource>) -> Self {
        Self {
            tokens,
            config: self.config.clone(),
            pacer: None,
            shared: self.shared.clone(),
        }
    }

    /// Returns the access to the same account, with other settings.
    pub(crate) fn with_config(&self, config: Config) -> Self {
        Self {
            tokens: self.tokens.clone(),
            config: Arc::new(config),
            pacer: None,
            shared: self.shared.clone(),
        }
    }

    /// Returns the access to the same account for a part of its history. The calls of all parts
    /// wait for the same pacer.
    pub(crate) fn with_pacer(&self, config: Config, pacer: Arc<Pacer>) -> Self {
        Self {
            pacer: Some(pacer),
            ..self.with_config(config)
        }
    }

    pub(crate) fn transport(&self) -> &T {
        &self.shared.transport
    }

    /// Makes an API call. After a 401 it refreshes the token and calls once more.
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

    /// Sends a call to Box's API, and once more if a reused connection dies under it.
    async fn call_or_resend(&self, call: ApiCall, request: TransportRequest) -> Response {
        match self.call(call, request.clone()).await {
            (Err(error), _) if error.may_be_resent() => {
                self.call(call, request.with_fresh_connection()).await.0
            }
            (result, _) => result,
        }
    }

    /// Sends a request of an engine. `is_ahead` is `true` if its consumer handles a batch, so that
    /// nobody may poll the request for a long time.
    ///
    /// A poll does not acquire a permit. It is no call to Box's API, and its future, which is held
    /// for minutes, stays small without one.
    pub(crate) fn send(
        self: &Arc<Self>,
        call: Call,
        is_ahead: bool,
        request: TransportRequest,
    ) -> InFlight {
        let api = self.clone();
        let api_call = match call {
            Call::List if is_ahead => ApiCall::ListAhead,
            Call::List => ApiCall::List,
            Call::Fetch if is_ahead => ApiCall::FetchAhead,
            Call::Fetch => ApiCall::Fetch,
            Call::Listen => {
                return Box::pin(async move {
                    let result = exchange(api.transport(), request).await;
                    Done::from(Input::Response { call, result })
                });
            }
        };
        Box::pin(async move {
            let (result, times) = api.call(api_call, request).await;
            let input = Input::Response { call, result };
            Done { input, times }
        })
    }

    /// Sends a call to Box's API once the limiter permits it. Returns its times too, if it was sent.
    ///
    /// The request for gzip is added here and not by the engine, because a program that drives the
    /// engine itself may not decompress.
    async fn call(
        &self,
        call: ApiCall,
        request: TransportRequest,
    ) -> (Response, Option<CallTimes>) {
        let transport = self.transport();
        let called_at = transport.now().monotonic;
        let _permit = match self.acquire(call).await {
            Ok(permit) => permit,
            Err(error) => return (Err(error), None),
        };
        let sent_at = transport.now().monotonic;
        let response = exchange(transport, request.accepting_gzip()).await;
        let now = transport.now().monotonic;
        if let (Some(pacer), Ok(response)) = (&self.pacer, &response) {
            pacer.take_note(response, now);
        }
        let times = CallTimes {
            waited: sent_at.saturating_duration_since(called_at),
            took: now.saturating_duration_since(sent_at),
        };
        (response, Some(times))
    }

    /// Waits until a call may be sent.
    async fn acquire(&self, call: ApiCall) -> Result<Permit<'_, T>, TransportError> {
        let transport = self.transport();
        if let Some(pacer) = &self.pacer {
            pacer.acquire(transport).await?;
        }
        self.shared.limiter.acquire(call, transport).await
    }

    /// Passes on findings about the realtime servers between streams. A new finding of this engine
    /// is recorded for the others. If the engine has none and is unsure, it takes over theirs.
    pub(crate) fn share_findings(&self, engine: &mut LongPoll) {
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

    /// Returns the time until the next check of the clocks.
    pub(crate) fn until_clock_check(&self, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.shared.began);
        let past = passed.as_secs_f64() % CLOCK_CHECK_INTERVAL.as_secs_f64();
        CLOCK_CHECK_INTERVAL.saturating_sub(Duration::from_secs_f64(past))
    }
}
