//! The blocking client's methods for an enterprise's events.
//!
//! They wrap those of the async client, and run on the thread of the client that they are called
//! on. See [`crate::enterprise`].

use std::fmt;
use std::sync::Arc;

use crate::batch::Batch;
use crate::blocking::{Delivery, Iter, LongPollClient};
use crate::checkpoint::{CheckpointStore, ResumeFrom};
use crate::config::{AdminLogs, AdminLogsStreaming};
use crate::error::Error;
use crate::event::Event;
use crate::position::StartAt;
use crate::subscription::Update;
use crate::transport::HttpTransport;

impl<T: HttpTransport> LongPollClient<T> {
    /// Returns a derived client that follows an enterprise's events, on the same thread; see
    /// [`crate::LongPollClient::enterprise`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if a setting is out of range or malformed.
    /// The message names the setting.
    pub fn enterprise(&self, streaming: AdminLogsStreaming) -> Result<Self, Error> {
        Ok(self.derive(self.client.enterprise(streaming)?))
    }

    /// Returns a query of an enterprise's past events, on the same thread; see
    /// [`crate::LongPollClient::admin_logs`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if a setting is out of range or malformed.
    /// The message names the setting.
    pub fn admin_logs(&self, query: AdminLogs) -> Result<AdminLogsQuery<T>, Error> {
        Ok(AdminLogsQuery {
            client: self.derive(self.client.admin_logs(query)?.client),
        })
    }
}

/// A query of an enterprise's events of the last 365 days, created by
/// [`LongPollClient::admin_logs`]. Cloning is cheap.
///
/// It is the [`crate::enterprise::AdminLogsQuery`] for programs without async. It runs on the
/// thread of the client that made it.
pub struct AdminLogsQuery<T = Arc<dyn HttpTransport>> {
    client: LongPollClient<T>,
}

impl<T: HttpTransport> AdminLogsQuery<T> {
    /// Returns the events, one at a time, until the query is complete. No request is sent before
    /// you request the first event. For `start`, see [`crate::enterprise::AdminLogsQuery::events`].
    pub fn events(&self, start: impl Into<StartAt>) -> Iter<Event> {
        self.client.events(start)
    }

    /// Returns the events page by page, until the query is complete. No request is sent before you
    /// request the first batch. For `start`, see [`crate::enterprise::AdminLogsQuery::events`].
    pub fn batches(&self, start: impl Into<StartAt>) -> Iter<Batch> {
        self.client.batches(start)
    }

    /// Returns the events in batches that you acknowledge, until the query is complete and every
    /// batch is acknowledged and saved; see [`crate::enterprise::AdminLogsQuery::subscribe`]. No
    /// request is sent before you request the first update.
    pub fn subscribe(
        &self,
        store: impl CheckpointStore,
        key: impl Into<String>,
        start: impl Into<StartAt>,
    ) -> Iter<Update<Delivery>> {
        self.client.subscribe(store, key, start)
    }

    /// Returns the events in batches whose checkpoints your program stores itself, until the query
    /// is complete and every batch is stored; see
    /// [`crate::enterprise::AdminLogsQuery::subscribe_from`]. No request is sent before you request
    /// the first update.
    pub fn subscribe_from(&self, from: impl Into<ResumeFrom>) -> Iter<Update<Delivery>> {
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
