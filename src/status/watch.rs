//! The status of a stream, published to its handles.
//!
//! The stream sets its status and position in a [`StatusWatch`]. Any number of listeners wait for
//! the next version, and the stream waits there for a stop. A listener sees the newest version, not
//! each one. Others wait until the stream is complete up to a time, which is no version of its own.
//! No waker is cloned, woken or dropped under the lock, because a waker runs code of its executor,
//! which may come back here.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::mem;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use futures_util::task::AtomicWaker;

use super::Status;
use crate::error::{Error, ErrorKind};
use crate::position::StartAt;
use crate::sys::lock;

/// The current status and position of a stream.
#[derive(Debug)]
pub(crate) struct StatusWatch {
    snapshot: Mutex<Snapshot>,
    /// The task that polls the stream.
    stream: AtomicWaker,
}

#[derive(Debug)]
struct Snapshot {
    status: Status,
    resume_at: StartAt,
    /// The time up to which the consumer has handled every event.
    complete_until: Option<SystemTime>,
    /// A number that grows with each change of the status or the position, from 1 on.
    version: u64,
    /// The tasks that wait. `None` until one does, to save memory: few of many streams are watched.
    tasks: Option<Box<Tasks>>,
}

/// The tasks that wait for a change of a stream.
#[derive(Debug, Default)]
struct Tasks {
    /// The tasks that wait for the next version, by the numbers of their listeners.
    listeners: BTreeMap<u64, Waker>,
    /// The tasks that wait until the stream is complete up to a time, by that time and by the
    /// numbers of their listeners.
    waiters: BTreeMap<(SystemTime, u64), Waker>,
    last_listener: u64,
}

impl Snapshot {
    fn is_stopped(&self) -> bool {
        matches!(self.status, Status::Stopped { .. })
    }

    /// Returns the newest status, unless its version was seen.
    fn unseen(&self, seen: &mut u64) -> Poll<Option<Status>> {
        if self.version != *seen {
            *seen = self.version;
            return Poll::Ready(Some(self.status.clone()));
        }
        if self.is_stopped() {
            return Poll::Ready(None);
        }
        Poll::Pending
    }

    /// Returns `Ok` once the stream is complete up to this time, and an error if it has stopped
    /// before that.
    fn complete(&self, time: SystemTime) -> Poll<Result<(), Error>> {
        if self.complete_until >= Some(time) {
            return Poll::Ready(Ok(()));
        }
        match &self.status {
            Status::Stopped { because } => Poll::Ready(Err(because.clone().unwrap_or_else(|| {
                Error::new(
                    ErrorKind::Stopped,
                    "the stream has ended before it was complete up to the awaited time",
                )
            }))),
            _ => Poll::Pending,
        }
    }

    /// Starts a new version, and returns the wakers of the listeners that wait for one. A stop also
    /// ends the waits for a time. A listener that polls from now on sees the version.
    fn changed(&mut self) -> Wakers {
        self.version += 1;
        let is_stopped = self.is_stopped();
        let Some(tasks) = &mut self.tasks else {
            return Wakers::default();
        };
        let mut wakers = Wakers(mem::take(&mut tasks.listeners).into_values().collect());
        if is_stopped {
            wakers.0.extend(mem::take(&mut tasks.waiters).into_values());
        }
        wakers
    }
}

/// The wakers of tasks that wait for a change. Wake them without a lock: a waker runs code of its
/// executor, which may use the stream.
#[must_use = "no listener sees the change until it is woken"]
#[derive(Default)]
pub(crate) struct Wakers(Vec<Waker>);

impl Wakers {
    pub(crate) fn wake(self) {
        self.0.into_iter().for_each(Waker::wake);
    }
}

/// A call that waits for the next version, or until the stream is complete up to a time.
struct Listener<'a> {
    watch: &'a StatusWatch,
    /// The time, if the call waits for one.
    time: Option<SystemTime>,
    number: Option<u64>,
}

impl<'a> Listener<'a> {
    fn new(watch: &'a StatusWatch, time: Option<SystemTime>) -> Self {
        Self {
            watch,
            time,
            number: None,
        }
    }

