//! The numbers of a stream for programs that use no metrics library.

use std::time::SystemTime;

/// The numbers of one stream since it was created, and the times that a health check needs.
///
/// [`StreamHandle::statistics`](crate::StreamHandle::statistics) returns them, and so do the streams
/// themselves. The counters never go back and are never reset: a new stream begins at 0. They count
/// every request and every failure, also those between two results of
/// [`changed`](crate::StreamHandle::changed). All times are by the client's wall clock, except for
/// [`newest_event_at`](Self::newest_event_at).
///
/// [`Status`](crate::Status) says what the stream does at this moment. The [page on
/// monitoring](crate::monitoring) has a health check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// The lists of realtime servers, `OPTIONS /events`.
    pub lists: Requests,
    /// The polls of realtime servers.
    pub polls: Requests,
    /// The requests for a page of events, `GET /events`.
    pub fetches: Requests,
    /// The number of bytes in the bodies of all responses, as they were received. A compressed body
    /// counts with its compressed size.
    pub bytes: u64,
    /// The number of batches that were delivered.
    pub batches: u64,
    /// The number of events that were delivered.
    pub events: u64,
    /// The number of events that Box sent although the stream had delivered them before.
    pub repeats: u64,
    /// The number of failures that were followed by a retry: of requests, of the token source, and of
    /// the store of a subscription.
    pub retries: u64,
    /// The number of times that requests stopped working, and the stream began to retry them.
    /// Several failures in a row count once.
    pub failures: u64,
    /// The number of times that the stream worked again after that. If it is less than
    /// [`failures`](Self::failures), the stream is retrying now, or has stopped.
    pub recoveries: u64,
    /// The number of batches of a [`Subscription`](crate::Subscription) that are delivered and not
    /// durable. It is 0 for other streams.
    pub unacknowledged: usize,
    /// The time at which Box created the newest of the delivered events, by Box's clock.
    pub newest_event_at: Option<SystemTime>,
    /// The time at which the last batch was delivered.
    pub last_delivery_at: Option<SystemTime>,
    /// The time at which the last request succeeded. A request is under way or due later, so this
    /// time is up to 20 minutes old on an idle account: a poll lasts about 10 minutes.
    pub last_success_at: Option<SystemTime>,
    /// The time since which requests succeed: the first success of the stream, or of the last
    /// recovery. `None` before that, while the stream retries, and once it has stopped.
    pub connected_since: Option<SystemTime>,
    /// The time at which the stream began to retry. `None` unless it is retrying now. It stays the
    /// same from the first failure to the recovery, however many attempts are made.
    pub failing_since: Option<SystemTime>,
    /// The last time at which Box had no more events than those that the program had handled.
    /// `None` until the stream has caught up for the first time.
    pub caught_up_at: Option<SystemTime>,
    /// `true` if that was the case when the last page arrived, and no call has failed since. It is
    /// `false` while the program handles a batch.
    pub is_caught_up: bool,
    /// The time up to which every event is handled: see
    /// [`StreamHandle::complete_until`](crate::StreamHandle::complete_until).
    pub complete_until: Option<SystemTime>,
    /// The current wait of the stream. `None` if it does not wait, or waits for events.
    pub wait: Option<Wait>,
}

impl Statistics {
    /// Returns the number of requests that Box refused because of its rate limits.
    #[must_use]
    pub fn rate_limited(&self) -> u64 {
        let all = [&self.lists, &self.polls, &self.fetches];
        all.iter().map(|requests| requests.rate_limited).sum()
    }

    /// Returns the number of all requests that have ended.
    #[must_use]
    pub fn requests(&self) -> u64 {
        let all = [&self.lists, &self.polls, &self.fetches];
        all.iter().map(|requests| requests.ended()).sum()
    }
}

/// The numbers of requests of one kind, by their outcome. A request that is in flight is not counted
/// yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Requests {
    /// The requests with a response that the stream could use. A poll that was held until its time
    /// limit, or until a proxy cut it, counts here too, because that is usual.
    pub succeeded: u64,
    /// The requests that failed in any other way, such as a lost connection, a status 500, or a 401
    /// because the token had expired.
    pub failed: u64,
    /// The requests that were refused with the status 429, or with 503 and a `Retry-After`.
    pub rate_limited: u64,
    /// The requests that the stream dropped before their response: it was stopped or dropped, or
    /// the machine was suspended.
    pub cancelled: u64,
}

impl Requests {
    /// Returns the number of all these requests.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.succeeded + self.failed + self.rate_limited + self.cancelled
    }
}

/// A wait of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wait {
    /// The reason for the wait.
    pub cause: WaitCause,
    /// The time at which the wait began.
    pub since: SystemTime,
    /// The time at which the wait ends, if that is known.
    pub until: Option<SystemTime>,
}

/// The reason why a stream waits, other than for events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WaitCause {
    /// An operation failed, and the stream will retry it. If this lasts for minutes, look at the
    /// [status](crate::Status::Retrying) for the error.
    Retry,
    /// Box refused a request because of its rate limits. The stream respects the `Retry-After` of
    /// the response. If this occurs often, another program uses up the limits.
    RateLimit,
    /// Recent requests have used up the [pace](crate::LongPollClientBuilder::pace) of the stream.
    Pace,
    /// A subscription [waits for acknowledgements](crate::Status::AwaitingAcks): your program is
    /// slower than Box, or stuck.
    Acknowledgement,
    /// The stream can't listen, and fetches at the [degraded interval](crate::Status::Degraded).
    Degraded,
    /// The stream waits for its token source, or for its next attempt to get a token.
    Token,
}

impl WaitCause {
    /// The number of causes.
    #[cfg(feature = "metrics")]
    pub(super) const ALL: usize = Self::Token as usize + 1;

    /// Returns the name of the cause in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::RateLimit => "rate_limit",
            Self::Pace => "pace",
            Self::Acknowledgement => "acknowledgement",
            Self::Degraded => "degraded",
            Self::Token => "token",
        }
    }
}
