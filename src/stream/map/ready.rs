//! Which streams of a set are to be polled.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};

use crate::sys::lock;

/// The numbers of the streams that something has happened to, in that order, and who waits for one.
#[derive(Default)]
pub(super) struct ReadyQueue {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    numbers: VecDeque<u64>,
    asks: Option<Waker>,
}

impl ReadyQueue {
    /// Takes out the stream that has waited for longest. Where none does, wakes this task when one comes.
    pub(super) fn first(&self, asks: &Waker) -> Option<u64> {
        let first = lock(&self.queue).numbers.pop_front();
        if first.is_some() {
            return first;
        }
        // To clone or to drop a waker runs code of the executor, which may ring a stream_waker: never under the lock.
        let asks = asks.clone();
        let mut queue = lock(&self.queue);
        let first = queue.numbers.pop_front();
        let unused = if first.is_none() {
            queue.asks.replace(asks)
        } else {
            Some(asks)
        };
        drop(queue);
        drop(unused);
        first
    }
}

/// What wakes one stream: it puts the stream in the queue, once until it is polled.
pub(super) struct StreamWaker {
    number: u64,
    rung: AtomicBool,
    ready: Arc<ReadyQueue>,
}

impl StreamWaker {
    pub(super) fn new(number: u64, ready: Arc<ReadyQueue>) -> Self {
        Self {
            number,
            rung: AtomicBool::new(false),
            ready,
        }
    }

    /// The stream is about to be polled: what happens from now on rings again.
    pub(super) fn hears(&self) {
        // A swap, because it reads what the last ring wrote, and so the poll sees everything that the wakers did before they
        // rang. A store reads nothing: the poll could miss the news of a waker that found the stream_waker rung, and that waker has
        // put no number in the queue.
        self.rung.swap(false, Ordering::Acquire);
    }

    /// Puts the stream in the queue, and gives whom to wake.
    pub(super) fn ring(&self) -> Option<Waker> {
        // Also where the stream_waker is rung already: the poll that hears it is to see what this waker did before.
        if self.rung.swap(true, Ordering::Release) {
            return None;
        }
        let mut queue = lock(&self.ready.queue);
        queue.numbers.push_back(self.number);
        queue.asks.take()
    }
}

impl Wake for StreamWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(asks) = self.ring() {
            asks.wake();
        }
    }
}
