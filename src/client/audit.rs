//! The audit of an enterprise's events: those that Box has and a program's records lack.
//!
//! [`LongPollClient::audit`] takes a range of the past, and [`Audit`] the ids of a program's
//! records. [`MissingEvents`] reads the range as a query does, page by page, and keeps the events
//! whose ids are not among them. It changes nothing at Box or in the records.

use std::collections::HashSet;
use std::error::Error as StdError;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::vec;

use futures_core::Stream;
use futures_util::TryFutureExt;
use jiff::{SignedDuration, Timestamp};

use crate::client::{AdminLogsQuery, LongPollClient};
use crate::config::{AdminLogs, HISTORY_KEPT};
use crate::dedup::IdSet;
use crate::error::{Error, ErrorKind, ensure};
use crate::event::Event;
use crate::position::StartAt;
use crate::status::Status;
use crate::stream::{BatchStream, StreamHandle};
use crate::transport::HttpTransport;

/// The time by which an audit ends before the present, if its range has no end: a day. Box adds
/// events to the past late, and a program receives them late.
const DEFAULT_END: SignedDuration = SignedDuration::from_hours(24);

impl<T: HttpTransport> LongPollClient<T> {
    /// Returns an audit, which finds the past events of the enterprise that your records lack. Use
    /// it to prove that a pipeline has lost nothing. No request is sent yet.
    ///
    /// The range begins at [`created_after`](AdminLogs::created_after), by default 365 days ago, as
    /// far back as Box keeps events. It ends at [`created_before`](AdminLogs::created_before), by
    /// default a day ago. The audit reads [slices](AdminLogs::parallel) of the range in parallel,
    /// with at most the range's [`calls_per_minute`](AdminLogs::calls_per_minute). If the client
    /// has a [filter](Self::filtered), only events that match it are compared.
    ///
    /// The same permissions are needed as for [`enterprise`](Self::enterprise).
    ///
    /// ```no_run
    /// # use std::collections::HashSet;
    /// # use box_longpoll::enterprise::AdminLogs;
    /// # use box_longpoll::{Error, HttpTransport, LongPollClient};
    /// # async fn audit<T: HttpTransport>(
    /// #     client: LongPollClient<T>,
    /// #     exported: HashSet<String>,
    /// # ) -> Result<(), Error> {
    /// let mut missing = client.audit(AdminLogs::new())?.missing_from(&exported);
    /// while let Some(event) = missing.next().await {
    ///     println!("missing: {}", event?.raw());
    /// }
    /// println!("{} of {} events are missing", missing.missing(), missing.checked());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # A clean audit
    ///
    /// An audit is clean if the stream has ended without an error, and
    /// [`missing`](MissingEvents::missing) is 0. It then proves that your records have the id of
    /// each event that Box had in the range when the audit read it. It does not prove more:
    ///
    /// - Box adds some events late, by hours or days. Such an event is not found if it arrives
    ///   after its slice was read. The later a range is audited, the more it proves. Audit it again
    ///   when it is 14 days old, which is as long as Box keeps live events.
    /// - If a range ends less than a day ago, an event that your program is about to receive may
    ///   count as missing.
    /// - Box drops events after 365 days. Audit a range long before that.
    /// - Only the ids are compared, and not the other fields of your records. The audit does not
    ///   find records that Box does not have.
    ///
    /// Box documents no event without an id. If there is one, it counts as missing, because nothing
    /// shows that your records have it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if a setting is out of range or malformed,
    /// or if the range is empty. The message names the setting.
    pub fn audit(&self, range: AdminLogs) -> Result<Audit<T>, Error> {
        let mut query = range;
        if query.range.before.is_none() {
            let end = self.present() - DEFAULT_END;
            ensure(
                query.range.after.is_none_or(|after| after < end),
                "without created_before, an audit ends a day ago, and created_after must be \
                 earlier",
            )?;
            query.range.before = Some(end);
        }
        let after = query.range.after;
        let query = self.admin_logs(query)?;
        Ok(Audit { query, after })
    }

    fn present(&self) -> Timestamp {
        // A clock outside of the years that can be written is not Box's either.
        Timestamp::try_from(self.api.transport().now().wall).unwrap_or_default()
    }
}

/// An audit of an enterprise's past events, created by [`LongPollClient::audit`]. The documentation
/// of that method explains what an audit proves. Cloning is cheap.
pub struct Audit<T = Arc<dyn HttpTransport>> {
    query: AdminLogsQuery<T>,
    after: Option<Timestamp>,
}

