//! Watching and stopping a stream from outside it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use event_listener::{Event, Listener};
use futures_util::task::AtomicWaker;

use crate::error::Error;
use crate::position::StreamPosition;
use crate::status::Status;

/// Watches and stops a stream, from any task or thread. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct StreamHandle {
    board: Arc<Board>,
    seen: u64,
}

impl StreamHandle {
    pub(crate) fn new(board: Arc<Board>) -> Self {
        Self { board, seen: 0 }
    }

    /// What the stream is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        self.board.status()
    }

    /// Where to resume: the end of what was handled when the stream was last polled. `None` until a start at `now` is
    /// resolved, or the first page of a start at the oldest event is handled.
    #[must_use]
    pub fn position(&self) -> Option<StreamPosition> {
        self.board.posted().position.clone()
    }

    #[cfg(feature = "blocking")]
    pub(crate) fn is_stopped(&self) -> bool {
        self.board.is_stopped()
    }

    #[cfg(feature = "blocking")]
    pub(crate) fn fail(&self, because: &Error) {
        self.board.stop(Some(because.clone()));
    }

    /// Waits until the status or the position has changed since this handle's last call, and gives the newest status;
    /// what came and went in between is left out. The first call on a handle that a stream gave returns at once. `None`
    /// once the stream has ended and that was told.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn changed(&mut self) -> Option<Status> {
        loop {
            let changed = self.board.changed.listen();
            if let Poll::Ready(news) = self.news() {
                return news;
            }
            changed.await;
        }
    }

    /// [`changed`](Self::changed) for a thread without async, which is blocked meanwhile.
    pub fn changed_blocking(&mut self) -> Option<Status> {
        loop {
            let changed = self.board.changed.listen();
            if let Poll::Ready(news) = self.news() {
                return news;
            }
            changed.wait();
        }
    }

    fn news(&mut self) -> Poll<Option<Status>> {
        let posted = self.board.posted();
        if posted.version != self.seen {
            self.seen = posted.version;
            return Poll::Ready(Some(posted.status.clone()));
        }
        if posted.is_stopped() {
            return Poll::Ready(None);
        }
        Poll::Pending
    }

    /// Ends the stream: its task is woken, its request is dropped there, and its next item is `None`. Events that were not
    /// handed out yet are left out, and [`position`](Self::position) stays before them.
    pub fn stop(&self) {
        self.board.stop(None);
    }
}

/// Where a stream posts what it is doing.
#[derive(Debug)]
pub(crate) struct Board {
    posted: Mutex<Posted>,
    changed: Event,
    /// Who polls the stream.
    stream: AtomicWaker,
    told_to_look: AtomicBool,
}

#[derive(Debug)]
struct Posted {
    status: Status,
    position: Option<StreamPosition>,
    version: u64,
}

impl Posted {
    fn is_stopped(&self) -> bool {
        matches!(self.status, Status::Stopped { .. })
    }
}

impl Board {
    pub(crate) fn new(status: Status, position: Option<StreamPosition>) -> Self {
        Self {
            posted: Mutex::new(Posted {
                status,
                position,
                version: 1,
            }),
            changed: Event::new(),
            stream: AtomicWaker::new(),
            told_to_look: AtomicBool::new(false),
        }
    }

    pub(crate) fn status(&self) -> Status {
        self.posted().status.clone()
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.posted().is_stopped()
    }

    /// Has the stream's task woken when it is stopped, or told to look at the clocks.
    pub(crate) fn register(&self, cx: &Context<'_>) {
        self.stream.register(cx.waker());
    }

    /// Whether the stream is stopped. Where it isn't yet, its task is woken when it is.
    pub(crate) fn poll_stopped(&self, cx: &Context<'_>) -> bool {
        self.register(cx);
        let stopped = self.is_stopped();
        if stopped {
            // Nobody is woken any more, and a handle may be kept for long.
            self.stream.take();
        }
        stopped
    }

    /// Has the stream look at the clocks as soon as it is polled, and wakes its task.
    pub(crate) fn tell_to_look(&self) {
        self.told_to_look.store(true, Ordering::Release);
        self.stream.wake();
    }

    /// Whether the stream is to look at the clocks. It is asked once.
    pub(crate) fn is_told_to_look(&self) -> bool {
        self.told_to_look.swap(false, Ordering::Acquire)
    }

    pub(crate) fn publish(&self, status: Status, position: Option<&StreamPosition>) {
        self.move_to(position);
        self.show(status);
    }

    /// What the stream is doing. Once it is stopped, only the position changes.
    pub(crate) fn show(&self, status: Status) {
        let mut posted = self.posted();
        if posted.is_stopped() || posted.status == status {
            return;
        }
        posted.status = status;
        self.told(posted);
    }

    /// Where the stream is.
    pub(crate) fn move_to(&self, position: Option<&StreamPosition>) {
        let mut posted = self.posted();
        if posted.position.as_ref() == position {
            return;
        }
        posted.position = position.cloned();
        if !posted.is_stopped() {
            self.told(posted);
        }
    }

    fn told(&self, mut posted: MutexGuard<'_, Posted>) {
        posted.version += 1;
        drop(posted);
        // To notify nobody takes memory as well. Whoever listens from now on sees the new version.
        if self.changed.total_listeners() > 0 {
            self.changed.notify(usize::MAX);
        }
    }

    pub(crate) fn stop(&self, because: Option<Error>) {
        let mut posted = self.posted();
        if posted.is_stopped() {
            return;
        }
        posted.status = Status::Stopped { because };
        self.told(posted);
        self.stream.wake();
    }

    fn posted(&self) -> MutexGuard<'_, Posted> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Wake, Waker};

    use super::*;

    struct Task;

    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn a_handle_that_is_kept_does_not_keep_the_task_of_a_stopped_stream() {
        let board = Arc::new(Board::new(Status::Fetching, None));
        let (handle, task) = (StreamHandle::new(board.clone()), Arc::new(Task));
        let waker = Waker::from(task.clone());
        assert!(!board.poll_stopped(&Context::from_waker(&waker)));
        assert!(Arc::strong_count(&task) > 2);
        handle.stop();
        assert!(board.poll_stopped(&Context::from_waker(&waker)));
        drop(waker);
        assert_eq!(Arc::strong_count(&task), 1);
    }
}
