//! Which streams of a set are to be polled.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// The numbers of the streams that something has happened to, in that order, and who waits for one.
#[derive(Default)]
pub(super) struct Ready {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    numbers: VecDeque<u64>,
    asks: Option<Waker>,
}

impl Ready {
    /// Takes out the stream that has waited for longest. Where none does, wakes this task when one comes.
    pub(super) fn first(&self, asks: &Waker) -> Option<u64> {
        let mut queue = self.queue();
        let first = queue.numbers.pop_front();
        if first.is_none() {
            queue.asks = Some(asks.clone());
        }
        first
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What wakes one stream: it puts the stream in the queue, once until it is polled.
pub(super) struct Bell {
    number: u64,
    rung: AtomicBool,
    ready: Arc<Ready>,
}

impl Bell {
    pub(super) fn new(number: u64, ready: Arc<Ready>) -> Self {
        Self {
            number,
            rung: AtomicBool::new(false),
            ready,
        }
    }

    /// The stream is about to be polled: what happens from now on rings again.
    pub(super) fn hears(&self) {
        self.rung.store(false, Ordering::SeqCst);
    }

    /// Puts the stream in the queue, and gives whom to wake.
    pub(super) fn ring(&self) -> Option<Waker> {
        if self.rung.swap(true, Ordering::SeqCst) {
            return None;
        }
        let mut queue = self.ready.queue();
        queue.numbers.push_back(self.number);
        queue.asks.take()
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(asks) = self.ring() {
            asks.wake();
        }
    }
}
