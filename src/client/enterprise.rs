//! The client's methods for an enterprise's events: [`LongPollClient::enterprise`] follows live
//! events, and [`LongPollClient::admin_logs`] queries past ones.
//!
//! Both return a derived client or a wrapper around one, because only the requests differ from
//! those for a user's events. The settings of each are in
//! [`config::admin_logs`](crate::config::admin_logs).

use std::fmt;
use std::sync::Arc;

use crate::checkpoint::{CheckpointStore, ResumeFrom};
use crate::client::LongPollClient;
use crate::config::{AdminLogs, AdminLogsStreaming};
use crate::error::Error;
use crate::position::StartAt;
use crate::stream::{BatchStream, EventStream};
use crate::subscription::Subscription;
use crate::transport::HttpTransport;

impl<T: HttpTransport> LongPollClient<T> {
    /// Returns a derived client that follows the events of the enterprise to which this client's
    /// user belongs as an admin. It fetches them at an interval, because Box has no long poll for
    /// them.
    ///
    /// Its streams and subscriptions give the same [guarantees](crate::reliability) as those for a
    /// user's events. While they wait for the next fetch, their [status](crate::Status) is
    /// [`Waiting`](crate::Status::Waiting). Its checkpoints have the stream type
    /// `admin_logs_streaming`. A client for a user's events does not resume from them, and this
    /// client does not resume from a checkpoint of a user's events.
    ///
    /// The token's user must be an admin or co-admin of the enterprise, and the application needs
    /// the scope "Manage enterprise properties". Without them, a stream stops with
    /// [`ErrorKind::Forbidden`](crate::ErrorKind::Forbidden).
    ///
    /// The builder's settings apply too, with three exceptions: the stream type, the
    /// [pace](crate::LongPollClientBuilder::pace) and the settings of realtime servers. No realtime
    /// server signals an enterprise's events.
    /// [`calls_per_minute`](AdminLogsStreaming::calls_per_minute) does not count calls of
    /// [`fetch`](Self::fetch).
    ///
    /// ```no_run
    /// # use box_longpoll::enterprise::AdminLogsStreaming;
    /// # use box_longpoll::{Error, EventType, HttpTransport, LongPollClient, StartAt};
    /// # async fn follow<T: HttpTransport>(client: LongPollClient<T>) -> Result<(), Error> {
    /// let logins = AdminLogsStreaming::default()
    ///     .event_types([EventType::Login, EventType::FailedLogin]);
    /// let mut events = client.enterprise(logins)?.events(StartAt::Now);
    /// while let Some(event) = events.next().await {
    ///     println!("{}", event?.raw());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// See <https://developer.box.com/guides/events/enterprise-events/for-enterprise/> and
    /// <https://developer.box.com/reference/get-events/>.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if a setting is out of range or malformed.
    /// The message names the setting.
    pub fn enterprise(&self, streaming: AdminLogsStreaming) -> Result<Self, Error> {
        self.with_settings(|config| config.enterprise(streaming))
    }

    /// Returns a query of the past events of the enterprise to which this client's user belongs as
    /// an admin. No request is sent yet.
    ///
    /// The same permissions are needed as for [`enterprise`](Self::enterprise). The builder's
    /// settings apply too, with three exceptions: the stream type, the
    /// [pace](crate::LongPollClientBuilder::pace) and the settings of realtime servers.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if a setting is out of range or malformed.
    /// The message names the setting.
    pub fn admin_logs(&self, query: AdminLogs) -> Result<AdminLogsQuery<T>, Error> {
        let client = self.with_settings(|config| config.admin_logs(query))?;
        Ok(AdminLogsQuery { client })
    }
}

