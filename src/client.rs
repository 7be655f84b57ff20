//! The client: the three calls, and the ways into a stream.

mod enterprise;

use std::fmt;
use std::sync::Arc;

pub use self::enterprise::AdminLogsQuery;
use crate::api::Api;
use crate::auth::TokenSource;
use crate::checkpoint::{CheckpointStore, ResumeFrom};
use crate::config::{Config, LongPollClientBuilder};
use crate::error::Error;
use crate::limiter::ApiCall;
use crate::position::{StartAt, StreamPosition};
use crate::protocol::{Page, RealtimeServer, Signal, read_page, read_servers, read_signal};
use crate::stream::{BatchStream, EventStream};
use crate::subscription::Subscription;
use crate::transport::{HttpTransport, exchange};

/// A client of Box's events, over the HTTP library `T`. Cloning is cheap; clones share the transport and the tokens.
///
/// An application that names the client's type in many places leaves `T` out and makes the client of an
/// `Arc<dyn HttpTransport>`, which is a transport itself:
///
/// ```
/// use std::sync::Arc;
///
/// use box_longpoll::{AccessToken, HttpTransport, LongPollClient};
///
/// struct Application {
///     client: LongPollClient,
/// }
///
/// fn application(transport: impl HttpTransport, token: AccessToken) -> Application {
///     let transport: Arc<dyn HttpTransport> = Arc::new(transport);
///     Application {
///         client: LongPollClient::new(transport, token),
///     }
/// }
/// ```
///
/// To follow many accounts, make one client, and a sibling of it for each of the others:
/// [`with_tokens`](Self::with_tokens) where they have tokens of their own, [`as_user`](Self::as_user) where one token acts
/// for many users. Siblings share the transport, and so its connections, and the limits of what is asked of Box at once.
/// [`StreamMap`](crate::StreamMap) follows all of them in one loop. A sibling made
/// by [`enterprise`](Self::enterprise) follows the events of a whole enterprise, and [`admin_logs`](Self::admin_logs) queries
/// its past.
pub struct LongPollClient<T = Arc<dyn HttpTransport>> {
    api: Arc<Api<T>>,
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
        let api = Api::new(transport, Arc::new(tokens), self.config()?);
        Ok(LongPollClient::of(api))
    }
}

impl<T: HttpTransport> LongPollClient<T> {
    /// A client with the defaults, which [`LongPollClientBuilder`] names.
    #[must_use]
    pub fn new(transport: T, tokens: impl TokenSource) -> Self {
        Self::of(Api::new(transport, Arc::new(tokens), Config::default()))
    }

    fn of(api: Api<T>) -> Self {
        Self { api: Arc::new(api) }
    }

    /// Waits until its token source has nothing under way that must not be cut short: a program that ends in good order awaits
    /// this last, where [`auth::RefreshToken`](crate::auth::RefreshToken) gives the tokens. As a rule it returns at once; the exchange of a
    /// refresh token takes a fraction of a second, and a minute where the network is bad.
    ///
    /// # Cancellation
    ///
    /// What is under way goes on when the future is dropped.
    pub async fn flush(&self) {
        self.api.tokens.flush().await;
    }

    /// A sibling for another account, which has tokens of its own. The settings are the same, the
    /// [user](LongPollClientBuilder::as_user) to act as included.
    ///
    /// Siblings share the transport, and so its connections, and the limits
    /// [`max_api_calls`](LongPollClientBuilder::max_api_calls) and
    /// [`max_server_lists_per_second`](LongPollClientBuilder::max_server_lists_per_second). One takes some hundred bytes.
    #[must_use]
    pub fn with_tokens(&self, tokens: impl TokenSource) -> Self {
        Self::of(self.api.with_tokens(Arc::new(tokens)))
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
        self.with_settings(|config| config.acting_as(user_id.as_ref()))
    }

    /// Returns a sibling that has the same tokens, with changed settings.
    fn with_settings(
        &self,
        change: impl FnOnce(Config) -> Result<Config, Error>,
    ) -> Result<Self, Error> {
        let config = change(Config::clone(&self.api.config))?;
        Ok(Self::of(self.api.with_config(config)))
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
        BatchStream::new(self.api.clone(), start.into(), fastrand::u64(..))
    }

