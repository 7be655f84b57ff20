//! Watching and stopping a stream from outside it.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_lite::future::block_on;
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
        let mut listener = Listener {
            board: &self.board,
            number: None,
        };
        poll_fn(|cx| listener.poll(&mut self.seen, cx)).await
    }

    /// [`changed`](Self::changed) for a thread without async, which is blocked meanwhile.
    pub fn changed_blocking(&mut self) -> Option<Status> {
        block_on(self.changed())
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
    /// Who polls the stream.
    stream: AtomicWaker,
}

#[derive(Debug)]
struct Posted {
    status: Status,
    position: Option<StreamPosition>,
    version: u64,
    /// The tasks that wait for the next version, by the numbers of their listeners.
    listeners: BTreeMap<u64, Waker>,
    last_listener: u64,
}

impl Posted {
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
    board: &'a Board,
    number: Option<u64>,
}

impl Listener<'_> {
    fn poll(&mut self, seen: &mut u64, cx: &Context<'_>) -> Poll<Option<Status>> {
        // Cloned, and dropped, without the lock.
        let waker = cx.waker().clone();
        let mut posted = self.board.posted();
        let news = posted.news(seen);
        let unused = if news.is_ready() {
            Some(waker)
        } else {
            let number = *self.number.get_or_insert_with(|| {
                posted.last_listener += 1;
                posted.last_listener
            });
            posted.listeners.insert(number, waker)
        };
        drop(posted);
        drop(unused);
        news
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            // Declared before the lock, and so dropped after it.
            let _unused;
            let mut posted = self.board.posted();
            _unused = posted.listeners.remove(&number);
        }
    }
}

impl Board {
    pub(crate) fn new(status: Status, position: Option<StreamPosition>) -> Self {
        Self {
            posted: Mutex::new(Posted {
                status,
                position,
                version: 1,
                listeners: BTreeMap::new(),
                last_listener: 0,
            }),
            stream: AtomicWaker::new(),
        }
    }

    pub(crate) fn status(&self) -> Status {
        self.posted().status.clone()
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.posted().is_stopped()
    }

    /// Has the stream's task woken when it is stopped, or [woken](Self::wake) for what else it waits for.
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

    /// Wakes the stream's task.
    pub(crate) fn wake(&self) {
        self.stream.wake();
    }

    pub(crate) fn publish(&self, status: Status, position: Option<&StreamPosition>) {
        self.move_to(position).wake();
        self.show(status);
    }

    /// What the stream is doing. Once it is stopped, only the position changes.
    pub(crate) fn show(&self, status: Status) {
        let mut posted = self.posted();
        if posted.is_stopped() || posted.status == status {
            return;
        }
        posted.status = status;
        let news = posted.changed();
        drop(posted);
        news.wake();
    }

    /// Where the stream is. Gives whom to wake.
    pub(crate) fn move_to(&self, position: Option<&StreamPosition>) -> News {
        let mut posted = self.posted();
        if posted.position.as_ref() == position {
            return News::default();
        }
        posted.position = position.cloned();
        if posted.is_stopped() {
            return News::default();
        }
        posted.changed()
    }

    pub(crate) fn stop(&self, because: Option<Error>) {
        let mut posted = self.posted();
        if posted.is_stopped() {
            return;
        }
        posted.status = Status::Stopped { because };
        let news = posted.changed();
        drop(posted);
        news.wake();
        self.stream.wake();
    }

    fn posted(&self) -> MutexGuard<'_, Posted> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::mpsc;
    use std::task::Wake;
    use std::thread;
    use std::time::Duration;

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

    /// A task that is polled inside its waker, as some executors do, and listens to the stream.
    struct Reentrant(StreamHandle);

    impl Reentrant {
        fn listens(&self) {
            let mut handle = self.0.clone();
            let changed = pin!(handle.changed());
            let _ = changed.poll(&mut Context::from_waker(Waker::noop()));
        }
    }

    impl Wake for Reentrant {
        fn wake(self: Arc<Self>) {
            self.listens();
        }
    }

    impl Drop for Reentrant {
        fn drop(&mut self) {
            self.listens();
        }
    }

    /// Longer than any of it takes, where nothing waits for itself.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn board_is_unlocked_while_it_wakes_or_drops_a_waker() {
        let (done, outcome) = mpsc::channel();
        thread::spawn(move || {
            let board = Arc::new(Board::new(Status::Fetching, None));
            let mut handle = StreamHandle::new(board);
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
            done.send("a listener heard of it").unwrap();
        });
        let mut steps = Vec::new();
        for _ in 0..4 {
            let step = outcome.recv_timeout(PATIENCE);
            steps.push(step.unwrap_or_else(|_| panic!("it hangs after {steps:?}")));
        }
    }
}
