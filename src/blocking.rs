//! The client for programs without async: the same engine behind plain calls and iterators.
//!
//! ```no_run
//! use box_longpoll::{AccessToken, HttpTransport, StartAt, blocking::LongPollClient};
//!
//! fn follow(transport: impl HttpTransport, token: AccessToken) -> Result<(), box_longpoll::Error> {
//!     let client = LongPollClient::new(transport, token);
//!     for event in client.events(StartAt::Now) {
//!         println!("{:?}", event?);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! A client and its siblings have one thread, however many iterators they give: their requests run there, on the runtime
//! that the transport [brings](HttpTransport::block_on). It starts with the first call and ends by itself when the clients
//! and their iterators are dropped. The calls may come from plain `main`, from any thread, and from inside an async runtime,
//! where they block the task's thread as any blocking call does; only not from that thread itself, which is where a
//! transport and an async token source run.
//!
//! Give the transport to this client alone: what it keeps open belongs to the thread's runtime.

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
use crate::event::Event;
use crate::position::{StartAt, StreamPosition};
use crate::protocol::{Page, RealtimeServer, Signal};
use crate::stream::StreamHandle;
use crate::subscription::{Subscription, Update};
use crate::sys::{blocking_thread, lock};
use crate::transport::HttpTransport;

mod delivery;
mod enterprise;
mod iter;
mod worker;

pub use self::delivery::Delivery;
pub use self::enterprise::AdminLogsQuery;
pub use self::iter::{Iter, Timed};
use self::worker::Worker;

/// A client of Box's events, over the HTTP library `T`, for programs without async. Cloning is cheap; clones share the
/// thread, the transport and the tokens.
///
/// Its settings are those of [`crate::LongPollClient::builder`], whose
/// [`build_blocking`](LongPollClientBuilder::build_blocking) makes one. Token sources are the same too; [`token_fn`]
/// makes one of a closure that blocks.
pub struct LongPollClient<T = Arc<dyn HttpTransport>> {
    client: client::LongPollClient<T>,
    worker: Arc<Worker>,
}

impl<T: HttpTransport> LongPollClient<T> {
    /// A client with the defaults, which [`LongPollClientBuilder`] names.
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

    /// Waits until its token source has nothing under way that must not be cut short; see [`crate::LongPollClient::flush`]. The
    /// client's thread does not end before that, but the program may.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Runtime`](crate::ErrorKind::Runtime) where the thread can't be started.
    pub fn flush(&self) -> Result<(), Error> {
        let client = self.client.clone();
        self.worker.run(async move { client.flush().await })
    }

    /// A sibling for another account, on the same thread; see [`crate::LongPollClient::with_tokens`].
    #[must_use]
    pub fn with_tokens(&self, tokens: impl TokenSource) -> Self {
        self.sibling(self.client.with_tokens(tokens))
    }

    /// A sibling for another user, on the same thread; see [`crate::LongPollClient::as_user`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for an id that no header can carry.
    pub fn as_user(&self, user_id: impl AsRef<str>) -> Result<Self, Error> {
        Ok(self.sibling(self.client.as_user(user_id)?))
    }

    fn sibling(&self, client: client::LongPollClient<T>) -> Self {
        Self {
            client,
            worker: self.worker.clone(),
        }
    }

    /// Follows the account's events, one at a time, for ever. Nothing is sent before the first is asked for.
    pub fn events(&self, start: impl Into<StartAt>) -> Iter<Event> {
        let batches = self.client.batches(start);
        self.iter(batches.handle(), batches.map_ok(Batch::into_events))
    }

    /// Follows the account's events by page, for those who commit by batch. Nothing is sent before the first is asked for.
    ///
    /// After a restart an event that Box repeats may come twice: handle events by their ids, or
    /// [`subscribe`](Self::subscribe); see [`crate::LongPollClient::batches`].
    pub fn batches(&self, start: impl Into<StartAt>) -> Iter<Batch> {
        let batches = self.client.batches(start);
        self.iter(batches.handle(), batches.map_ok(|batch| vec![batch]))
    }

    /// Follows the account's events from a checkpoint, by batches that are acknowledged; see
    /// [`crate::LongPollClient::subscribe`]. Nothing is sent before the first update is asked for.
    pub fn subscribe(
        &self,
        store: impl CheckpointStore,
        key: impl Into<String>,
        start: impl Into<StartAt>,
    ) -> Iter<Update<Delivery>> {
        self.updates(self.client.subscribe(store, key, start))
    }

    /// Follows the account's events, by batches whose checkpoints the program stores itself; see
    /// [`crate::LongPollClient::subscribe_from`]. Nothing is sent before the first update is asked for.
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
    /// As there, and [`ErrorKind::Runtime`](crate::ErrorKind::Runtime) where the thread can't be started.
    pub fn realtime_servers(&self) -> Result<Vec<RealtimeServer>, Error> {
        let client = self.client.clone();
        self.worker
            .run(async move { client.realtime_servers().await })?
    }

    /// Holds one poll until the server says something, which takes minutes; see [`crate::LongPollClient::listen`].
    ///
    /// # Errors
    ///
    /// As there, and [`ErrorKind::Runtime`](crate::ErrorKind::Runtime) where the thread can't be started.
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
    /// As there, and [`ErrorKind::Runtime`](crate::ErrorKind::Runtime) where the thread can't be started.
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
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), when a setting is out of its range; the sentence names it.
    pub fn build_blocking<T: HttpTransport>(
        self,
        transport: T,
        tokens: impl TokenSource,
    ) -> Result<LongPollClient<T>, Error> {
        Ok(LongPollClient::over(self.build(transport, tokens)?))
    }
}

/// A [`TokenSource`] out of a closure that blocks until it has a token: [`crate::auth::token_fn`] without async.
///
/// Each call of the closure runs on a thread of its own, so that the streams go on meanwhile, and it may use whatever HTTP
/// library it likes. Calls never overlap: one that nobody waits for any more goes on to its end, and the next begins after
/// it; the token that it got is left out.
///
/// ```
/// use box_longpoll::{AccessToken, auth::TokenError, blocking::token_fn};
/// # fn ask_for_a_token() -> std::io::Result<String> { Ok(String::new()) }
///
/// let source = token_fn(|| {
///     let text = ask_for_a_token().map_err(TokenError::transient)?;
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
            let token = blocking_thread::run("box-longpoll-token", move || lock(&get)());
            token
                .await
                .unwrap_or_else(|error| Err(TokenError::transient(error)))
        }
    })
}
