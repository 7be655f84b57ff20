//! Single flight: work that runs once for all callers that wait for it.
//!
//! There is no background task. Each waiter drives the work when it is polled, so a waiter that
//! nobody polls any more does not hold up the others. The work's own resources, such as its
//! runtime, must stay alive. The work is dropped with its last waiter.
//!
//! No lock is held while a waker is cloned, woken or dropped, or while the work is polled or
//! dropped: each of these may run code that calls this module again. Start at
//! [`SingleFlight::new`].

use std::collections::BTreeMap;
use std::future::Future;
use std::mem;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::FutureExt;

/// A waiter, whose output is the outcome of the work. Clones wait for the same work.
pub(crate) struct SingleFlight<T> {
    flight: Arc<Flight<T>>,
    /// The key of this waiter's waker, once it was polled.
    number: Option<u64>,
}

/// A reference that does not keep the work alive.
pub(crate) struct WeakFlight<T>(Weak<Flight<T>>);

/// The parts that all waiters share.
struct Flight<T> {
    work: Mutex<Work<T>>,
    /// Shared with the waker that the work gets. A work that keeps its waker must not keep itself
    /// alive.
    waiters: Arc<Waiters>,
}

/// The state of the work.
enum Work<T> {
    /// The work has not ended, and no waiter polls it now.
    Pending(Pin<Box<dyn Future<Output = T> + Send>>),
    /// A waiter has taken the work out of the lock, and polls it.
    Polling,
    /// The work has ended with this outcome.
    Done(T),
}

/// The wakers of all waiters, which are woken when the work is woken.
#[derive(Default)]
struct Waiters(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    wakers: BTreeMap<u64, Waker>,
    /// The key that was given to a waiter last.
    last_number: u64,
    /// `true` if the work was woken since its last poll began.
    is_woken: bool,
}

impl<T: Clone + Send + 'static> SingleFlight<T> {
    /// Wraps work, which begins when a waiter is first polled.
    ///
    /// If the work panics, `panicked` returns the outcome: a panic that unwound through one waiter
    /// would leave the others waiting forever.
    pub(crate) fn new(
        work: impl Future<Output = T> + Send + 'static,
        panicked: impl FnOnce() -> T + Send + 'static,
    ) -> Self {
        let work = AssertUnwindSafe(work)
            .catch_unwind()
            .map(|outcome| outcome.unwrap_or_else(|_| panicked()));
        Self {
            flight: Arc::new(Flight {
                work: Mutex::new(Work::Pending(Box::pin(work))),
                waiters: Arc::default(),
            }),
            number: None,
        }
    }

    /// Returns the outcome, or `None` if the work has not ended.
    pub(crate) fn outcome(&self) -> Option<T> {
        match &*self.flight.work() {
            Work::Done(outcome) => Some(outcome.clone()),
            Work::Pending(_) | Work::Polling => None,
        }
    }

    /// Returns a reference that does not keep the work alive.
    pub(crate) fn downgrade(&self) -> WeakFlight<T> {
        WeakFlight(Arc::downgrade(&self.flight))
    }
}

impl<T> WeakFlight<T> {
    /// Returns a new waiter, or `None` if all waiters were dropped.
    pub(crate) fn upgrade(&self) -> Option<SingleFlight<T>> {
        let flight = self.0.upgrade()?;
        let number = None;
        Some(SingleFlight { flight, number })
    }
}

