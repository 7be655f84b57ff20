//! The client for programs without async: the same engine behind plain calls and iterators.
//!
//! ```no_run
//! use box_longpoll::blocking::LongPollClient;
//! use box_longpoll::{AccessToken, Error, HttpTransport, StartAt};
//!
//! fn follow(transport: impl HttpTransport, token: AccessToken) -> Result<(), Error> {
//!     let client = LongPollClient::new(transport, token);
//!     for event in client.events(StartAt::Now) {
//!         println!("{:?}", event?);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! A client and the clients derived from it share one thread, for any number of iterators. Their
//! requests run there, on the runtime that the transport [brings](HttpTransport::block_on). The
//! thread starts with the first call, and ends by itself when the clients and their iterators are
//! dropped.
//!
//! You can make the calls from plain `main`, from any thread, and from inside an async runtime,
//! where they block the task's thread as any blocking call does. Do not make them from the client's
//! own thread, which runs the transport and an async token source: such a call would block forever.
//!
//! Pass the transport to this client alone: its open connections belong to the thread's runtime.

use std::fmt;
use std::sync::{Arc, Mutex};

use futures_core::Stream;
use futures_util::TryStreamExt;

use crate::auth::{self, AccessToken, TokenError, TokenSource};
use crate::batch::Batch;
use crate::checkpoint::{CheckpointStore, ResumeFrom};
use crate::client;
use crate::config::LongPollClientBuilder;
use crate::error::Error;
use crate::event::{Event, EventFilter};
use crate::position::{StartAt, StreamPosition};
use crate::protocol::{Page, RealtimeServer, Signal};
use crate::stream::StreamHandle;
use crate::subscription::{Subscription, Update};
use crate::sys::{blocking_thread, lock};
use crate::transport::HttpTransport;

mod audit;
mod delivery;
mod enterprise;
mod iter;
mod worker;

pub use self::audit::{Audit, MissingEvents};
pub use self::delivery::Delivery;
pub use self::enterprise::AdminLogsQuery;
pub use self::iter::{Iter, Timed};
use self::worker::Worker;

/// A client for Box's events over the transport `T`, for programs without async. Cloning is cheap;
/// clones share the thread, the transport and the tokens.
///
/// To change the settings, start with [`crate::LongPollClient::builder`] and call
/// [`build_blocking`](LongPollClientBuilder::build_blocking). The client uses the same token
/// sources as the async client; [`token_fn`] makes one from a closure that blocks.
pub struct LongPollClient<T = Arc<dyn HttpTransport>> {
    client: client::LongPollClient<T>,
    worker: Arc<Worker>,
}

impl<T: HttpTransport> LongPollClient<T> {
    /// Creates a client with the default settings, which [`LongPollClientBuilder`] lists.
    #[must_use]
    pub fn new(transport: T, tokens: impl TokenSource) -> Self {
        Self::over(client::LongPollClient::new(transport, tokens))
    }

    fn over(client: client::LongPollClient<T>) -> Self {
        let transport = client.clone();
        Self {
            client,
            worker: Arc::new(Worker::new(move |work| {
                transport.transport().block_on(work)
            })),
        }
    }

    /// Waits for work of the token source that must not be cut short; see
    /// [`crate::LongPollClient::flush`]. The client's thread waits for that work by itself, but the
    /// program does not wait for the thread when it ends.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Runtime`](crate::ErrorKind::Runtime) if the thread can't be started.
    pub fn flush(&self) -> Result<(), Error> {
        let client = self.client.clone();
        self.worker.run(async move { client.flush().await })
    }

    /// Returns a derived client for another account, on the same thread; see
    /// [`crate::LongPollClient::with_tokens`].
    #[must_use]
    pub fn with_tokens(&self, tokens: impl TokenSource) -> Self {
        self.derive(self.client.with_tokens(tokens))
    }

    /// Returns a derived client that acts as another user, on the same thread; see
    /// [`crate::LongPollClient::as_user`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the id is empty, or if a header can't
    /// carry it.
    pub fn as_user(&self, user_id: impl AsRef<str>) -> Result<Self, Error> {
        Ok(self.derive(self.client.as_user(user_id)?))
    }

    /// Returns a derived client whose iterators deliver only the events that match the filter, on
    /// the same thread; see [`crate::LongPollClient::filtered`].
    #[must_use]
    pub fn filtered(&self, filter: EventFilter) -> Self {
        self.derive(self.client.filtered(filter))
    }

    /// Returns a derived client whose iterators have this name in the log and in metrics, on the same
    /// thread; see [`crate::LongPollClient::with_stream_name`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the name is empty, has more than 128 bytes,
    /// or has a control character.
    pub fn with_stream_name(&self, name: impl AsRef<str>) -> Result<Self, Error> {
        Ok(self.derive(self.client.with_stream_name(name)?))
    }

    fn derive(&self, client: client::LongPollClient<T>) -> Self {
        Self {
            client,
            worker: self.worker.clone(),
        }
    }

    /// Follows the account's events, one at a time, forever. No request is sent before you request
    /// the first event.
    pub fn events(&self, start: impl Into<StartAt>) -> Iter<Event> {
        let batches = self.client.batches(start);
        self.iter(batches.handle(), batches.map_ok(Batch::into_events))
    }

