//! The handle that watches and stops a stream from outside.
//!
//! A stream is usually borrowed by the loop that polls it. A [`StreamHandle`] gives other tasks and
//! threads its status and position, and can stop it. The handle never polls the stream.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use futures_lite::future::block_on;

use crate::error::Error;
use crate::position::StartAt;
use crate::status::Status;
use crate::telemetry::{Statistics, Telemetry};

/// A handle that watches and stops a stream from any task or thread. Cloning is cheap.
#[derive(Clone)]
pub struct StreamHandle {
    telemetry: Arc<Telemetry>,
    /// The version of the status that [`changed`](Self::changed) returned last. 0 before the first
    /// call.
    seen: u64,
}

impl StreamHandle {
    pub(crate) fn new(telemetry: Arc<Telemetry>) -> Self {
        Self { telemetry, seen: 0 }
    }

    /// Returns the current status of the stream.
    #[must_use]
    pub fn status(&self) -> Status {
        self.telemetry.watch.status()
    }

    /// Returns the numbers of the stream since it was created, and the times that a health check
    /// needs.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.telemetry.statistics()
    }

    /// Returns the position to resume from: the end of what was handled when the stream was last
    /// polled. For a [`Subscription`](crate::Subscription), it is the end of what is acknowledged
    /// and saved.
    ///
    /// For a start at `now`, it is [`StartAt::Now`] until Box has returned a position. For a start
    /// at `oldest`, it is [`StartAt::Oldest`] until the first page is handled. For a start at a
    /// [time](StartAt::Since), it is that time or a later one until the first page of live events
    /// is handled. Store it with `to_string` and read it back with `parse`.
    #[must_use]
    pub fn resume_at(&self) -> StartAt {
        self.telemetry.watch.resume_at()
    }

    /// Returns a time: every event that was created before it has been handled, if Box showed each
    /// of them within the [`event_delay`](crate::LongPollClientBuilder::event_delay), which is 5
    /// minutes by default. `None` until a page proves such a time. The time never goes back.
    ///
    /// - The time is compared with the events' [`created_at`](crate::Event::created_at). It is a
    ///   time on Box's clock, as the `Date` of its responses shows it. If a response has no `Date`,
    ///   the client's clock takes its place.
    /// - An event counts as handled under the same conditions as for
    ///   [`resume_at`](Self::resume_at). For a [`Subscription`](crate::Subscription), it counts
    ///   once it and all events before it are acknowledged. The acknowledgement may not be durable
    ///   yet, so events before this time may be delivered again after a restart.
    /// - Only events after the start of this stream count. After a restart from a checkpoint or a
    ///   position, the time is `None` at first. It does not cover events that Box no longer kept at
    ///   the start: see [`PossibleGap`](crate::PossibleGap).
    /// - After a start at [`StartAt::Since`], the time moves each time that a slice of the past is
    ///   handled. It then covers the events since that start, even after a restart from a
    ///   checkpoint.
    /// - For a [query](crate::enterprise::AdminLogsQuery) with any other start, the time is `None`
    ///   until the query has ended. For every query, it is at most the end of the range.
    ///
    /// Box promises no limit for the delay. It may show an event later than you expect, and the
    /// stream then delivers an event that is older than this time. A greater `event_delay` makes
    /// this rarer, but cannot rule it out.
    ///
    /// Only a response to a fetch proves a time, and no proof reaches further than the time of its
    /// request. While there are new events, a stream fetches all the time. An idle stream of an
    /// enterprise's events fetches at its
    /// [interval](crate::enterprise::AdminLogsStreaming::longest_interval), at least every 60 s by
    /// default. An idle stream of a user's events fetches when a poll ends, about every 10 minutes.
    /// With [`max_staleness`](crate::LongPollClientBuilder::max_staleness), it fetches at least
    /// that often. A stream that nobody polls proves nothing.
    #[must_use]
    pub fn complete_until(&self) -> Option<SystemTime> {
        self.telemetry.watch.complete_until()
    }

    /// Waits until [`complete_until`](Self::complete_until) has reached a time. It is for jobs that
    /// need all events up to a time, such as a report of the last hour. Another task or thread has
    /// to poll the stream meanwhile.
    ///
    /// The wait ends with the first fetch after the time and the
    /// [`event_delay`](crate::LongPollClientBuilder::event_delay) have passed. It has no time
    /// limit.
    ///
    /// ```
    /// # use std::time::SystemTime;
    /// # use box_longpoll::{Error, StreamHandle};
    /// # async fn count_the_events_before(_: SystemTime) {}
    /// async fn report(handle: StreamHandle, midnight: SystemTime) -> Result<(), Error> {
    ///     handle.wait_until_complete(midnight).await?;
    ///     count_the_events_before(midnight).await;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// If the stream ends before that, returns the stream's error. Returns [`ErrorKind::Stopped`]
    /// if the stream ended without one: a [handle](Self::stop) stopped it, it was dropped, or it
    /// was a query and is complete.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost if the future is dropped.
    ///
    /// [`ErrorKind::Stopped`]: crate::ErrorKind::Stopped
    pub async fn wait_until_complete(&self, time: SystemTime) -> Result<(), Error> {
        self.telemetry.watch.wait_until_complete(time).await
    }

    /// Blocks the thread until [`complete_until`](Self::complete_until) has reached a time. It is
    /// [`wait_until_complete`](Self::wait_until_complete) for threads without async. Another thread
    /// has to poll the stream meanwhile. To end the wait early, [stop](Self::stop) the stream.
    ///
    /// # Errors
    ///
    /// If the stream ends before that, returns the stream's error, or
    /// [`ErrorKind::Stopped`](crate::ErrorKind::Stopped) if it ended without one.
    pub fn wait_until_complete_blocking(&self, time: SystemTime) -> Result<(), Error> {
        block_on(self.wait_until_complete(time))
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.telemetry.watch.is_stopped()
    }

    pub(crate) fn fail(&self, because: &Error) {
        self.telemetry.stop(Some(because), None);
    }

    /// Waits until the status or the position has changed since this handle's last call, and
    /// returns the newest status. Changes in between are skipped. The first call on a handle that a
    /// stream returned completes at once. After the stream has ended and this method has returned
    /// its last status, it returns `None`.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn changed(&mut self) -> Option<Status> {
        self.telemetry.watch.changed(&mut self.seen).await
    }

    /// Blocks the thread until the status or the position has changed. It is
    /// [`changed`](Self::changed) for threads without async.
    pub fn changed_blocking(&mut self) -> Option<Status> {
        block_on(self.changed())
    }

    /// Ends the stream. The task that polls it is woken and drops the requests in flight. The next
    /// item of the stream is `None`. Events that were not delivered yet are dropped, and
    /// [`resume_at`](Self::resume_at) stays before them.
    pub fn stop(&self) {
        self.telemetry.stop(None, None);
    }
}