impl<T> Flight<T> {
    fn work(&self) -> MutexGuard<'_, Work<T>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone + Send + 'static> Future for SingleFlight<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = &mut *self;
        let (flight, waiters) = (&this.flight, &this.flight.waiters);
        // It registers before it checks the work, so that it misses no wake-up.
        waiters.register(&mut this.number, cx.waker().clone());
        let mut work = flight.work();
        let mut future = match mem::replace(&mut *work, Work::Polling) {
            Work::Pending(future) => future,
            Work::Polling => return Poll::Pending,
            Work::Done(outcome) => {
                *work = Work::Done(outcome.clone());
                return Poll::Ready(outcome);
            }
        };
        drop(work);
        waiters.lock().is_woken = false;
        let waker = Waker::from(waiters.clone());
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => {
                *flight.work() = Work::Pending(future);
                // Waiters that were woken in the meantime found nothing to poll, and this one may
                // never be polled again: wake all.
                if waiters.lock().is_woken {
                    waiters.wake_all();
                }
                Poll::Pending
            }
            Poll::Ready(outcome) => {
                *flight.work() = Work::Done(outcome.clone());
                waiters.wake_all();
                Poll::Ready(outcome)
            }
        }
    }
}

impl<T> Clone for SingleFlight<T> {
    fn clone(&self) -> Self {
        Self {
            flight: self.flight.clone(),
            number: None,
        }
    }
}

impl<T> Drop for SingleFlight<T> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let waker = self.flight.waiters.lock().wakers.remove(&number);
            drop(waker);
        }
    }
}

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the waker of a waiter, in place of its previous one.
    fn register(&self, number: &mut Option<u64>, waker: Waker) {
        let mut inner = self.lock();
        let number = *number.get_or_insert_with(|| {
            inner.last_number += 1;
            inner.last_number
        });
        let unused = inner.wakers.insert(number, waker);
        drop(inner);
        drop(unused);
    }

    /// Wakes all waiters, outside of the lock.
    fn wake_all(&self) {
        let mut inner = self.lock();
        inner.is_woken = true;
        let wakers = mem::take(&mut inner.wakers);
        drop(inner);
        wakers.into_values().for_each(Waker::wake);
    }
}

impl Wake for Waiters {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use futures_channel::oneshot;
    use futures_lite::future::block_on;

    use super::*;

