//! The queue of the streams in a map that are due for a poll.
//!
//! A [`StreamWaker`] puts its stream into the [`ReadyQueue`] when the stream is woken, at most once
//! until the next poll. The map pops streams in that order. No waker is cloned, woken or dropped
//! under the queue's lock, because a waker runs code of its executor.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};

use crate::sys::lock;

/// The numbers of the streams that were woken, in that order, and the task that waits for one.
#[derive(Default)]
pub(super) struct ReadyQueue {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    numbers: VecDeque<u64>,
    /// The task that polls the map, while it waits for a stream.
    consumer: Option<Waker>,
}

impl ReadyQueue {
    /// Removes the stream that has waited longest, and returns its number. If none is ready, the
    /// task is woken when one becomes ready.
    pub(super) fn pop(&self, consumer: &Waker) -> Option<u64> {
        let first = lock(&self.queue).numbers.pop_front();
        if first.is_some() {
            return first;
        }
        // Cloning or dropping a waker runs code of the executor, which may wake a stream of the
        // map. So neither happens under the lock.
        let consumer = consumer.clone();
        let mut queue = lock(&self.queue);
        let first = queue.numbers.pop_front();
        let unused = if first.is_none() {
            queue.consumer.replace(consumer)
        } else {
            Some(consumer)
        };
        drop(queue);
        drop(unused);
        first
    }
}

/// The waker of one stream. It puts the stream into the queue, once until the next poll.
pub(super) struct StreamWaker {
    number: u64,
    /// `true` from the moment the stream is queued until its poll starts.
    is_queued: AtomicBool,
    ready: Arc<ReadyQueue>,
}

impl StreamWaker {
    pub(super) fn new(number: u64, ready: Arc<ReadyQueue>) -> Self {
        Self {
            number,
            is_queued: AtomicBool::new(false),
            ready,
        }
    }

    /// Marks the start of a poll: a wakeup from now on queues the stream again.
    pub(super) fn start_poll(&self) {
        // This is a swap with `Acquire` because it must read what the last `enqueue` released: the
        // poll then sees everything that the wakers did before they called it. A plain store would
        // not synchronize with them. The poll could miss the work of a waker that found the flag
        // set and so put no number into the queue.
        self.is_queued.swap(false, Ordering::Acquire);
    }

    /// Puts the stream into the queue, and returns the waker of the task that waits for one.
    pub(super) fn enqueue(&self) -> Option<Waker> {
        // `Release` matters even if the flag is set already: the poll that clears it must see what
        // this waker did before.
        if self.is_queued.swap(true, Ordering::Release) {
            return None;
        }
        let mut queue = lock(&self.ready.queue);
        queue.numbers.push_back(self.number);
        queue.consumer.take()
    }
}

impl Wake for StreamWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(consumer) = self.enqueue() {
            consumer.wake();
        }
    }
}
