//! The async client: the entry point for requests, streams and subscriptions.
//!
//! [`LongPollClient`] sends each of Box's three requests once: it lists the realtime servers, holds
//! a poll, or fetches a page. Its other methods create the streams and subscriptions that combine
//! these requests. The client decides nothing about the protocol: the engine in
//! [`protocol`](crate::protocol) does. Start at [`LongPollClient::new`] or
//! [`LongPollClient::builder`].

mod audit;
mod enterprise;

use std::fmt;
use std::sync::Arc;

#[cfg(feature = "blocking")]
pub(crate) use self::audit::Counts as AuditCounts;
pub use self::audit::{Audit, MissingEvents};
pub use self::enterprise::AdminLogsQuery;
use crate::api::Api;
use crate::auth::TokenSource;
use crate::checkpoint::{CheckpointStore, ResumeFrom};
use crate::config::{Config, LongPollClientBuilder};
use crate::error::Error;
use crate::event::EventFilter;
use crate::limiter::ApiCall;
use crate::position::{StartAt, StreamPosition};
use crate::protocol::{Page, RealtimeServer, Signal, read_page, read_servers, read_signal};
use crate::stream::{BatchStream, EventStream};
use crate::subscription::Subscription;
use crate::transport::{HttpTransport, exchange};

/// A client for Box's events over the transport `T`. Cloning is cheap; clones share the transport
/// and the tokens.
///
/// If your program names the client's type in many places, leave out `T`. Build the client from an
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
/// To follow many accounts, make one client, and derive a client from it for each account. Use
/// [`with_tokens`](Self::with_tokens) if an account has tokens of its own, and
/// [`as_user`](Self::as_user) if one token acts for many users. Derived clients share the
/// transport, its connections, and the limits on requests to Box. A [`StreamMap`](crate::StreamMap)
/// follows all of the accounts in one loop.
///
/// A client derived by [`enterprise`](Self::enterprise) follows the events of an entire enterprise,
/// [`admin_logs`](Self::admin_logs) queries its past events, and [`audit`](Self::audit) finds those
/// that your records lack.
pub struct LongPollClient<T = Arc<dyn HttpTransport>> {
    api: Arc<Api<T>>,
}

impl LongPollClient<()> {
    /// Returns a builder with the default settings. Its [`build`](LongPollClientBuilder::build)
    /// takes the transport and the token source.
    pub fn builder() -> LongPollClientBuilder {
        LongPollClientBuilder::default()
    }
}

impl LongPollClientBuilder {
    /// Builds the client.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if a setting is out of range or malformed.
    /// The message names the setting.
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
    /// Creates a client with the default settings, which [`LongPollClientBuilder`] lists.
    #[must_use]
    pub fn new(transport: T, tokens: impl TokenSource) -> Self {
        Self::of(Api::new(transport, Arc::new(tokens), Config::default()))
    }

    fn of(api: Api<T>) -> Self {
        Self { api: Arc::new(api) }
    }

    /// Waits for work of the token source that must not be cut short, such as the exchange of a
    /// refresh token.
    ///
    /// If [`auth::RefreshToken`](crate::auth::RefreshToken) supplies the tokens, await this as the
    /// last thing before your program ends. It returns at once if there is no such work. An
    /// exchange takes a fraction of a second, or up to a minute on a bad network.
    ///
    /// # Cancellation
    ///
    /// The work in flight continues if the future is dropped.
    pub async fn flush(&self) {
        self.api.tokens.flush().await;
    }

    /// Returns a derived client for another account, which has tokens of its own. All settings stay
    /// the same, including the [user](Self::as_user) that the client acts as.
    ///
    /// Derived clients share the transport, its connections, and the limits
    /// [`max_api_calls`](LongPollClientBuilder::max_api_calls) and
    /// [`max_server_lists_per_second`](LongPollClientBuilder::max_server_lists_per_second). Each
    /// derived client takes a few hundred bytes of memory.
    #[must_use]
    pub fn with_tokens(&self, tokens: impl TokenSource) -> Self {
        Self::of(self.api.with_tokens(Arc::new(tokens)))
    }