    /// A waker that counts its wake-ups.
    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn poll<T: Clone + Send + 'static>(flight: &mut SingleFlight<T>, waker: &Waker) -> Poll<T> {
        Pin::new(flight).poll(&mut Context::from_waker(waker))
    }

    fn panicked<T>() -> T {
        unreachable!("the work does not panic")
    }

    #[test]
    fn work_runs_once_and_all_waiters_get_its_outcome() {
        let (send, receive) = oneshot::channel();
        let begun = Arc::new(AtomicUsize::new(0));
        let begins = begun.clone();
        let mut flight = SingleFlight::new(
            async move {
                begins.fetch_add(1, Ordering::SeqCst);
                receive.await.unwrap()
            },
            panicked,
        );
        let mut other = flight.clone();
        let [mine, others] = [(); 2].map(|()| Arc::new(Counter::default()));
        assert!(poll(&mut flight, &mine.clone().into()).is_pending());
        assert!(poll(&mut other, &others.clone().into()).is_pending());
        assert!(flight.outcome().is_none());
        send.send(7).unwrap();
        assert_eq!(
            [&mine, &others].map(|woken| woken.0.load(Ordering::SeqCst)),
            [1, 1]
        );
        assert_eq!(poll(&mut other, Waker::noop()), Poll::Ready(7));
        assert_eq!((flight.outcome(), block_on(flight)), (Some(7), 7));
        assert_eq!(begun.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn all_waiters_get_an_outcome_when_the_work_panics() {
        let flight: SingleFlight<u32> = SingleFlight::new(async { panic!("on purpose") }, || 3);
        assert_eq!((block_on(flight.clone()), block_on(flight)), (3, 3));
    }

    /// Neither a weak reference nor the waker that the work keeps holds the work alive.
    #[test]
    fn work_is_dropped_with_its_last_waiter() {
        let (alive, gone) = oneshot::channel::<()>();
        let mut flight: SingleFlight<()> = SingleFlight::new(
            async move {
                let _alive = alive;
                // The work keeps its own waker, which must not keep the work.
                let mut waker = None;
                poll_fn(|cx| {
                    waker = Some(cx.waker().clone());
                    Poll::<()>::Pending
                })
                .await;
            },
            panicked,
        );
        assert!(poll(&mut flight, Waker::noop()).is_pending());
        let (weak, other) = (flight.downgrade(), flight.clone());
        drop(flight);
        assert!(weak.upgrade().is_some());
        drop(other);
        assert!(weak.upgrade().is_none());
        assert!(block_on(gone).is_err());
    }

    #[test]
    fn waker_of_a_task_is_dropped_with_its_waiter() {
        let mut flight: SingleFlight<()> = SingleFlight::new(pending(), panicked);
        let other = flight.clone();
        let task = Arc::new(Counter::default());
        assert!(poll(&mut flight, &task.clone().into()).is_pending());
        assert_eq!(Arc::strong_count(&task), 2);
        drop(flight);
        assert_eq!(Arc::strong_count(&task), 1);
        assert!(other.outcome().is_none());
    }

    /// A wake-up in the middle of a poll is not lost if the waiter that polls is dropped
    /// afterwards.
    #[test]
    fn wake_up_reaches_another_waiter_when_the_poller_is_dropped() {
        let slot = Arc::new(Mutex::new(None::<SingleFlight<()>>));
        let woken = Arc::new(Counter::default());
        let (others, others_woken) = (slot.clone(), woken.clone());
        let mut flight = SingleFlight::new(
            poll_fn(move |cx| {
                // The work is woken while it is polled. The other waiter is polled at once, and
                // finds it taken out.
                cx.waker().wake_by_ref();
                if let Some(other) = &mut *others.lock().unwrap() {
                    assert!(poll(other, &others_woken.clone().into()).is_pending());
                }
                Poll::Pending
            }),
            panicked,
        );
        *slot.lock().unwrap() = Some(flight.clone());
        assert!(poll(&mut flight, Waker::noop()).is_pending());
        drop(flight);
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    }

    /// A waker that owns another waiter of the same work, and drops it when it is woken or dropped.
    /// Some executors end tasks like that.
    struct EndsInItsWaker(Mutex<Option<SingleFlight<()>>>);

    impl EndsInItsWaker {
        fn waiting_for(flight: &SingleFlight<()>) -> Waker {
            let mut other = flight.clone();
            let _ = poll(&mut other, Waker::noop());
            Waker::from(Arc::new(Self(Mutex::new(Some(other)))))
        }
    }

    impl Wake for EndsInItsWaker {
        fn wake(self: Arc<Self>) {
            drop(self.0.lock().unwrap().take());
        }
    }

    /// The time after which a step counts as a deadlock. Each step takes milliseconds.
    const DEADLOCKED_AFTER: Duration = Duration::from_secs(60);

    /// A waker that calls this module again does not deadlock, whether it is woken, replaced or
    /// dropped.
    #[test]
    fn flight_is_unlocked_while_it_wakes_or_drops_a_waker() {
        let (done, outcome) = mpsc::channel();
        thread::spawn(move || {
            let mut flight = SingleFlight::new(pending(), panicked);
            for _ in 0..2 {
                let waker = EndsInItsWaker::waiting_for(&flight);
                assert!(poll(&mut flight, &waker).is_pending());
            }
            done.send("a waker was replaced").unwrap();
            drop(flight.clone());
            drop(flight);
            done.send("a waiter was dropped").unwrap();
            let (send, receive) = oneshot::channel();
            let work = async move { receive.await.unwrap() };
            let mut flight = SingleFlight::new(work, panicked);
            let waker = EndsInItsWaker::waiting_for(&flight);
            assert!(poll(&mut flight, &waker).is_pending());
            drop(waker);
            send.send(()).unwrap();
            done.send("a waiter was woken").unwrap();
        });
        let mut steps = Vec::new();
        for _ in 0..3 {
            let step = outcome.recv_timeout(DEADLOCKED_AFTER);
            steps.push(step.unwrap_or_else(|_| panic!("it hangs after {steps:?}")));
        }
    }
}