impl<T: HttpTransport> Audit<T> {
    /// Returns the events whose ids are not among `ids`. No request is sent before the stream is
    /// polled.
    ///
    /// The ids may be in any order, and repeated. This call reads all of them, and keeps a keyed
    /// hash of each, with 13 bytes on average: 13 MB for a million. While it builds the set, it
    /// takes up to three times as much. A missing event is overlooked if one of your ids has the
    /// same hash. For ten million of each, the chance of that is below 10^-14.
    ///
    /// The stream also remembers the ids of the latest 2 million events in up to 40 MB, to skip
    /// Box's repeats.
    ///
    /// If your ids do not fit into memory, use [`missing_from_store`](Self::missing_from_store).
    pub fn missing_from(&self, ids: impl IntoIterator<Item = impl AsRef<str>>) -> MissingEvents<T> {
        self.missing(Records::Ids(IdSet::new(ids, &mut fastrand::Rng::new())))
    }

    /// Returns the events whose ids a store does not have. No request is sent before the stream is
    /// polled.
    ///
    /// `find` is called once for each page whose events have ids. It gets these ids, up to 500, and
    /// returns those that the store has, in any order. Calls never overlap. While `find` runs, the
    /// next pages are read, as far as the HTTP library works without being polled.
    ///
    /// ```no_run
    /// # use box_longpoll::enterprise::AdminLogs;
    /// # use box_longpoll::{Error, HttpTransport, LongPollClient};
    /// # #[derive(Clone)]
    /// # struct Database;
    /// # impl Database {
    /// #     async fn ids_in(&self, _: &[String]) -> std::io::Result<Vec<String>> { Ok(Vec::new()) }
    /// # }
    /// # async fn audit<T: HttpTransport>(
    /// #     client: LongPollClient<T>,
    /// #     database: Database,
    /// # ) -> Result<(), Error> {
    /// let mut missing = client.audit(AdminLogs::new())?.missing_from_store(move |ids| {
    ///     let database = database.clone();
    ///     // SELECT id FROM events WHERE id IN (…)
    ///     async move { database.ids_in(&ids).await }
    /// });
    /// while let Some(event) = missing.next().await {
    ///     println!("missing: {}", event?.raw());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If `find` fails, the stream stops with [`ErrorKind::Lookup`](crate::ErrorKind::Lookup),
    /// whose source is the error of `find`.
    pub fn missing_from_store<F, R, E>(&self, mut find: F) -> MissingEvents<T>
    where
        F: FnMut(Vec<String>) -> R + Send + 'static,
        R: Future<Output = Result<Vec<String>, E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>> + 'static,
    {
        self.missing(Records::Store(Box::new(move |ids| {
            Box::pin(find(ids).map_err(Into::into))
        })))
    }

    fn missing(&self, records: Records) -> MissingEvents<T> {
        let oldest = || self.query.client.present() - HISTORY_KEPT;
        let since = self.after.unwrap_or_else(oldest);
        let batches = self.query.batches(StartAt::Since(since));
        MissingEvents {
            handle: batches.handle(),
            batches,
            records,
            lookup: None,
            page: Vec::new().into_iter(),
            counts: Arc::default(),
        }
    }
}

impl<T> Clone for Audit<T> {
    fn clone(&self) -> Self {
        Self {
            query: self.query.clone(),
            after: self.after,
        }
    }
}

impl<T> fmt::Debug for Audit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit")
            .field("query", &self.query)
            .finish_non_exhaustive()
    }
}

/// The records of a program.
enum Records {
    Ids(IdSet),
    Store(Box<dyn FnMut(Vec<String>) -> Found + Send>),
}

/// The ids that a store has.
type Found =
    Pin<Box<dyn Future<Output = Result<Vec<String>, Box<dyn StdError + Send + Sync>>> + Send>>;

/// The numbers of events that were compared, and of those that are missing.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    checked: AtomicU64,
    missing: AtomicU64,
}

impl Counts {
    pub(crate) fn checked(&self) -> u64 {
        self.checked.load(Ordering::Relaxed)
    }

    pub(crate) fn missing(&self) -> u64 {
        self.missing.load(Ordering::Relaxed)
    }

    /// Removes the events that the records have. Counts the compared events and the missing ones.
    fn compare(&self, mut events: Vec<Event>, is_known: impl Fn(&str) -> bool) -> Vec<Event> {
        self.checked
            .fetch_add(events.len() as u64, Ordering::Relaxed);
        events.retain(|event| !event.id().is_some_and(&is_known));
        self.missing
            .fetch_add(events.len() as u64, Ordering::Relaxed);
        events
    }
}

