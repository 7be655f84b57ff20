//! The ways into an enterprise's events.

use std::fmt;
use std::sync::Arc;

use crate::checkpoint::{CheckpointStore, ResumeFrom};
use crate::client::LongPollClient;
use crate::config::{AdminLogs, AdminLogsStreaming};
use crate::error::Error;
use crate::position::StartAt;
use crate::protocol::Page;
use crate::stream::{BatchStream, EventStream};
use crate::subscription::Subscription;
use crate::transport::HttpTransport;

/// Follows an enterprise's events as they happen, by looking for them at an interval. Made by
/// [`LongPollClient::enterprise`]. Cloning is cheap.
///
/// It is a sibling of the client that made it, and shares its transport, its tokens and its limit of
/// [calls at once](crate::LongPollClientBuilder::max_api_calls). The streams are those of a user's events, with the same
/// promises; [`AdminLogsStreaming`] says how often they ask. While they wait for their next look, their
/// [status](crate::Status) is [`Waiting`](crate::Status::Waiting).
///
/// The token's user has to be an admin or co-admin of the enterprise, and the application needs the scope "Manage
/// enterprise properties": without them a stream stops with [`ErrorKind::Forbidden`](crate::ErrorKind::Forbidden).
///
/// ```no_run
/// # use box_longpoll::{EventType, HttpTransport, LongPollClient, StartAt, enterprise::AdminLogsStreaming};
/// # async fn follow<T: HttpTransport>(client: LongPollClient<T>) -> Result<(), box_longpoll::Error> {
/// let logins = AdminLogsStreaming::default().event_types([EventType::Login, EventType::FailedLogin]);
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
pub struct EnterpriseClient<T = Arc<dyn HttpTransport>> {
    client: LongPollClient<T>,
}

impl<T: HttpTransport> EnterpriseClient<T> {
    /// As [`LongPollClient::events`], of the enterprise.
    pub fn events(&self, start: impl Into<StartAt>) -> EventStream<T> {
        self.client.events(start)
    }

    /// As [`LongPollClient::batches`], of the enterprise.
    pub fn batches(&self, start: impl Into<StartAt>) -> BatchStream<T> {
        self.client.batches(start)
    }

    /// As [`LongPollClient::subscribe`], of the enterprise. Box keeps its events for 14 days: after a
    /// longer absence a [`PossibleGap`](crate::PossibleGap) comes before the batches.
    ///
    /// The checkpoint is of the stream type `admin_logs_streaming`, and of no event types in particular.
    ///
    /// # Errors
    ///
    /// The subscription's first item is [`ErrorKind::Checkpoint`](crate::ErrorKind::Checkpoint) if the store can't load, or if
    /// the checkpoint is of something else, such as of a user's events. A client for a user's events refuses one of these in
    /// the same way. It is [`ErrorKind::Config`](crate::ErrorKind::Config) for an empty key.
    pub fn subscribe(
        &self,
        store: impl CheckpointStore,
        key: impl Into<String>,
        start: impl Into<StartAt>,
    ) -> Subscription<T> {
        self.client.subscribe(store, key, start)
    }

    /// As [`LongPollClient::subscribe_from`], of the enterprise.
    pub fn subscribe_from(&self, from: impl Into<ResumeFrom>) -> Subscription<T> {
        self.client.subscribe_from(from)
    }

    /// As [`LongPollClient::fetch`], of the enterprise. These calls are not counted by
    /// [`calls_per_minute`](AdminLogsStreaming::calls_per_minute).
    ///
    /// # Errors
    ///
    /// Nothing is retried, apart from one token refresh after a 401 and one request whose kept connection has died.
    ///
    /// # Cancellation
    ///
    /// Dropping the future ends the request.
    pub async fn fetch(&self, from: impl Into<StartAt>) -> Result<Page, Error> {
        self.client.fetch(from).await
    }

    #[cfg(feature = "blocking")]
    pub(crate) fn into_client(self) -> LongPollClient<T> {
        self.client
    }
}

/// Queries an enterprise's events of the last 365 days. Made by [`LongPollClient::admin_logs`]. Cloning is cheap.
///
/// Its streams retry, renew tokens and leave out repeats as those that follow events do, and end where the range does:
/// `None` comes when a page brings neither a new event nor a new position. Their `resume_at()` says where a
/// query for the same range and types goes on.
///
/// ```no_run
/// # use box_longpoll::{EventType, HttpTransport, LongPollClient, StartAt, enterprise::AdminLogs};
/// # use jiff::{SignedDuration, Timestamp};
/// # async fn count<T: HttpTransport>(client: LongPollClient<T>, midnight: Timestamp) -> Result<(), box_longpoll::Error> {
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
    client: LongPollClient<T>,
}

impl<T: HttpTransport> AdminLogsQuery<T> {
    /// Returns the events, one at a time, until the range is exhausted. Nothing is sent before the stream is polled.
    ///
    /// `start` is [`StartAt::Oldest`] for a new query. To go on with an earlier one for the same range and types, pass what
    /// its stream's or batch's `resume_at` returned. A query can't start at [`StartAt::Now`]: its stream stops with
    /// [`ErrorKind::Config`](crate::ErrorKind::Config).
    pub fn events(&self, start: impl Into<StartAt>) -> EventStream<T> {
        self.client.events(start)
    }

    /// Returns the events by page, until the range is exhausted, from `start` as for [`events`](Self::events). Nothing is sent
    /// before the stream is polled.
    pub fn batches(&self, start: impl Into<StartAt>) -> BatchStream<T> {
        self.client.batches(start)
    }
}

impl<T: HttpTransport> LongPollClient<T> {
    /// A sibling that follows the events of the enterprise, to which this client's user belongs as an admin.
    ///
    /// The builder's settings hold for it too, but for the stream type, the [pace](crate::LongPollClientBuilder::pace) and
    /// what is said of realtime servers, which it never asks.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), when a setting is out of its range; the sentence names it.
    pub fn enterprise(&self, streaming: AdminLogsStreaming) -> Result<EnterpriseClient<T>, Error> {
        let config = self.config().enterprise(streaming)?;
        Ok(EnterpriseClient {
            client: self.with_settings(config),
        })
    }

    /// A query of the past events of the enterprise, to which this client's user belongs as an admin. Nothing is sent yet.
    ///
    /// The builder's settings hold for it too, but for the stream type, the [pace](crate::LongPollClientBuilder::pace) and
    /// what is said of realtime servers, which it never asks.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), when a setting is out of its range; the sentence names it.
    pub fn admin_logs(&self, query: AdminLogs) -> Result<AdminLogsQuery<T>, Error> {
        let config = self.config().admin_logs(query)?;
        Ok(AdminLogsQuery {
            client: self.with_settings(config),
        })
    }
}

impl<T> Clone for EnterpriseClient<T> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
        }
    }
}

impl<T> Clone for AdminLogsQuery<T> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
        }
    }
}

impl<T> fmt::Debug for EnterpriseClient<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnterpriseClient")
            .field("client", &self.client)
            .finish()
    }
}

impl<T> fmt::Debug for AdminLogsQuery<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminLogsQuery")
            .field("client", &self.client)
            .finish()
    }
}