    /// Returns a derived client that acts as another user with the same tokens, by the `As-User`
    /// header. If Box rejects the token, the token source refreshes it once for all of these
    /// clients. Everything that [`with_tokens`](Self::with_tokens) shares is shared here too.
    ///
    /// See <https://developer.box.com/guides/authentication/jwt/as-user/>.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the id is empty, or if a header can't
    /// carry it.
    pub fn as_user(&self, user_id: impl AsRef<str>) -> Result<Self, Error> {
        self.with_settings(|config| config.as_user(user_id.as_ref()))
    }

    /// Returns a derived client for the same account, whose streams and subscriptions deliver only
    /// the events that match the filter. The filter replaces the one that this client has.
    ///
    /// Clients that are derived from the returned client have the same filter. Everything that
    /// [`with_tokens`](Self::with_tokens) shares is shared here too. A checkpoint does not depend
    /// on the filter, so a subscription may resume with another one. If two programs follow the
    /// same account with two filters, each of them needs a checkpoint of its own.
    ///
    /// ```no_run
    /// # use box_longpoll::event::EventFilter;
    /// # use box_longpoll::{Error, HttpTransport, LongPollClient, StartAt};
    /// # async fn follow<T: HttpTransport>(client: LongPollClient<T>) -> Result<(), Error> {
    /// let plans = EventFilter::new().folders(["4711"]);
    /// let mut events = client.filtered(plans).events(StartAt::Now);
    /// while let Some(event) = events.next().await {
    ///     println!("{:?}", event?.source_name());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn filtered(&self, filter: EventFilter) -> Self {
        let config = Config {
            filter: Arc::new(filter),
            ..Config::clone(&self.api.config)
        };
        Self::of(self.api.with_config(config))
    }

    /// Returns a derived client for the same account, whose streams have this name in the [log and in
    /// metrics](crate::monitoring). It replaces the name that this client has. Everything that
    /// [`with_tokens`](Self::with_tokens) shares is shared here too.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the name is empty, has more than 128 bytes,
    /// or has a control character.
    pub fn with_stream_name(&self, name: impl AsRef<str>) -> Result<Self, Error> {
        self.with_settings(|config| config.named(name.as_ref()))
    }

    /// Returns a derived client that has the same tokens and changed settings.
    fn with_settings(
        &self,
        change: impl FnOnce(Config) -> Result<Config, Error>,
    ) -> Result<Self, Error> {
        let config = change(Config::clone(&self.api.config))?;
        Ok(Self::of(self.api.with_config(config)))
    }

    /// Follows the account's events, one at a time, forever. No request is sent before the stream
    /// is polled.
    pub fn events(&self, start: impl Into<StartAt>) -> EventStream<T> {
        EventStream::new(self.batches(start))
    }

    /// Follows the account's events page by page, for programs that commit batch by batch. No
    /// request is sent before the stream is polled.
    ///
    /// Box may repeat an event on a later page, and the stream skips such repeats. But a stream
    /// that starts at a stored position does not know which events an earlier stream delivered. If
    /// Box repeats one of those, the new stream delivers it a second time.
    ///
    /// Use the ids of the events as keys, so that a second delivery changes nothing. Or use
    /// [`subscribe`](Self::subscribe), whose checkpoint carries the ids.
    pub fn batches(&self, start: impl Into<StartAt>) -> BatchStream<T> {
        BatchStream::new(self.api.clone(), start.into(), fastrand::u64(..))
    }

    /// Follows the account's events from a checkpoint, in batches that you acknowledge. No request
    /// is sent before the subscription is polled.
    ///
    /// `key` names the account in the store. Any text is fine if it is the same in the next run.
    /// Two accounts need two keys.
    ///
    /// The checkpoint also records the stream type, the API origin, and the account that the client
    /// acts for, if the client knows it. That account is the user that the client [acts
    /// as](Self::as_user), or else the [subject](TokenSource::subject) of its grant. If one of
    /// these differs in a later run, the subscription ends with an error and does not resume. The
    /// client can't see which account a token belongs to. If you use somebody else's
    /// [`AccessToken`](crate::AccessToken) or refresh token under the same key, the subscription
    /// resumes at a position that is not theirs.
    ///
    /// `start` counts only if the store has no checkpoint yet. If it is [`StartAt::Now`], the
    /// subscription gets the current position from Box and saves it, when it is first polled. Then
    /// it delivers [`Update::Started`](crate::Update::Started). From that item on, every event is
    /// delivered, even after a crash.
    ///
    /// The store may be saving while you handle a batch. Write the effects of a batch before you
    /// acknowledge it. If you want a store of your own to write the effects, read
    /// [`CheckpointStore::save`] first.
    ///
    /// Use only one subscription per key at a time. Before you subscribe again, drop the old
    /// subscription and its batches. Two subscriptions would overwrite each other's checkpoints.
    ///
    /// # Errors
    ///
    /// The subscription's first item is [`ErrorKind::Checkpoint`](crate::ErrorKind::Checkpoint) if
    /// the store can't load the checkpoint. The same happens if the checkpoint belongs to another
    /// key, stream type, API origin or subject, or has a newer format. In none of these cases does
    /// the client start over. The first item is [`ErrorKind::Config`](crate::ErrorKind::Config) if
    /// the key is empty.
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

    /// Follows the account's events, in batches whose checkpoints your program stores in the same
    /// transaction as the events' effects. No request is sent before the subscription is polled.
    ///
    /// Each event then has its effect exactly once, even if the program is killed. A transaction
    /// stores both or neither, and the checkpoint carries the [ids of the latest
    /// events](LongPollClientBuilder::dedupe_window), so that repeats are skipped. An event without
    /// an id can't be told from its repeats, so a repeat of it is delivered too. Box documents no
    /// event without an id.
    ///
    /// `from` is the stored [`Checkpoint`](crate::checkpoint::Checkpoint), or the start if there is
    /// none.
    ///
    /// 1. [`Update::Started`](crate::Update::Started) is the first item, with the resolved start.
    ///    Store its [checkpoint](crate::Progress::checkpoint) and call
    ///    [`stored`](crate::Progress::stored). The stream continues after that call.
    /// 2. For each [`Update::Batch`](crate::Update::Batch), in order: begin a transaction, store
    ///    the events' effects and [`checkpoint()`](crate::Delivery::checkpoint), commit, and call
    ///    [`stored`](crate::Delivery::stored).
    /// 3. [`Update::Moved`](crate::Update::Moved) arrives at most once an hour, while there are no
    ///    events. Store its checkpoint and call [`stored`](crate::Progress::stored).
    ///
    /// After a start at a [time](StartAt::Since), checkpoints have [new
    /// ids](crate::checkpoint::Checkpoint::new_ids). Store them in the same transaction. Handle an
    /// update before you request the next one. If you collect updates instead, store them in order.
    /// A batch that is dropped before it is stored ends the subscription. If a commit fails, drop
    /// the subscription too, and resume from the stored checkpoint.
    ///
    /// Use only one subscription per account at a time. Before you subscribe again, drop the old
    /// subscription and its batches. Two subscriptions would store the same events twice.
    ///
    /// The checkpoint's [`account`](crate::checkpoint::Checkpoint::account) is empty, unless `from`
    /// is a checkpoint that a store has saved. Store the checkpoint under a key of your own.
    ///
    /// # Errors
    ///
    /// The subscription's first item is [`ErrorKind::Checkpoint`](crate::ErrorKind::Checkpoint) if
    /// the checkpoint belongs to another stream type, API origin or subject.
    pub fn subscribe_from(&self, from: impl Into<ResumeFrom>) -> Subscription<T> {
        Subscription::without_store(self.api.clone(), from.into(), fastrand::u64(..))
    }

    /// Lists the realtime servers, once: `OPTIONS /events`. The list leaves out servers that the
    /// client's [policy](crate::config::RealtimeHosts) refuses, and entries that can't be read.
    ///
    /// See <https://developer.box.com/reference/options-events/>.
    ///
    /// # Errors
    ///
    /// Nothing is retried, with three exceptions. After a 401, the token is refreshed once. If a
    /// reused connection has died, the request is sent once more. If Box responds 400, the list is
    /// requested once without the stream type.
    ///
    /// If Box lists servers and all of them are left out, the error is that of the last one. It is
    /// [`ErrorKind::RealtimeRefused`](crate::ErrorKind::RealtimeRefused) if the policy refuses that
    /// server, and [`ErrorKind::UnexpectedResponse`](crate::ErrorKind::UnexpectedResponse) if its
    /// entry can't be read.
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
                |response, token| read_servers(response, token, &config.realtime_hosts),
            )
        };
        let list = match list(true).await {
            // Box, or something in between, does not know the parameter.
            Err(error) if error.is_bad_request() => list(false).await?,
            listed => listed?,
        };
        match list.refused {
            Some(refused) if list.servers.is_empty() => Err(refused),
            _ => Ok(list.servers),
        }
    }

    /// Holds one poll open until the server sends a signal.
    ///
    /// The poll lasts at most 5 s longer than the server's
    /// [`retry_timeout`](RealtimeServer::retry_timeout). If the builder's
    /// [`max_hold`](LongPollClientBuilder::max_hold) is shorter, that limit applies instead.
    ///
    /// See <https://developer.box.com/guides/events/user-events/polling/>.
    ///
    /// # Errors
    ///
    /// Nothing is retried. If the client's [policy](crate::config::RealtimeHosts) does not permit
    /// the server, no request is sent and the error is
    /// [`ErrorKind::RealtimeRefused`](crate::ErrorKind::RealtimeRefused). If the server stays
    /// silent, the error is [`ErrorKind::Transport`](crate::ErrorKind::Transport), whose source has
    /// the kind [`Timeout`](crate::transport::TransportErrorKind::Timeout).
    ///
    /// # Cancellation
    ///
    /// Dropping the future ends the request. No event is lost: a change that happens meanwhile
    /// still comes after `position`.
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

    /// Fetches one page of events: `GET /events`. `from` is a position or a [`StartAt`]. With
    /// [`StartAt::Now`], Box returns an empty page and the newest position. The page still includes
    /// repeats, and events that do not match the client's [filter](Self::filtered).
    ///
    /// See <https://developer.box.com/reference/get-events/>.
    ///
    /// # Errors
    ///
    /// Nothing is retried, with two exceptions. After a 401, the token is refreshed once. If a
    /// reused connection has died, the request is sent once more. A start at
    /// [`StartAt::Since`] is [`ErrorKind::Config`](crate::ErrorKind::Config).
    ///
    /// # Cancellation
    ///
    /// Dropping the future ends the request.
    pub async fn fetch(&self, from: impl Into<StartAt>) -> Result<Page, Error> {
        let from = from.into();
        if matches!(from, StartAt::Since(_)) {
            let rule = "a single page can't start at a time: follow a stream, or query admin_logs";
            return Err(Error::config(rule));
        }
        let config = &self.api.config;
        self.api
            .authorized(
                ApiCall::Fetch,
                |token| {
                    let now = self.api.transport().now().wall;
                    config.page_request(&from, config.page_limit, token, now..now)
                },
                |response, token| Ok(read_page(response, token, &from)?.page),
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