/// The events that a program's records lack, in the order of an
/// [`AdminLogsQuery`](crate::enterprise::AdminLogsQuery). Returned by [`Audit::missing_from`] and
/// [`Audit::missing_from_store`].
///
/// The stream ends with the range, or after an error, or when its [`handle`](Self::handle) stops
/// it. An audit that was cut short proves nothing about the rest of its range.
///
/// # Cancellation
///
/// The requests and the lookup in flight belong to the stream. If you drop the future of
/// [`next`](MissingEvents::next), nothing is lost. Dropping the stream ends them.
#[must_use = "a stream does nothing until it is polled"]
pub struct MissingEvents<T: HttpTransport = Arc<dyn HttpTransport>> {
    batches: BatchStream<T>,
    handle: StreamHandle,
    records: Records,
    /// The lookup in flight, and the events of its page.
    lookup: Option<(Found, Vec<Event>)>,
    /// The missing events of the last page.
    page: vec::IntoIter<Event>,
    counts: Arc<Counts>,
}

impl<T: HttpTransport> MissingEvents<T> {
    /// Returns the next event that is missing, or `None` once the audit has ended.
    ///
    /// # Errors
    ///
    /// The error that stops the audit, which is its last item; [`ErrorKind`](crate::ErrorKind)
    /// lists the possible kinds. The stream retries transient failures itself and shows them in the
    /// [status](Self::status).
    ///
    /// # Cancellation
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Result<Event, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Returns the number of events that were compared so far.
    #[must_use]
    pub fn checked(&self) -> u64 {
        self.counts.checked()
    }

    /// Returns the number of missing events that were found so far. It includes those of the
    /// current page that [`next`](Self::next) has not returned yet.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.counts.missing()
    }

    /// Returns the current status. While the audit reads, it is
    /// [`Status::ReadingHistory`](crate::Status::ReadingHistory) with the progress.
    #[must_use]
    pub fn status(&self) -> Status {
        self.batches.status()
    }

    /// Returns a handle that watches and stops the audit from any task or thread. A lookup in
    /// flight ends first.
    #[must_use]
    pub fn handle(&self) -> StreamHandle {
        self.handle.clone()
    }

    #[cfg(feature = "blocking")]
    pub(crate) fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }

    /// Returns the missing events of the next page, of which there may be none.
    pub(crate) fn poll_page(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Vec<Event>, Error>>> {
        loop {
            if let Some((found, _)) = &mut self.lookup {
                let found = ready!(found.as_mut().poll(cx));
                let events = self.lookup.take().map(|(_, events)| events);
                return Poll::Ready(Some(self.looked_up(found, events.unwrap_or_default())));
            }
            let events = match ready!(Pin::new(&mut self.batches).poll_next(cx)) {
                Some(Ok(batch)) => batch.into_events(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            };
            match &mut self.records {
                Records::Ids(ids) => {
                    let missing = self.counts.compare(events, |id| ids.contains(id));
                    return Poll::Ready(Some(Ok(missing)));
                }
                Records::Store(find) => {
                    let ids = events.iter().filter_map(Event::id).map(str::to_owned);
                    let ids: Vec<String> = ids.collect();
                    if ids.is_empty() {
                        return Poll::Ready(Some(Ok(self.counts.compare(events, |_| false))));
                    }
                    self.lookup = Some((find(ids), events));
                }
            }
        }
    }

    /// Returns the events of a page that a store does not have.
    fn looked_up(
        &self,
        found: Result<Vec<String>, Box<dyn StdError + Send + Sync>>,
        events: Vec<Event>,
    ) -> Result<Vec<Event>, Error> {
        match found {
            Ok(found) => {
                let found: HashSet<String> = found.into_iter().collect();
                Ok(self.counts.compare(events, |id| found.contains(id)))
            }
            Err(source) => {
                let text = "the store of an audit could not look up ids";
                let error = Error::new(ErrorKind::Lookup, text).with_source(source);
                self.handle.fail(&error);
                Err(error)
            }
        }
    }
}

impl<T: HttpTransport> Stream for MissingEvents<T> {
    type Item = Result<Event, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if self.handle.is_stopped() {
                self.page = Vec::new().into_iter();
            }
            if let Some(event) = self.page.next() {
                return Poll::Ready(Some(Ok(event)));
            }
            match ready!(self.poll_page(cx)) {
                Some(Ok(page)) => self.page = page.into_iter(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl<T: HttpTransport> fmt::Debug for MissingEvents<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MissingEvents")
            .field("checked", &self.checked())
            .field("missing", &self.missing())
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
