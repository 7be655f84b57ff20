//! The status of a stream: what it is doing, and why.
//!
//! A stream retries most failures itself, so its items do not show them; its [`Status`] does.
//! [`StatusWatch`] publishes it to handles on other tasks and threads. The status describes the
//! present: it keeps no history. Start at [`Status`].

mod watch;

use std::fmt;
use std::time::{Duration, SystemTime};

pub(crate) use self::watch::{StatusWatch, Wakers};
use crate::error::Error;

/// The current activity of a stream, and the reason for it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Status {
    /// The stream waits for its token source.
    Authorizing,
    /// The store of a subscription is loading the checkpoint.
    LoadingCheckpoint,
    /// The stream is fetching events, or waits until it may make one more API call: see
    /// [`max_api_calls`](crate::LongPollClientBuilder::max_api_calls).
    Fetching,
    /// The stream is listing Box's realtime servers, or waits until it may: see
    /// [`max_server_lists_per_second`](crate::LongPollClientBuilder::max_server_lists_per_second).
    Listing,
    /// The stream opens a poll at a realtime server whose host could not be reached the last time.
    /// The status becomes [`Listening`](Self::Listening) once the host has responded. It also does
    /// so once the poll has been open for longer than an attempt to connect can take, which is at
    /// most a minute later.
    #[non_exhaustive]
    Connecting {
        /// The time at which the poll was sent.
        since: SystemTime,
    },
    /// The stream holds a poll, and learns of changes at once. This is the usual status of an idle
    /// account.
    #[non_exhaustive]
    Listening {
        /// The time at which the poll was sent.
        since: SystemTime,
        /// The time for which the poll is held, if something on the way does not let longer polls
        /// pass. Three polls in a row were cut after about the same time, or one got no response.
        /// After cuts, a longer poll is tried once an hour.
        limit: Option<Duration>,
    },
    /// A batch was delivered. The stream continues when you request the next one.
    Delivering,
    /// The stream began at [a time](crate::StartAt::Since), and reads the past events.
    ReadingHistory(HistoryProgress),
    /// The stream waits until its next request is due.
    ///
    /// It may be due at once. It is due later if recent requests have used up the
    /// [pace](crate::LongPollClientBuilder::pace), or if a signaled event does not appear yet. An
    /// enterprise's events are fetched at an interval, because no server signals them.
    #[non_exhaustive]
    Waiting {
        /// The time at which the stream continues.
        until: SystemTime,
    },
    /// An operation failed, and the stream will retry it.
    #[non_exhaustive]
    Retrying {
        /// The failure.
        because: Error,
        /// The time of the retry.
        until: SystemTime,
    },
    /// The stream can't listen. It fetches at the [degraded
    /// interval](crate::config::RetryPolicy::degraded_interval), 30 s to 60 s by default, and so
    /// learns of changes later than usual.
    ///
    /// The status has one of these causes:
    ///
    /// - No realtime server is usable.
    /// - Three polls in a row were refused or could not connect.
    /// - The servers could not be listed three times in a row.
    /// - Something on the way to Box has responded 401 to every call for 10 minutes. The waits are
    ///   then those of the [`RetryPolicy`](crate::config::RetryPolicy).
    #[non_exhaustive]
    Degraded {
        /// The reason why the stream can't listen.
        because: Error,
        /// The time of the next fetch.
        until: SystemTime,
    },
    /// A subscription waits for acknowledgements. It has delivered as many batches as the builder's
    /// [`max_unacknowledged`](crate::LongPollClientBuilder::max_unacknowledged) permits before they
    /// are durable. It continues when the oldest of them is acknowledged. Once a wait has lasted
    /// 60 s, a warning is logged. A query that is complete waits for all batches before it ends.
    #[non_exhaustive]
    AwaitingAcks {
        /// The number of batches that are delivered but not durable. It is 0 if your program has
        /// not stored the [start](crate::Update::Started) of the subscription yet.
        batches: usize,
    },
    /// A subscription can't save its checkpoint, and retries. Meanwhile it delivers batches, up to
    /// the builder's [`max_unacknowledged`](crate::LongPollClientBuilder::max_unacknowledged).
    #[non_exhaustive]
    NotSaving {
        /// The failure.
        because: Error,
        /// The time of the retry.
        until: SystemTime,
        /// The number of batches that are delivered but not durable.
        batches: usize,
    },
    /// The stream has ended.
    #[non_exhaustive]
    Stopped {
        /// The error that the stream returned. `None` if a handle stopped the stream, if the stream
        /// was dropped, or if it was a query and is complete.
        because: Option<Error>,
    },
}

