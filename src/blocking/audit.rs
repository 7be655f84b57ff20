//! The blocking client's audit of an enterprise's events.
//!
//! It wraps the async audit, and runs on the thread of the client that made it. See
//! [`crate::enterprise::Audit`].

use std::error::Error as StdError;
use std::fmt;
use std::iter::FusedIterator;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::stream;

use crate::blocking::{Iter, LongPollClient, Timed};
use crate::client::{self, AuditCounts};
use crate::config::AdminLogs;
use crate::error::Error;
use crate::event::Event;
use crate::status::Status;
use crate::stream::StreamHandle;
use crate::sys::{blocking_thread, lock};
use crate::transport::HttpTransport;

impl<T: HttpTransport> LongPollClient<T> {
    /// Returns an audit, which finds the past events of an enterprise that your records lack, on
    /// the same thread; see [`crate::LongPollClient::audit`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if a setting is out of range or malformed,
    /// or if the range is empty. The message names the setting.
    pub fn audit(&self, range: AdminLogs) -> Result<Audit<T>, Error> {
        Ok(Audit {
            audit: self.client.audit(range)?,
            client: self.clone(),
        })
    }
}

/// An audit of an enterprise's past events, created by [`LongPollClient::audit`]. Cloning is cheap.
///
/// It is the [`crate::enterprise::Audit`] for programs without async. It runs on the thread of the
/// client that made it.
pub struct Audit<T = Arc<dyn HttpTransport>> {
    client: LongPollClient<T>,
    audit: client::Audit<T>,
}

impl<T: HttpTransport> Audit<T> {
    /// Returns the events whose ids are not among `ids`. No request is sent before you request the
    /// first event. For the memory that the ids take, see
    /// [`crate::enterprise::Audit::missing_from`].
    pub fn missing_from(&self, ids: impl IntoIterator<Item = impl AsRef<str>>) -> MissingEvents {
        self.iter(self.audit.missing_from(ids))
    }

    /// Returns the events whose ids a store does not have. No request is sent before you request
    /// the first event.
    ///
    /// `find` is called once for each page whose events have ids, on a thread of its own, so it may
    /// block. It gets these ids, up to 500, and returns those that the store has, in any order.
    /// Calls never overlap.
    ///
    /// # Errors
    ///
    /// If `find` fails or panics, the iterator stops with
    /// [`ErrorKind::Lookup`](crate::ErrorKind::Lookup), whose source is the error of `find`.
    pub fn missing_from_store<F, E>(&self, find: F) -> MissingEvents
    where
        F: FnMut(Vec<String>) -> Result<Vec<String>, E> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let find = Arc::new(Mutex::new(find));
        self.iter(self.audit.missing_from_store(move |ids| {
            let find = find.clone();
            async move {
                let look_up = move || lock(&find)(ids).map_err(Into::into);
                blocking_thread::spawn_blocking("box-longpoll-audit", look_up)
                    .await
                    .unwrap_or_else(|error| Err(error.into()))
            }
        }))
    }

    fn iter(&self, mut events: client::MissingEvents<T>) -> MissingEvents {
        let (handle, counts) = (events.handle(), events.counts());
        let pages = stream::poll_fn(move |cx| events.poll_page(cx));
        MissingEvents {
            events: self.client.iter(handle, pages),
            counts,
        }
    }
}

impl<T> Clone for Audit<T> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            audit: self.audit.clone(),
        }
    }
}

impl<T> fmt::Debug for Audit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit")
            .field("audit", &self.audit)
            .finish_non_exhaustive()
    }
}

/// The events that a program's records lack. Returned by [`Audit::missing_from`] and
/// [`Audit::missing_from_store`].
///
/// It is the [`crate::enterprise::MissingEvents`] for programs without async. It ends with the
/// range, or after an error, or when its [`handle`](Self::handle) stops it. An audit that was cut
/// short proves nothing about the rest of its range. Dropping the iterator ends its requests in
/// flight.
#[derive(Debug)]
#[must_use = "an iterator does nothing until you request an item"]
pub struct MissingEvents {
    events: Iter<Event>,
    counts: Arc<AuditCounts>,
}

impl MissingEvents {
    /// Returns the next missing event if one is found within `timeout`. If none is found, it
    /// returns [`Timed::Elapsed`], the request in flight continues, and nothing is lost.
    pub fn next_timeout(&mut self, timeout: Duration) -> Timed<Result<Event, Error>> {
        self.events.next_timeout(timeout)
    }

    /// Returns the number of events that were compared so far.
    #[must_use]
    pub fn checked(&self) -> u64 {
        self.counts.checked()
    }

    /// Returns the number of missing events that were found so far. It includes those of the
    /// current page that were not returned yet.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.counts.missing()
    }

    /// Returns the current status. While the audit reads, it is
    /// [`Status::ReadingHistory`](crate::Status::ReadingHistory) with the progress.
    #[must_use]
    pub fn status(&self) -> Status {
        self.events.status()
    }

    /// Returns a handle that watches and stops the audit from any thread. A lookup in flight ends
    /// first.
    #[must_use]
    pub fn handle(&self) -> StreamHandle {
        self.events.handle()
    }
}

impl Iterator for MissingEvents {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.events.next()
    }
}

impl FusedIterator for MissingEvents {}