impl fmt::Debug for StreamHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamHandle")
            .field("status", &self.status())
            .field("resume_at", &self.resume_at())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::mpsc;
    use std::task::{Context, Wake, Waker};
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn telemetry() -> Arc<Telemetry> {
        let (status, start) = (Status::Fetching, StartAt::Now);
        Arc::new(Telemetry::new(&Arc::default(), None, status, start))
    }

    struct Task;

    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn handle_keeps_no_task_alive_when_its_stream_has_stopped() {
        let telemetry = telemetry();
        let (handle, task) = (StreamHandle::new(telemetry.clone()), Arc::new(Task));
        let watch = &telemetry.watch;
        let waker = Waker::from(task.clone());
        assert!(!watch.poll_stopped(&Context::from_waker(&waker)));
        assert!(Arc::strong_count(&task) > 2);
        handle.stop();
        assert!(watch.poll_stopped(&Context::from_waker(&waker)));
        drop(waker);
        assert_eq!(Arc::strong_count(&task), 1);
    }

    /// A waker that polls a listener of the same stream when it is woken or dropped, as some
    /// executors do.
    struct Reentrant(StreamHandle);

    impl Reentrant {
        fn poll_listener(&self) {
            let mut handle = self.0.clone();
            let changed = pin!(handle.changed());
            let _ = changed.poll(&mut Context::from_waker(Waker::noop()));
        }
    }

    impl Wake for Reentrant {
        fn wake(self: Arc<Self>) {
            self.poll_listener();
        }
    }

    impl Drop for Reentrant {
        fn drop(&mut self) {
            self.poll_listener();
        }
    }

    /// A time limit that the test reaches only if it deadlocks.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn watch_is_unlocked_while_it_wakes_or_drops_a_waker() {
        let (done, outcome) = mpsc::channel();
        thread::spawn(move || {
            let mut handle = StreamHandle::new(telemetry());
            assert_eq!(block_on(handle.changed()), Some(Status::Fetching));
            let other = handle.clone();
            let reentrant = || Waker::from(Arc::new(Reentrant(other.clone())));
            {
                let mut changed = pin!(handle.changed());
                for _ in 0..2 {
                    let polled = changed
                        .as_mut()
                        .poll(&mut Context::from_waker(&reentrant()));
                    assert!(polled.is_pending());
                }
                done.send("a waker was replaced").unwrap();
            }
            done.send("a listener was dropped").unwrap();
            let mut changed = pin!(handle.changed());
            let polled = changed
                .as_mut()
                .poll(&mut Context::from_waker(&reentrant()));
            assert!(polled.is_pending());
            other.stop();
            done.send("a listener was woken").unwrap();
            let polled = changed.poll(&mut Context::from_waker(&reentrant()));
            assert!(polled.is_ready());
            done.send("a listener saw the stop").unwrap();
        });
        let mut steps = Vec::new();
        for _ in 0..4 {
            let step = outcome.recv_timeout(PATIENCE);
            steps.push(step.unwrap_or_else(|_| panic!("it hangs after {steps:?}")));
        }
    }
}
