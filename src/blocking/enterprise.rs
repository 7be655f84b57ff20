//! The blocking facade of an enterprise's events.

use std::fmt;
use std::sync::Arc;

use crate::blocking::worker::Worker;
use crate::blocking::{BatchIter, EventIter, LongPollClient, Subscription};
use crate::checkpoint::{CheckpointStore, ResumeFrom};
use crate::client;
use crate::config::{AdminLogs, AdminLogsStreaming};
use crate::error::Error;
use crate::position::StartAt;
use crate::protocol::Page;
use crate::transport::HttpTransport;

/// Follows an enterprise's events as they happen, by looking for them at an interval. Made by
/// [`LongPollClient::enterprise`]. Cloning is cheap.
///
/// It is [`crate::enterprise::EnterpriseClient`] without async, on the thread of the client that made it.
pub struct EnterpriseClient<T = Arc<dyn HttpTransport>> {
    client: LongPollClient<T>,
}

impl<T: HttpTransport> EnterpriseClient<T> {
    /// As [`LongPollClient::events`], of the enterprise.
    pub fn events(&self, start: impl Into<StartAt>) -> EventIter<T> {
        self.client.events(start)
    }

    /// As [`LongPollClient::batches`], of the enterprise.
    pub fn batches(&self, start: impl Into<StartAt>) -> BatchIter<T> {
        self.client.batches(start)
    }

    /// As [`LongPollClient::subscribe`], of the enterprise; see [`crate::enterprise::EnterpriseClient::subscribe`].
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

    /// As [`LongPollClient::fetch`], of the enterprise; see [`crate::enterprise::EnterpriseClient::fetch`].
    ///
    /// # Errors
    ///
    /// As there, and [`ErrorKind::Runtime`](crate::ErrorKind::Runtime) where the thread can't be started.
    pub fn fetch(&self, from: impl Into<StartAt>) -> Result<Page, Error> {
        self.client.fetch(from)
    }
}

/// Queries an enterprise's events of the last 365 days. Made by [`LongPollClient::admin_logs`]. Cloning is cheap.
///
/// It is [`crate::enterprise::AdminLogsQuery`] without async, on the thread of the client that made it.
pub struct AdminLogsQuery<T = Arc<dyn HttpTransport>> {
    query: client::AdminLogsQuery<T>,
    worker: Arc<Worker>,
}

impl<T: HttpTransport> AdminLogsQuery<T> {
    /// The events, one at a time, until the range is exhausted. Nothing is sent before the first is asked for.
    pub fn events(&self, start: impl Into<StartAt>) -> EventIter<T> {
        EventIter::new(self.batches(start))
    }

    /// The events by page, until the range is exhausted. Nothing is sent before the first is asked for.
    pub fn batches(&self, start: impl Into<StartAt>) -> BatchIter<T> {
        BatchIter::new(self.worker.clone(), self.query.batches(start))
    }
}

impl<T: HttpTransport> LongPollClient<T> {
    /// A sibling that follows an enterprise's events, on the same thread; see [`crate::LongPollClient::enterprise`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), when a setting is out of its range; the sentence names it.
    pub fn enterprise(&self, streaming: AdminLogsStreaming) -> Result<EnterpriseClient<T>, Error> {
        let client = self.client.enterprise(streaming)?.into_client();
        Ok(EnterpriseClient {
            client: self.sibling(client),
        })
    }

    /// A query of an enterprise's past events, on the same thread; see [`crate::LongPollClient::admin_logs`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), when a setting is out of its range; the sentence names it.
    pub fn admin_logs(&self, query: AdminLogs) -> Result<AdminLogsQuery<T>, Error> {
        Ok(AdminLogsQuery {
            query: self.client.admin_logs(query)?,
            worker: self.worker.clone(),
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
            query: self.query.clone(),
            worker: self.worker.clone(),
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
        self.query.fmt(f)
    }
}