    /// Follows the account's events from a checkpoint, by batches that are acknowledged. Nothing is sent before the
    /// subscription is polled.
    ///
    /// `key` names the account in the store: any text that is the same in the next run. Two accounts need two keys. The
    /// checkpoint also keeps the stream type, the API origin, and the account that the client stands for as far as it knows:
    /// the user that it [acts as](LongPollClientBuilder::as_user), else the [subject](TokenSource::subject) of its grant. A
    /// client with another of these does not resume there. The client can't check the account of the token itself: with an
    /// [`AccessToken`](crate::AccessToken) or a refresh token of somebody else under the same key, the subscription resumes
    /// at a position that is not theirs.
    ///
    /// `start` counts only if the store has no checkpoint yet. A start at [`StartAt::Now`] is resolved and saved when the
    /// subscription is first polled. [`Update::Started`](crate::Update::Started) comes after that: the events from then on are
    /// delivered, also after a crash.
    ///
    /// The store may be saving while you handle a batch: write its effects before you acknowledge it, and see
    /// [`CheckpointStore::save`] before you write them there.
    ///
    /// A key has one subscription at a time, its batches included: two would undo each other's checkpoints.
    ///
    /// # Errors
    ///
    /// The subscription's first item is [`ErrorKind::Checkpoint`](crate::ErrorKind::Checkpoint) if the store can't load, or if
    /// its checkpoint is of another key, stream type, API origin or subject, or of a newer format: that is never taken for a
    /// new start. It is [`ErrorKind::Config`](crate::ErrorKind::Config) for an empty key.
    pub fn subscribe(
        &self,
        store: impl CheckpointStore,
        key: impl Into<String>,
        start: impl Into<StartAt>,
    ) -> Subscription<T> {
        Subscription::with_store(
            self.api.clone(),
            Arc::new(store),
            key.into(),
            start.into(),
            fastrand::u64(..),
        )
    }

    /// Follows the account's events, by batches whose checkpoints the program stores itself: in the transaction that stores
    /// the events' effects. Nothing is sent before the subscription is polled.
    ///
    /// So each event has its effect exactly once, whenever the program is killed: a transaction has both or neither, and the
    /// checkpoint carries the [window of repeats](LongPollClientBuilder::dedupe_window). Events without an id, which Box
    /// documents none of, can't be told from their repeats: they are delivered again with them.
    ///
    /// `from` is the stored [`Checkpoint`](crate::checkpoint::Checkpoint), or where to start if there is none.
    ///
    /// 1. [`Update::Started`](crate::Update::Started) comes first, with the start resolved. Store its
    ///    [checkpoint](crate::Progress::checkpoint) and call [`stored`](crate::Progress::stored): the stream goes on then.
    /// 2. For each [`Update::Batch`](crate::Update::Batch), in their order: begin a transaction, store the events' effects and
    ///    [`checkpoint()`](crate::Delivery::checkpoint), commit, and call [`stored`](crate::Delivery::stored).
    /// 3. [`Update::Moved`](crate::Update::Moved) comes at most once an hour, if only the position moved: store its checkpoint.
    ///
    /// Handle an update before you ask for the next one, or store what you keep of them in their order. A batch that is dropped
    /// before it is stored ends the subscription. If a commit fails, drop the subscription too and resume from what is stored.
    ///
    /// An account has one subscription at a time, its batches included: two would store the same events twice.
    ///
    /// The checkpoint's [`account`](crate::checkpoint::Checkpoint::account) is empty: keep it under a key of your own.
    ///
    /// # Errors
    ///
    /// The subscription's first item is [`ErrorKind::Checkpoint`](crate::ErrorKind::Checkpoint) if the checkpoint is of another
    /// stream type, API origin or subject.
    pub fn subscribe_from(&self, from: impl Into<ResumeFrom>) -> Subscription<T> {
        Subscription::without_store(self.api.clone(), from.into(), fastrand::u64(..))
    }

    /// Lists the realtime servers, once: `OPTIONS /events`. Those that the client's
    /// [policy](crate::config::RealtimeHosts) refuses are left out.
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
        let config = &self.api.config;
        let list = |by_type| {
            self.api.authorized(
                ApiCall::List,
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
    /// Nothing is retried. A server that the client's [policy](crate::config::RealtimeHosts) does not permit is not asked:
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
        let config = &self.api.config;
        config.realtime_hosts.permit(server.url.as_str())?;
        let token = if config.polls_with_token() {
            Some(self.api.token().await?)
        } else {
            None
        };
        let from = StartAt::from(position);
        let hold = config.hold(server);
        let request = config.poll_request(server, &from, token.as_ref(), hold);
        read_signal(exchange(self.api.transport(), request).await)
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
        let config = &self.api.config;
        self.api
            .authorized(
                ApiCall::Fetch,
                |token| {
                    let now = self.api.transport().now().wall;
                    config.page_request(&from, config.page_limit, token, now..now)
                },
                |answer, token| Ok(read_page(answer, token, &from)?.page),
            )
            .await
    }
}

#[cfg(feature = "blocking")]
impl<T: HttpTransport> LongPollClient<T> {
    pub(crate) fn transport(&self) -> &T {
        self.api.transport()
    }

    pub(crate) fn tokens(&self) -> Arc<dyn TokenSource> {
        self.api.tokens.clone()
    }
}

impl<T> Clone for LongPollClient<T> {
    fn clone(&self) -> Self {
        Self {
            api: self.api.clone(),
        }
    }
}

impl<T> fmt::Debug for LongPollClient<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LongPollClient")
            .field("config", &self.api.config)
            .finish_non_exhaustive()
    }
}
