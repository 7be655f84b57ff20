//! Tasks inside the program: each has its own waker, and is polled only after that waker was
//! called.
//!
//! A program could poll everything on every wake-up. Then it would not notice a wake-up that the
//! library forgot, because the next timer would make up for it. So each stream and each time limit
//! is a task here, like under a real executor. A task doesn't run by itself: the program polls it.
//! Start at [`Task::poll`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// A task, which is polled only if it was woken. A new task counts as woken.
pub(crate) struct Task(Arc<State>);

struct State(Mutex<Inner>);

struct Inner {
    woken: bool,
    /// The waker of the program that polls the task.
    program: Option<Waker>,
}

impl Task {
    pub(crate) fn new() -> Self {
        Self(Arc::new(State(Mutex::new(Inner {
            woken: true,
            program: None,
        }))))
    }

    /// Polls, if the task was woken since the last poll.
    pub(crate) fn poll<T>(
        &self,
        cx: &Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let mut inner = self.0.lock();
        inner.program = Some(cx.waker().clone());
        let woken = std::mem::take(&mut inner.woken);
        drop(inner);
        if !woken {
            return Poll::Pending;
        }
        let waker = Waker::from(self.0.clone());
        poll(&mut Context::from_waker(&waker))
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for State {
    fn wake(self: Arc<Self>) {
        let mut inner = self.lock();
        inner.woken = true;
        let program = inner.program.take();
        drop(inner);
        program.into_iter().for_each(Waker::wake);
    }
}
