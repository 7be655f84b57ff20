//! A task inside the program: it has a waker of its own, and is polled only when that was woken.
//!
//! A program that polls all that it waits for, whatever it was woken by, never misses a wake-up that the library forgot: the
//! next timer makes up for it. So each stream, and each time limit, is a task, as it may be under a real executor. Start at
//! [`Task::poll`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Something that is polled only when it was woken. A new one is polled once in any case.
pub(crate) struct Task(Arc<State>);

struct State(Mutex<Inner>);

struct Inner {
    woken: bool,
    /// Whoever polls the task.
    program: Option<Waker>,
}

impl Task {
    pub(crate) fn new() -> Self {
        Self(Arc::new(State(Mutex::new(Inner {
            woken: true,
            program: None,
        }))))
    }

    /// Polls, if the task was woken since it was polled last.
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
