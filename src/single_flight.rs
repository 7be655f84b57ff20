//! Work that many wait for, and that is done once.
//!
//! Each of those who wait drives it when it is polled, so that one that nobody polls any more keeps none of the others
//! waiting; the things that the work itself waits for have to be alive, such as its runtime. It ends when the last of them is
//! dropped. No lock is held while a waker is cloned, woken or dropped, or while the work is polled or dropped: each of them
//! may run code that comes back here. Start at [`SingleFlight::new`].

use std::collections::BTreeMap;
use std::future::Future;
use std::mem;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::FutureExt;

/// One who waits for the work. Clones wait for the same.
pub(crate) struct SingleFlight<T> {
    flight: Arc<Flight<T>>,
    /// The number of its waker, once it was polled.
    number: Option<u64>,
}

/// Work that may be over, or that nobody waits for any more.
pub(crate) struct WeakFlight<T>(Weak<Flight<T>>);

struct Flight<T> {
    work: Mutex<Work<T>>,
    /// Apart from the work, which may keep the waker: that is not to keep the work.
    waiters: Arc<Waiters>,
}

enum Work<T> {
    Waits(Pin<Box<dyn Future<Output = T> + Send>>),
    /// One of those who wait has taken it out, and polls it.
    IsPolled,
    Over(T),
}

/// Those who are woken when the work is.
#[derive(Default)]
struct Waiters(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    wakers: BTreeMap<u64, Waker>,
    last_number: u64,
    /// `true` if the work was woken since its last poll began.
    is_woken: bool,
}

impl<T: Clone + Send + 'static> SingleFlight<T> {
    /// Begins when somebody polls it. `panicked` is the outcome where the work panics: unwinding through it would leave the
    /// others waiting.
    pub(crate) fn new(
        work: impl Future<Output = T> + Send + 'static,
        panicked: impl FnOnce() -> T + Send + 'static,
    ) -> Self {
        let work = AssertUnwindSafe(work)
            .catch_unwind()
            .map(|outcome| outcome.unwrap_or_else(|_| panicked()));
        Self {
            flight: Arc::new(Flight {
                work: Mutex::new(Work::Waits(Box::pin(work))),
                waiters: Arc::default(),
            }),
            number: None,
        }
    }

    /// The outcome. `None`: the work is not over.
    pub(crate) fn outcome(&self) -> Option<T> {
        match &*self.flight.work() {
            Work::Over(outcome) => Some(outcome.clone()),
            Work::Waits(_) | Work::IsPolled => None,
        }
    }

    pub(crate) fn downgrade(&self) -> WeakFlight<T> {
        WeakFlight(Arc::downgrade(&self.flight))
    }
}

impl<T> WeakFlight<T> {
    /// `None` where nobody waits any more.
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
        // Before it looks, so that it misses nothing.
        waiters.register(&mut this.number, cx.waker().clone());
        let mut work = flight.work();
        let mut future = match mem::replace(&mut *work, Work::IsPolled) {
            Work::Waits(future) => future,
            Work::IsPolled => return Poll::Pending,
            Work::Over(outcome) => {
                *work = Work::Over(outcome.clone());
                return Poll::Ready(outcome);
            }
        };
        drop(work);
        waiters.lock().is_woken = false;
        let waker = Waker::from(waiters.clone());
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => {
                *flight.work() = Work::Waits(future);
                // Others that were woken meanwhile found nothing to poll, and this one may never be polled again.
                if waiters.lock().is_woken {
                    waiters.wake_all();
                }
                Poll::Pending
            }
            Poll::Ready(outcome) => {
                *flight.work() = Work::Over(outcome.clone());
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
    fn work_is_done_once_and_all_who_wait_get_its_outcome() {
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
    fn work_that_panics_has_an_outcome_for_all() {
        let flight: SingleFlight<u32> = SingleFlight::new(async { panic!("on purpose") }, || 3);
        assert_eq!((block_on(flight.clone()), block_on(flight)), (3, 3));
    }

    #[test]
    fn work_ends_when_the_last_who_waits_is_dropped() {
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
    fn flight_lets_go_of_a_task_when_it_waits_no_more() {
        let mut flight: SingleFlight<()> = SingleFlight::new(pending(), panicked);
        let other = flight.clone();
        let task = Arc::new(Counter::default());
        assert!(poll(&mut flight, &task.clone().into()).is_pending());
        assert_eq!(Arc::strong_count(&task), 2);
        drop(flight);
        assert_eq!(Arc::strong_count(&task), 1);
        assert!(other.outcome().is_none());
    }

    #[test]
    fn wake_up_is_passed_on_when_its_poller_is_dropped() {
        let slot = Arc::new(Mutex::new(None::<SingleFlight<()>>));
        let woken = Arc::new(Counter::default());
        let (others, others_woken) = (slot.clone(), woken.clone());
        let mut flight = SingleFlight::new(
            poll_fn(move |cx| {
                // Woken while it is polled; the other one comes at once, and finds it away.
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

    /// A task that is ended inside its waker, as some executors do, and waits for the same.
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

    /// Longer than any of it takes, where nothing waits for itself.
    const PATIENCE: Duration = Duration::from_secs(60);

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
            done.send("one who waited was dropped").unwrap();
            let (send, receive) = oneshot::channel();
            let work = async move { receive.await.unwrap() };
            let mut flight = SingleFlight::new(work, panicked);
            let waker = EndsInItsWaker::waiting_for(&flight);
            assert!(poll(&mut flight, &waker).is_pending());
            drop(waker);
            send.send(()).unwrap();
            done.send("one who waited was woken").unwrap();
        });
        let mut steps = Vec::new();
        for _ in 0..3 {
            let step = outcome.recv_timeout(PATIENCE);
            steps.push(step.unwrap_or_else(|_| panic!("it hangs after {steps:?}")));
        }
    }
}