/// A query of an enterprise's events of the last 365 days, created by
/// [`LongPollClient::admin_logs`]. Cloning is cheap.
///
/// Its streams retry, refresh tokens and skip repeats like those that follow events, but they end.
/// They return `None` when a page has neither a new event nor a new position, or when the time in
/// Box's position has passed the end of the range. To continue a query later, pass the
/// `resume_at()` of its stream to a query for the same range and types, or
/// [`subscribe`](Self::subscribe) to it.
///
/// ```no_run
/// # use box_longpoll::enterprise::AdminLogs;
/// # use box_longpoll::{Error, EventType, HttpTransport, LongPollClient, StartAt};
/// # use jiff::{SignedDuration, Timestamp};
/// # async fn count<T: HttpTransport>(
/// #     client: LongPollClient<T>,
/// #     midnight: Timestamp,
/// # ) -> Result<(), Error> {
/// let yesterday = AdminLogs::new()
///     .created_after(midnight - SignedDuration::from_hours(24))
///     .created_before(midnight)
///     .event_types([EventType::Download]);
/// let mut batches = client.admin_logs(yesterday)?.batches(StartAt::Oldest);
/// let mut downloads = 0;
/// while let Some(batch) = batches.next().await {
///     downloads += batch?.len();
/// }
/// # Ok(())
/// # }
/// ```
///
/// See <https://developer.box.com/guides/events/enterprise-events/for-enterprise/> and
/// <https://developer.box.com/reference/get-events/>.
pub struct AdminLogsQuery<T = Arc<dyn HttpTransport>> {
    pub(crate) client: LongPollClient<T>,
}

impl<T: HttpTransport> AdminLogsQuery<T> {
    /// Returns the events, one at a time, until the query is complete. No request is sent before
    /// the stream is polled.
    ///
    /// `start` is [`StartAt::Oldest`] for a new query. To continue an earlier query for the same
    /// range and types, pass the `resume_at()` of its stream or of its last batch. A query can't
    /// start at [`StartAt::Now`]: its stream stops with
    /// [`ErrorKind::Config`](crate::ErrorKind::Config).
    ///
    /// With [`StartAt::Since`], the query begins at that time, or at
    /// [`created_after`](AdminLogs::created_after) if that is later. It reads
    /// [slices](AdminLogs::parallel) of the range in parallel, which is many times as fast as one
    /// page after another. It delivers the slices in order, and keeps Box's order within each. The
    /// query ends at `created_before`, or at the time when the stream was created if that is
    /// earlier.
    pub fn events(&self, start: impl Into<StartAt>) -> EventStream<T> {
        self.client.events(start)
    }

    /// Returns the events page by page, until the query is complete. `start` is the same as for
    /// [`events`](Self::events). No request is sent before the stream is polled.
    pub fn batches(&self, start: impl Into<StartAt>) -> BatchStream<T> {
        self.client.batches(start)
    }

    /// Returns the events in batches that you acknowledge, until the query is complete. After a
    /// restart, the query resumes from its checkpoint. Apart from its end, the subscription is like
    /// that of [`LongPollClient::subscribe`], and so are `store` and `key`. `start` is the same as
    /// for [`events`](Self::events).
    ///
    /// The subscription returns `None` once the query is complete and every batch is acknowledged
    /// and saved. Until then, its status is [`AwaitingAcks`](crate::Status::AwaitingAcks). If you
    /// subscribe again after that, the new subscription ends after one or two calls, without a
    /// batch. If the query has no [end](AdminLogs::created_before), it first delivers the events
    /// since then.
    ///
    /// The checkpoint carries the range and the event types of the query. Box drops events after
    /// 365 days, so a query that resumes late misses those that have become older meanwhile. If
    /// nothing was fetched for longer than that,
    /// [`Update::PossibleGap`](crate::Update::PossibleGap) reports it.
    ///
    /// # Errors
    ///
    /// As for [`LongPollClient::subscribe`]. The first item is
    /// [`ErrorKind::Checkpoint`](crate::ErrorKind::Checkpoint) too if the checkpoint belongs to
    /// another range or to other event types. The message names both.
    pub fn subscribe(
        &self,
        store: impl CheckpointStore,
        key: impl Into<String>,
        start: impl Into<StartAt>,
    ) -> Subscription<T> {
        self.client.subscribe(store, key, start)
    }

    /// Returns the events in batches whose checkpoints your program stores, in the transactions
    /// that store the events' effects, until the query is complete. Each event then has its effect
    /// exactly once; see [`LongPollClient::subscribe_from`].
    ///
    /// `from` is the stored checkpoint, or a start as for [`events`](Self::events). The
    /// subscription returns `None` once the query is complete and every batch is
    /// [stored](crate::Delivery::stored).
    ///
    /// # Errors
    ///
    /// As for [`subscribe`](Self::subscribe).
    pub fn subscribe_from(&self, from: impl Into<ResumeFrom>) -> Subscription<T> {
        self.client.subscribe_from(from)
    }
}

impl<T> Clone for AdminLogsQuery<T> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
        }
    }
}

impl<T> fmt::Debug for AdminLogsQuery<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminLogsQuery")
            .field("client", &self.client)
            .finish()
    }
}
