//! The client: the three calls, and the ways into a stream.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;

use crate::auth::{AccessToken, SharedTokens, TokenError, TokenSource, without_newer_token};
use crate::checkpoint::CheckpointStore;
use crate::config::{Config, LongPollClientBuilder};
use crate::error::Error;
use crate::gate::{Call, Gate};
use crate::position::{StartAt, StreamPosition};
use crate::protocol::{
    Answer, LongPoll, Page, RealtimeServer, Signal, TICK, read_page, read_servers, read_signal,
};
use crate::stream::{BatchStream, EventStream};
use crate::subscription::Subscription;
use crate::transport::{HttpTransport, Sleep, TransportRequest, exchange};

/// A client of Box's events, over the HTTP library `T`. Cloning is cheap; clones share the transport and the tokens.
///
/// To follow many accounts, make one client, and a sibling of it for each of the others:
/// [`with_tokens`](Self::with_tokens) where they have tokens of their own, [`as_user`](Self::as_user) where one token acts
/// for many users. Siblings share the transport, and so its connections, and the limits of what is asked of Box at once.
/// [`Streams`](crate::Streams) follows all of them in one loop. The events of a whole enterprise come by
/// [`enterprise`](Self::enterprise) and [`admin_logs`](Self::admin_logs).
pub struct LongPollClient<T> {
    shared: Arc<Shared<T>>,
}

/// What a client and its streams have in common.
pub(crate) struct Shared<T> {
    pub(crate) tokens: Arc<SharedTokens>,
    pub(crate) config: Arc<Config>,
    family: Arc<Family<T>>,
}

/// What a client and its siblings have in common.
struct Family<T> {
    transport: T,
    gate: Gate,
    /// The streams check the clocks at multiples of [`TICK`] after this: they wake the machine once.
    began: Instant,
    /// `true` if a realtime server has shown that it honors the position of a poll.
    positions_are_honored: AtomicBool,
}

impl<T: HttpTransport> Shared<T> {
    pub(crate) fn transport(&self) -> &T {
        &self.family.transport
    }

    /// Sends a call to Box's API, and once more if a kept connection dies under it.
    async fn call_or_resend(&self, call: Call, request: TransportRequest) -> Answer {
        match self.call(call, request.clone()).await {
            Err(error) if error.may_be_resent() => {
                self.call(call, request.with_fresh_connection()).await
            }
            answer => answer,
        }
    }

    /// Sends a call to Box's API, when its turn has come.
    pub(crate) async fn call(&self, call: Call, request: TransportRequest) -> Answer {
        let _place = self.family.gate.enter(call, self.transport()).await?;
        exchange(self.transport(), request).await
    }

    /// Tells a stream what another one has found out of the realtime servers, and the other way round.
    pub(crate) fn share_what_is_known(&self, engine: &mut LongPoll) {
        let known = &self.family.positions_are_honored;
        if let Some(finding) = engine.take_finding() {
            known.store(finding, Ordering::Relaxed);
        } else if engine.is_unsure_of_positions() && known.load(Ordering::Relaxed) {
            engine.assume_positions_are_honored();
        }
    }

    pub(crate) fn sleep(self: &Arc<Self>, duration: Duration) -> Sleep<'static> {
        let shared = self.clone();
        Box::pin(async move { shared.transport().sleep(duration).await })
    }

    /// Returns the time until the clocks are checked next.
    pub(crate) fn until_tick(&self, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.family.began);
        let past = passed.as_secs_f64() % TICK.as_secs_f64();
        TICK.saturating_sub(Duration::from_secs_f64(past))
    }
}

impl LongPollClient<()> {
    /// Starts from the defaults; [`build`](LongPollClientBuilder::build) takes the transport and the token source.
    pub fn builder() -> LongPollClientBuilder {
        LongPollClientBuilder::default()
    }
}

impl LongPollClientBuilder {
    /// Builds the client.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), when a setting is out of its range; the sentence names it.
    pub fn build<T: HttpTransport>(
        self,
        transport: T,
        tokens: impl TokenSource,
    ) -> Result<LongPollClient<T>, Error> {
        Ok(LongPollClient::with_config(
            transport,
            Arc::new(tokens),
            self.config()?,
        ))
    }
}

impl<T: HttpTransport> LongPollClient<T> {
    /// A client with the defaults, which [`LongPollClientBuilder`] names.
    #[must_use]
    pub fn new(transport: T, tokens: impl TokenSource) -> Self {
        Self::with_config(transport, Arc::new(tokens), Config::default())
    }

    pub(crate) fn with_config(transport: T, tokens: Arc<dyn TokenSource>, config: Config) -> Self {
        let began = transport.now().monotonic;
        Self::of(Shared {
            tokens: Arc::new(SharedTokens::new(tokens)),
            family: Arc::new(Family {
                transport,
                gate: Gate::new(&config, began),
                began,
                positions_are_honored: AtomicBool::new(false),
            }),
            config: Arc::new(config),
        })
    }