/// The progress of a stream that reads past events. The share and the estimate assume that events
/// are spread evenly over time.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HistoryProgress {
    /// The time from which this run reads events: the start of the stream, or the time at which
    /// this run resumed.
    pub since: SystemTime,
    /// The time of the newest event that is delivered.
    pub reached: SystemTime,
    /// The time up to which the stream reads past events: 13 days ago, where live events take over.
    /// For a query or an audit, it is the end of the range.
    pub until: SystemTime,
    /// The number of events that this run has delivered.
    pub events: u64,
    /// The number of pages that these events came on. It includes pages without a new event, but no
    /// pages that wait for their turn.
    pub pages: u64,
    /// The estimated time that is left. `None` until there is an estimate.
    pub remaining: Option<Duration>,
    /// The number of ids that were forgotten because of
    /// [`history_ids`](crate::enterprise::AdminLogsStreaming::history_ids). If it is not 0, a late
    /// event that Box shows in both of its logs may be delivered twice.
    pub forgotten_ids: u64,
}

impl HistoryProgress {
    /// Returns the share of the past that is delivered, from 0 to 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        let period = |until: SystemTime| {
            let period = until.duration_since(self.since).unwrap_or_default();
            period.as_secs_f64()
        };
        let whole = period(self.until);
        if whole > 0.0 {
            (period(self.reached) / whole).min(1.0)
        } else {
            1.0
        }
    }
}

/// Shows the share and the numbers on one line.
impl fmt::Display for HistoryProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.share() * 100.0;
        let events = self.events;
        write!(f, "reading past events: {percent:.0} %, {events} events")?;
        match self.remaining.map(|remaining| remaining.as_secs()) {
            Some(seconds @ 0..60) => write!(f, ", {seconds} s left"),
            Some(seconds) => write!(f, ", {} min left", seconds / 60),
            None => Ok(()),
        }
    }
}

/// Shows the activity on one line. If there is an error, the line includes it and all its causes.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Authorizing => f.write_str("getting an access token"),
            Status::LoadingCheckpoint => f.write_str("loading the checkpoint"),
            Status::Fetching => f.write_str("fetching events"),
            Status::Listing => f.write_str("listing realtime servers"),
            Status::Connecting { .. } => f.write_str("connecting to a realtime server"),
            Status::Listening { limit: None, .. } => f.write_str("listening"),
            Status::Listening {
                limit: Some(limit), ..
            } => {
                let seconds = limit.as_secs();
                write!(f, "listening for {seconds} s at a time: longer polls fail")
            }
            Status::Delivering => f.write_str("delivering"),
            Status::ReadingHistory(progress) => progress.fmt(f),
            Status::Waiting { .. } => f.write_str("waiting"),
            Status::Retrying { because, .. } => {
                write!(f, "retrying: {}", because.display_chain())
            }
            Status::Degraded { because, .. } => {
                write!(f, "fetching at an interval: {}", because.display_chain())
            }
            Status::AwaitingAcks { batches: 0 } => f.write_str("waiting until the start is stored"),
            Status::AwaitingAcks { batches } => {
                write!(f, "waiting until one of {batches} batches is acknowledged")
            }
            Status::NotSaving {
                because, batches, ..
            } => write!(
                f,
                "keeping {batches} batches that are not durable: {}",
                because.display_chain()
            ),
            Status::Stopped { because: None } => f.write_str("stopped"),
            Status::Stopped {
                because: Some(because),
            } => write!(f, "stopped: {}", because.display_chain()),
        }
    }
}