    /// Returns the outcome if `outcome` finds one. If it does not, the task is woken to check
    /// again.
    fn poll<R>(&mut self, cx: &Context<'_>, outcome: impl FnOnce(&Snapshot) -> Poll<R>) -> Poll<R> {
        // The waker is cloned here, and an old one dropped below, without the lock.
        let waker = cx.waker().clone();
        let mut snapshot = lock(&self.watch.snapshot);
        let outcome = outcome(&snapshot);
        let unused = if outcome.is_ready() {
            Some(waker)
        } else {
            let tasks = snapshot.tasks.get_or_insert_default();
            let number = *self.number.get_or_insert_with(|| {
                tasks.last_listener += 1;
                tasks.last_listener
            });
            match self.time {
                None => tasks.listeners.insert(number, waker),
                Some(time) => tasks.waiters.insert((time, number), waker),
            }
        };
        drop(snapshot);
        drop(unused);
        outcome
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            // Declared before the lock, and therefore dropped after it.
            let _unused;
            let mut snapshot = lock(&self.watch.snapshot);
            _unused = snapshot.tasks.as_mut().map(|tasks| match self.time {
                None => tasks.listeners.remove(&number),
                Some(time) => tasks.waiters.remove(&(time, number)),
            });
        }
    }
}

impl StatusWatch {
    pub(crate) fn new(status: Status, resume_at: StartAt) -> Self {
        Self {
            snapshot: Mutex::new(Snapshot {
                status,
                resume_at,
                complete_until: None,
                version: 1,
                tasks: None,
            }),
            stream: AtomicWaker::new(),
        }
    }

    pub(crate) fn status(&self) -> Status {
        lock(&self.snapshot).status.clone()
    }

    pub(crate) fn resume_at(&self) -> StartAt {
        lock(&self.snapshot).resume_at.clone()
    }

    /// Waits for a version other than the one that was seen, and returns its status. Returns `None`
    /// once the stream has stopped and that was seen.
    pub(crate) async fn changed(&self, seen: &mut u64) -> Option<Status> {
        let mut listener = Listener::new(self, None);
        poll_fn(|cx| listener.poll(cx, |snapshot| snapshot.unseen(seen))).await
    }

    pub(crate) fn complete_until(&self) -> Option<SystemTime> {
        lock(&self.snapshot).complete_until
    }

    /// Waits until the stream is complete up to a time. Returns an error if it stops before that.
    pub(crate) async fn wait_until_complete(&self, time: SystemTime) -> Result<(), Error> {
        let mut listener = Listener::new(self, Some(time));
        poll_fn(|cx| listener.poll(cx, |snapshot| snapshot.complete(time))).await
    }

    pub(crate) fn is_stopped(&self) -> bool {
        lock(&self.snapshot).is_stopped()
    }

    /// Returns `true` if the stream is stopped. If it is not, the task is woken when it stops, or
    /// by [`wake`](Self::wake).
    pub(crate) fn poll_stopped(&self, cx: &Context<'_>) -> bool {
        self.stream.register(cx.waker());
        let stopped = self.is_stopped();
        if stopped {
            // The task is not woken any more. A handle may live for long, and must not keep it.
            self.stream.take();
        }
        stopped
    }

    /// Wakes the stream's task.
    pub(crate) fn wake(&self) {
        self.stream.wake();
    }

    /// Sets the status, unless the stream is stopped. Returns `true` if it has changed.
    pub(crate) fn show(&self, status: Status) -> bool {
        let mut snapshot = lock(&self.snapshot);
        if snapshot.is_stopped() || snapshot.status == status {
            return false;
        }
        snapshot.status = status;
        let wakers = snapshot.changed();
        drop(snapshot);
        wakers.wake();
        true
    }

    /// Sets the position, and returns the wakers of the tasks to wake. The position can change even
    /// after a stop.
    pub(crate) fn move_to(&self, resume_at: &StartAt) -> Wakers {
        let mut snapshot = lock(&self.snapshot);
        if snapshot.resume_at == *resume_at {
            return Wakers::default();
        }
        snapshot.resume_at = resume_at.clone();
        if snapshot.is_stopped() {
            return Wakers::default();
        }
        snapshot.changed()
    }

    /// Records that the stream is complete up to a time, unless it is already. Returns the wakers
    /// of the tasks that wait for that. The time can move even after a stop.
    pub(crate) fn completed(&self, until: Option<SystemTime>) -> Wakers {
        let mut snapshot = lock(&self.snapshot);
        let Some(time) = until.filter(|_| until > snapshot.complete_until) else {
            return Wakers::default();
        };
        snapshot.complete_until = until;
        let Some(tasks) = &mut snapshot.tasks else {
            return Wakers::default();
        };
        let later = tasks.waiters.split_off(&(time, u64::MAX));
        let reached = mem::replace(&mut tasks.waiters, later);
        Wakers(reached.into_values().collect())
    }