    fn of(shared: Shared<T>) -> Self {
        Self {
            shared: Arc::new(shared),
        }
    }

    #[cfg(feature = "blocking")]
    pub(crate) fn transport(&self) -> &T {
        self.shared.transport()
    }

    /// Waits until its token source has nothing under way that must not be cut short: a program that ends in good order awaits
    /// this last, where [`auth::OAuth`](crate::auth::OAuth) gives the tokens. As a rule it returns at once; the exchange of a
    /// refresh token takes a fraction of a second, and a minute where the network is bad.
    ///
    /// # Cancellation
    ///
    /// What is under way goes on when the future is dropped.
    pub async fn settle(&self) {
        self.shared.tokens.settle().await;
    }

    /// A sibling for another account, which has tokens of its own. The settings are the same, the
    /// [user](LongPollClientBuilder::as_user) to act as included.
    ///
    /// Siblings share the transport, and so its connections, and the limits
    /// [`max_api_calls`](LongPollClientBuilder::max_api_calls) and
    /// [`max_server_lists_per_second`](LongPollClientBuilder::max_server_lists_per_second). One takes some hundred bytes.
    #[must_use]
    pub fn with_tokens(&self, tokens: impl TokenSource) -> Self {
        Self::of(Shared {
            tokens: Arc::new(SharedTokens::new(Arc::new(tokens))),
            config: self.shared.config.clone(),
            family: self.shared.family.clone(),
        })
    }

    /// A sibling for another user, as whom the same tokens act, by the `As-User` header. A token that Box rejects is refreshed
    /// once for all of them. The rest is shared as by [`with_tokens`](Self::with_tokens).
    ///
    /// See <https://developer.box.com/guides/authentication/jwt/as-user/>.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for an id that no header can carry.
    pub fn as_user(&self, user_id: impl AsRef<str>) -> Result<Self, Error> {
        Ok(self.with_settings(self.config().acting_as(user_id.as_ref())?))
    }

    /// A copy of the settings, to be changed.
    pub(crate) fn config(&self) -> Config {
        Config::clone(&self.shared.config)
    }

    /// A sibling for the same account.
    pub(crate) fn with_settings(&self, config: Config) -> Self {
        Self::of(Shared {
            tokens: self.shared.tokens.clone(),
            config: Arc::new(config),
            family: self.shared.family.clone(),
        })
    }

    /// Follows the account's events, one at a time, for ever. Nothing is sent before the stream is polled.
    pub fn events(&self, start: impl Into<StartAt>) -> EventStream<T> {
        EventStream::new(self.batches(start))
    }

    /// Follows the account's events by page, for those who commit by batch. Nothing is sent before the stream is polled.
    ///
    /// Box may repeat an event on a later page. The stream leaves repeats out as long as it lives. A stream that starts at
    /// a stored position does not know what was delivered before it, so an event that Box repeats across a restart comes
    /// twice. Handle events by their ids, so that the second time changes nothing, or [`subscribe`](Self::subscribe): a
    /// checkpoint carries the ids.
    pub fn batches(&self, start: impl Into<StartAt>) -> BatchStream<T> {
        BatchStream::new(self.shared.clone(), start.into(), fastrand::u64(..))
    }

    /// Follows the account's events from a checkpoint, by batches that are acknowledged.
    ///
    /// `key` names the account in the store: any text that is the same in the next run. Two accounts need two keys. The
    /// checkpoint also keeps the stream type, the API origin, and whom the client stands for as far as it knows: the user
    /// that it [acts as](LongPollClientBuilder::as_user), else the [subject](TokenSource::subject) of its grant. A client
    /// with another of these does not go on from there. The account of the token itself can't be checked: with an
    /// [`AccessToken`] or a refresh token of somebody else under the same key, the subscription goes on at a position that
    /// is not theirs.
    ///
    /// `start` counts only where the store has no checkpoint yet. A start at [`StartAt::Now`] is resolved and saved before
    /// this returns: what happens from then on is delivered, also after a crash. Other starts, and a checkpoint, send
    /// nothing before the subscription is polled.
    ///
    /// The store may be saving while a batch is in your hands: write what you make of the batch before you acknowledge it,
    /// and see [`CheckpointStore::save`] before you write it there.
    ///
    /// A key has one subscription at a time, its batches included: two would undo each other's checkpoints.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Checkpoint`](crate::ErrorKind::Checkpoint) where the store fails, or its checkpoint is of another key,
    /// stream type, API origin or subject, or of a newer format: that is never taken for a new start.
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for an empty key. While `now` is resolved, what may pass is retried
    /// and logged; what streams stop with is returned.
    ///
    /// # Cancellation
    ///
    /// Nothing was started when the future is dropped; `now` may have been saved.
    pub async fn subscribe(
        &self,
        store: impl CheckpointStore,
        key: impl Into<String>,
        start: impl Into<StartAt>,
    ) -> Result<Subscription<T>, Error> {
        Subscription::start(
            self.shared.clone(),
            Arc::new(store),
            key.into(),
            start.into(),
            fastrand::u64(..),
        )
        .await
    }