    /// Follows the account's events page by page, for programs that commit batch by batch. No
    /// request is sent before you request the first batch.
    ///
    /// After a restart, an event that Box repeats may be delivered a second time. Use the ids of
    /// the events as keys, or use [`subscribe`](Self::subscribe); see
    /// [`crate::LongPollClient::batches`].
    pub fn batches(&self, start: impl Into<StartAt>) -> Iter<Batch> {
        let batches = self.client.batches(start);
        self.iter(batches.handle(), batches.map_ok(|batch| vec![batch]))
    }

    /// Follows the account's events from a checkpoint, in batches that you acknowledge; see
    /// [`crate::LongPollClient::subscribe`]. No request is sent before you request the first
    /// update.
    pub fn subscribe(
        &self,
        store: impl CheckpointStore,
        key: impl Into<String>,
        start: impl Into<StartAt>,
    ) -> Iter<Update<Delivery>> {
        self.updates(self.client.subscribe(store, key, start))
    }

    /// Follows the account's events, in batches whose checkpoints your program stores itself; see
    /// [`crate::LongPollClient::subscribe_from`]. No request is sent before you request the first
    /// update.
    pub fn subscribe_from(&self, from: impl Into<ResumeFrom>) -> Iter<Update<Delivery>> {
        self.updates(self.client.subscribe_from(from))
    }

    fn updates(&self, updates: Subscription<T>) -> Iter<Update<Delivery>> {
        let (handle, worker) = (updates.handle(), self.worker.clone());
        self.iter(
            handle,
            updates.map_ok(move |update| vec![Delivery::of(update, &worker)]),
        )
    }

    fn iter<I: Send + 'static>(
        &self,
        handle: StreamHandle,
        pages: impl Stream<Item = Result<Vec<I>, Error>> + Send + 'static,
    ) -> Iter<I> {
        Iter::new(self.worker.clone(), handle, self.client.tokens(), pages)
    }

    /// Lists the realtime servers, once; see [`crate::LongPollClient::realtime_servers`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Runtime`](crate::ErrorKind::Runtime) if the thread can't be started, and the
    /// errors of the async [`realtime_servers`](crate::LongPollClient::realtime_servers).
    pub fn realtime_servers(&self) -> Result<Vec<RealtimeServer>, Error> {
        let client = self.client.clone();
        self.worker
            .run(async move { client.realtime_servers().await })?
    }

    /// Holds one poll open until the server sends a signal, which can take minutes; see
    /// [`crate::LongPollClient::listen`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Runtime`](crate::ErrorKind::Runtime) if the thread can't be started, and the
    /// errors of the async [`listen`](crate::LongPollClient::listen).
    pub fn listen(
        &self,
        server: &RealtimeServer,
        position: &StreamPosition,
    ) -> Result<Signal, Error> {
        let (client, server, position) = (self.client.clone(), server.clone(), position.clone());
        self.worker
            .run(async move { client.listen(&server, &position).await })?
    }

    /// Fetches one page of events; see [`crate::LongPollClient::fetch`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Runtime`](crate::ErrorKind::Runtime) if the thread can't be started, and the
    /// errors of the async [`fetch`](crate::LongPollClient::fetch).
    pub fn fetch(&self, from: impl Into<StartAt>) -> Result<Page, Error> {
        let (client, from) = (self.client.clone(), from.into());
        self.worker.run(async move { client.fetch(from).await })?
    }
}

impl<T> Clone for LongPollClient<T> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            worker: self.worker.clone(),
        }
    }
}

impl<T> fmt::Debug for LongPollClient<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client.fmt(f)
    }
}

impl LongPollClientBuilder {
    /// Builds the client for programs without async.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if a setting is out of range or malformed.
    /// The message names the setting.
    pub fn build_blocking<T: HttpTransport>(
        self,
        transport: T,
        tokens: impl TokenSource,
    ) -> Result<LongPollClient<T>, Error> {
        Ok(LongPollClient::over(self.build(transport, tokens)?))
    }
}

/// Creates a [`TokenSource`] from a closure that blocks until it has a token. It is
/// [`crate::auth::token_fn`] for closures without async.
///
/// Each call of the closure runs on a thread of its own, so the streams continue meanwhile. The
/// closure may use any HTTP library. Calls never overlap. If no stream waits for a call any more,
/// the call still runs to its end, and its token is dropped. The next call begins after that.
///
/// ```
/// use box_longpoll::{AccessToken, auth::TokenError, blocking::token_fn};
/// # fn request_token() -> std::io::Result<String> { Ok(String::new()) }
///
/// let source = token_fn(|| {
///     let text = request_token().map_err(TokenError::transient)?;
///     Ok(AccessToken::new(text)?)
/// });
/// ```
pub fn token_fn<F>(get: F) -> impl TokenSource + fmt::Debug
where
    F: Fn() -> Result<AccessToken, TokenError> + Send + Sync + 'static,
{
    let get = Arc::new(Mutex::new(get));
    auth::token_fn(move || {
        let get = get.clone();
        async move {
            let token = blocking_thread::spawn_blocking("box-longpoll-token", move || lock(&get)());
            token
                .await
                .unwrap_or_else(|error| Err(TokenError::transient(error)))
        }
    })
}
