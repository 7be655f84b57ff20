//! A status that others watch.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::mem;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use futures_util::task::AtomicWaker;

use super::Status;
use crate::error::Error;
use crate::position::StartAt;
use crate::sys::lock;

/// Where a stream posts what it is doing.
#[derive(Debug)]
pub(crate) struct StatusWatch {
    snapshot: Mutex<Snapshot>,
    /// Who polls the stream.
    stream: AtomicWaker,
}

#[derive(Debug)]
struct Snapshot {
    status: Status,
    resume_at: StartAt,
    version: u64,
    /// The tasks that wait for the next version, by the numbers of their listeners.
    listeners: BTreeMap<u64, Waker>,
    last_listener: u64,
}

impl Snapshot {
    fn is_stopped(&self) -> bool {
        matches!(self.status, Status::Stopped { .. })
    }

    /// The newest status, unless that version was seen.
    fn news(&self, seen: &mut u64) -> Poll<Option<Status>> {
        if self.version != *seen {
            *seen = self.version;
            return Poll::Ready(Some(self.status.clone()));
        }
        if self.is_stopped() {
            return Poll::Ready(None);
        }
        Poll::Pending
    }

    /// There is something new, and nobody waits any more. Whoever listens from now on sees it.
    fn changed(&mut self) -> News {
        self.version += 1;
        News(mem::take(&mut self.listeners))
    }
}

/// The wakers of tasks that wait for a change. Wake them without a lock: a waker runs code of its executor, which may use
/// the stream.
#[must_use = "nobody hears of the change until they are woken"]
#[derive(Default)]
pub(crate) struct News(BTreeMap<u64, Waker>);

impl News {
    pub(crate) fn wake(self) {
        self.0.into_values().for_each(Waker::wake);
    }
}

/// A call that waits for news.
struct Listener<'a> {
    watch: &'a StatusWatch,
    number: Option<u64>,
}

impl Listener<'_> {
    fn poll(&mut self, seen: &mut u64, cx: &Context<'_>) -> Poll<Option<Status>> {
        // Cloned, and dropped, without the lock.
        let waker = cx.waker().clone();
        let mut snapshot = lock(&self.watch.snapshot);
        let news = snapshot.news(seen);
        let unused = if news.is_ready() {
            Some(waker)
        } else {
            let number = *self.number.get_or_insert_with(|| {
                snapshot.last_listener += 1;
                snapshot.last_listener
            });
            snapshot.listeners.insert(number, waker)
        };
        drop(snapshot);
        drop(unused);
        news
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            // Declared before the lock, and so dropped after it.
            let _unused;
            let mut snapshot = lock(&self.watch.snapshot);
            _unused = snapshot.listeners.remove(&number);
        }
    }
}

impl StatusWatch {
    pub(crate) fn new(status: Status, resume_at: StartAt) -> Self {
        Self {
            snapshot: Mutex::new(Snapshot {
                status,
                resume_at,
                version: 1,
                listeners: BTreeMap::new(),
                last_listener: 0,
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

    /// Waits until there is another version than the one that was seen, and returns its status. `None` once the stream has
    /// stopped and that was seen.
    pub(crate) async fn changed(&self, seen: &mut u64) -> Option<Status> {
        let mut listener = Listener {
            watch: self,
            number: None,
        };
        poll_fn(|cx| listener.poll(seen, cx)).await
    }

    pub(crate) fn is_stopped(&self) -> bool {
        lock(&self.snapshot).is_stopped()
    }

    /// Returns `true` if the stream is stopped. Until then its task is woken when it is, or by [`wake`](Self::wake).
    pub(crate) fn poll_stopped(&self, cx: &Context<'_>) -> bool {
        self.stream.register(cx.waker());
        let stopped = self.is_stopped();
        if stopped {
            // Nobody is woken any more, and a handle may be kept for long.
            self.stream.take();
        }
        stopped
    }

    /// Wakes the stream's task.
    pub(crate) fn wake(&self) {
        self.stream.wake();
    }

    /// What the stream is doing. Once it is stopped, only the position changes. Returns `true` if that is news.
    pub(crate) fn show(&self, status: Status) -> bool {
        let mut snapshot = lock(&self.snapshot);
        if snapshot.is_stopped() || snapshot.status == status {
            return false;
        }
        snapshot.status = status;
        let news = snapshot.changed();
        drop(snapshot);
        news.wake();
        true
    }

    /// Where the stream is. Gives whom to wake.
    pub(crate) fn move_to(&self, resume_at: &StartAt) -> News {
        let mut snapshot = lock(&self.snapshot);
        if snapshot.resume_at == *resume_at {
            return News::default();
        }
        snapshot.resume_at = resume_at.clone();
        if snapshot.is_stopped() {
            return News::default();
        }
        snapshot.changed()
    }

    pub(crate) fn stop(&self, because: Option<Error>) {
        if self.show(Status::Stopped { because }) {
            self.stream.wake();
        }
    }
}