    /// Lists the realtime servers, once: `OPTIONS /events`. Those that the client's
    /// [policy](crate::RealtimeHosts) refuses are left out.
    ///
    /// See <https://developer.box.com/reference/options-events/>.
    ///
    /// # Errors
    ///
    /// Nothing is retried, apart from one token refresh after a 401 and one request whose kept connection has died.
    /// [`ErrorKind::RealtimeRefused`](crate::ErrorKind::RealtimeRefused) where servers came
    /// and all were refused.
    ///
    /// # Cancellation
    ///
    /// Dropping the future ends the request.
    pub async fn realtime_servers(&self) -> Result<Vec<RealtimeServer>, Error> {
        let config = &self.shared.config;
        let list = |by_type| {
            self.authorized(
                Call::List,
                move |token| config.list_request(token, by_type),
                |answer, token| read_servers(answer, token, &config.realtime_hosts),
            )
        };
        let list = match list(true).await {
            // It does not know the parameter.
            Err(error) if error.is_a_bad_request() => list(false).await?,
            listed => listed?,
        };
        match list.refused {
            Some(refused) if list.servers.is_empty() => Err(refused),
            _ => Ok(list.servers),
        }
    }

    /// Holds one poll until the server says something.
    ///
    /// Waits for the server's [`retry_timeout`](RealtimeServer::retry_timeout) and 5 s more, or for the builder's
    /// [`max_hold`](LongPollClientBuilder::max_hold) where that is shorter.
    ///
    /// See <https://developer.box.com/guides/events/user-events/polling/>.
    ///
    /// # Errors
    ///
    /// Nothing is retried. A server that the client's [policy](crate::RealtimeHosts) does not permit is not asked:
    /// [`ErrorKind::RealtimeRefused`](crate::ErrorKind::RealtimeRefused). A silent one gives [`ErrorKind::Transport`](crate::ErrorKind::Transport), whose source is of the kind
    /// [`Timeout`](crate::transport::TransportErrorKind::Timeout).
    ///
    /// # Cancellation
    ///
    /// Dropping the future ends the request. A change that happens meanwhile is behind `position` when you ask again.
    pub async fn listen(
        &self,
        server: &RealtimeServer,
        position: &StreamPosition,
    ) -> Result<Signal, Error> {
        let config = &self.shared.config;
        config.realtime_hosts.permit(server.url.as_str())?;
        let token = if config.polls_with_token() {
            Some(self.token().await?)
        } else {
            None
        };
        let from = StartAt::from(position);
        let hold = config.hold(server);
        let request = config.poll_request(server, &from, token.as_ref(), hold);
        read_signal(exchange(self.shared.transport(), request).await)
    }

    /// Fetches one page of events: `GET /events`. Takes a position, or a [`StartAt`]: [`StartAt::Now`] gives an empty
    /// page and the newest position.
    ///
    /// See <https://developer.box.com/reference/get-events/>.
    ///
    /// # Errors
    ///
    /// Nothing is retried, apart from one token refresh after a 401 and one request whose kept connection has died.
    ///
    /// # Cancellation
    ///
    /// Dropping the future ends the request.
    pub async fn fetch(&self, from: impl Into<StartAt>) -> Result<Page, Error> {
        let from = from.into();
        let config = &self.shared.config;
        self.authorized(
            Call::Page,
            |token| {
                let now = self.shared.transport().now().wall;
                config.page_request(&from, config.page_limit, token, now..now)
            },
            |answer, token| Ok(read_page(answer, token, &from)?.page),
        )
        .await
    }

    /// An API call, tried again with a newer token after a 401.
    async fn authorized<R>(
        &self,
        call: Call,
        request: impl Fn(&AccessToken) -> TransportRequest,
        read: impl Fn(Answer, &AccessToken) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let token = self.token().await?;
        let outcome = read(
            self.shared.call_or_resend(call, request(&token)).await,
            &token,
        );
        match outcome {
            Err(error) if error.status() == Some(StatusCode::UNAUTHORIZED) => {
                match self.shared.tokens.token(Some(&token)).await {
                    Ok(newer) if newer == token => Err(without_newer_token(error, None)),
                    Ok(newer) => {
                        let answer = self.shared.call_or_resend(call, request(&newer)).await;
                        read(answer, &newer)
                    }
                    Err(why) if why.is_transient() => Err(why.into_error()),
                    Err(why) => Err(without_newer_token(error, Some(why))),
                }
            }
            outcome => outcome,
        }
    }

    async fn token(&self) -> Result<AccessToken, Error> {
        let token = self.shared.tokens.token(None).await;
        token.map_err(TokenError::into_error)
    }
}

impl<T> Clone for LongPollClient<T> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<T> fmt::Debug for LongPollClient<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LongPollClient")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}
