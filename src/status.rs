//! What a stream is doing.

mod watch;

use std::fmt;
use std::time::SystemTime;

pub(crate) use self::watch::{News, StatusWatch};
use crate::error::Error;

/// What a stream is doing, and why.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Status {
    /// It is asking its token source.
    Authorizing,
    /// A subscription's store is loading the checkpoint.
    LoadingCheckpoint,
    /// It is fetching events, or waits until one more API call may be made: see
    /// [`max_api_calls`](crate::LongPollClientBuilder::max_api_calls).
    Fetching,
    /// It is asking Box for its realtime servers, or waits until it may: see
    /// [`max_server_lists_per_second`](crate::LongPollClientBuilder::max_server_lists_per_second).
    Listing,
    /// It opens a poll at a realtime server whose host could not be reached the last time. It is
    /// [`Listening`](Self::Listening) once the poll has outlived the attempt to connect, at most a minute later, or once the
    /// host has responded.
    #[non_exhaustive]
    Connecting {
        /// Since when it tries.
        since: SystemTime,
    },
    /// It is holding a poll and hears of changes at once. The usual state.
    #[non_exhaustive]
    Listening {
        /// Since when this poll is held.
        since: SystemTime,
    },
    /// A batch was handed out; the stream goes on when the next one is asked for.
    Delivering,
    /// Its next request is due at a time: now, a little later where it asked in vain lately, to look for an event that was
    /// signalled and does not show yet, or for the events of an enterprise, of which nobody tells.
    #[non_exhaustive]
    Waiting {
        /// When it goes on.
        until: SystemTime,
    },
    /// Something failed, and it will try again.
    #[non_exhaustive]
    Retrying {
        /// What failed.
        because: Error,
        /// When it tries again.
        until: SystemTime,
    },
    /// It fetches at an interval and hears of changes later than usual: no realtime server can be used, three polls in a row
    /// were refused or found no connection, the servers could not be listed three times in a row, or something on the way
    /// has responded with 401 to every call for 10 minutes.
    #[non_exhaustive]
    Degraded {
        /// What stands in the way.
        because: Error,
        /// When it fetches next.
        until: SystemTime,
    },
    /// Of a subscription: as many batches as the builder's
    /// [`max_unacknowledged`](crate::LongPollClientBuilder::max_unacknowledged) are delivered and not durable. It goes on when
    /// the oldest of them is acknowledged. A warning is logged once a wait has lasted a minute.
    #[non_exhaustive]
    AwaitingAcks {
        /// How many batches are delivered and not durable. 0: the program has yet to store where the subscription
        /// [starts](crate::Update::Started).
        batches: usize,
    },
    /// Of a subscription: its checkpoint can't be saved, and it will try again. Batches are delivered meanwhile, as many as
    /// the builder's [`max_unacknowledged`](crate::LongPollClientBuilder::max_unacknowledged).
    #[non_exhaustive]
    NotSaving {
        /// What failed.
        because: Error,
        /// When it tries again.
        until: SystemTime,
        /// How many batches are delivered and not durable.
        batches: usize,
    },
    /// It has ended.
    #[non_exhaustive]
    Stopped {
        /// The error that it returned. `None`: its handle stopped it, it was dropped, or it was a query and is at its end.
        because: Option<Error>,
    },
}

/// With errors and all their causes, on one line.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Authorizing => f.write_str("getting an access token"),
            Status::LoadingCheckpoint => f.write_str("loading the checkpoint"),
            Status::Fetching => f.write_str("fetching events"),
            Status::Listing => f.write_str("asking for realtime servers"),
            Status::Connecting { .. } => f.write_str("connecting to a realtime server"),
            Status::Listening { .. } => f.write_str("listening"),
            Status::Delivering => f.write_str("delivering"),
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