    /// Sets the status of a stream that has ended, and wakes its task. Returns `true` unless it has
    /// ended before.
    pub(crate) fn stop(&self, because: Option<Error>) -> bool {
        let has_changed = self.show(Status::Stopped { because });
        if has_changed {
            self.stream.wake();
        }
        has_changed
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
    use std::time::Duration;

    use super::*;

    /// A task that counts its wake-ups.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Task {
        fn polls<F: Future>(self: &Arc<Self>, future: Pin<&mut F>) -> Poll<F::Output> {
            future.poll(&mut Context::from_waker(&self.clone().into()))
        }

        fn wake_ups(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    fn watch() -> StatusWatch {
        StatusWatch::new(Status::Fetching, StartAt::Now)
    }

    fn second(n: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(n)
    }

    #[test]
    fn waiter_is_woken_when_its_time_is_reached_and_not_before() {
        let watch = watch();
        let (first, second_task) = (Arc::new(Task::default()), Arc::new(Task::default()));
        let mut waits = pin!(watch.wait_until_complete(second(10)));
        let mut waits_longer = pin!(watch.wait_until_complete(second(11)));
        assert!(first.polls(waits.as_mut()).is_pending());
        assert!(second_task.polls(waits_longer.as_mut()).is_pending());

        watch.completed(Some(second(9))).wake();
        watch.show(Status::Authorizing);
        watch.move_to(&StartAt::Oldest).wake();
        assert_eq!((first.wake_ups(), second_task.wake_ups()), (0, 0));

        watch.completed(Some(second(10))).wake();
        assert_eq!((first.wake_ups(), second_task.wake_ups()), (1, 0));
        assert_eq!(first.polls(waits.as_mut()), Poll::Ready(Ok(())));
        assert!(second_task.polls(waits_longer.as_mut()).is_pending());

        watch.completed(Some(second(60))).wake();
        assert_eq!(second_task.wake_ups(), 1);
        assert_eq!(
            second_task.polls(waits_longer.as_mut()),
            Poll::Ready(Ok(()))
        );
    }

    #[test]
    fn moved_time_is_no_change_of_the_status() {
        let watch = watch();
        let task = Arc::new(Task::default());
        let mut seen = 1;
        let mut changed = pin!(watch.changed(&mut seen));
        assert!(task.polls(changed.as_mut()).is_pending());
        watch.completed(Some(second(10))).wake();
        assert_eq!(task.wake_ups(), 0);
        assert!(task.polls(changed.as_mut()).is_pending());
        watch.show(Status::Authorizing);
        assert_eq!(task.wake_ups(), 1);
        assert!(task.polls(changed.as_mut()).is_ready());
    }

    #[test]
    fn stop_wakes_each_waiter_with_the_error_of_the_stream() {
        for because in [None, Some(Error::config("a rule"))] {
            let watch = watch();
            let task = Arc::new(Task::default());
            let mut waits = pin!(watch.wait_until_complete(second(10)));
            assert!(task.polls(waits.as_mut()).is_pending());
            assert!(watch.stop(because.clone()));
            assert_eq!(task.wake_ups(), 1);
            let Poll::Ready(Err(error)) = task.polls(waits.as_mut()) else {
                panic!("the wait goes on, or succeeds");
            };
            let kind = because.map_or(ErrorKind::Stopped, |error| error.kind());
            assert_eq!(error.kind(), kind);
        }
    }

    #[test]
    fn reached_time_counts_even_when_the_stream_has_stopped() {
        let watch = watch();
        watch.completed(Some(second(10))).wake();
        assert!(watch.stop(None));
        let task = Arc::new(Task::default());
        let mut waits = pin!(watch.wait_until_complete(second(10)));
        assert_eq!(task.polls(waits.as_mut()), Poll::Ready(Ok(())));
    }

    #[test]
    fn dropped_wait_leaves_no_waker_behind() {
        let watch = watch();
        let task = Arc::new(Task::default());
        {
            let mut waits = pin!(watch.wait_until_complete(second(10)));
            assert!(task.polls(waits.as_mut()).is_pending());
            assert!(Arc::strong_count(&task) > 1);
        }
        assert_eq!(Arc::strong_count(&task), 1);
    }

    #[test]
    fn time_never_goes_back() {
        let watch = watch();
        for time in [Some(second(10)), Some(second(9)), None] {
            watch.completed(time).wake();
            assert_eq!(watch.complete_until(), Some(second(10)));
        }
    }
}
