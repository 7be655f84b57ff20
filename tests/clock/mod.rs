//! A clock that stands still while there is something to do.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use box_longpoll::Moment;

#[derive(Clone)]
pub(crate) struct Clock(Arc<Mutex<Inner>>);

struct Inner {
    now: Moment,
    alarms: BTreeMap<(Instant, u64), Waker>,
    last_alarm: u64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Inner {
            now: Moment::read_clocks(),
            alarms: BTreeMap::new(),
            last_alarm: 0,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    pub(crate) fn now(&self) -> Moment {
        self.lock().now
    }

    pub(crate) fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + use<> {
        Alarm {
            at: self.now().monotonic + duration,
            clock: self.clone(),
            number: None,
        }
    }

    /// Drives the work until it is done, or nothing but time could bring it on before `end`. Time passes meanwhile.
    pub(crate) fn drive<R>(&self, work: impl Future<Output = R>, end: Instant) -> Option<R> {
        let woken = Arc::new(Flag::default());
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        let mut work = pin!(work);
        loop {
            match work.as_mut().poll(&mut cx) {
                Poll::Ready(outcome) => return Some(outcome),
                Poll::Pending if woken.0.swap(false, Ordering::SeqCst) => {}
                Poll::Pending if self.pass(end) => {}
                Poll::Pending => return None,
            }
        }
    }

    /// Lets time pass until the next alarm, if that is before `end`.
    fn pass(&self, end: Instant) -> bool {
        let mut inner = self.lock();
        let next = inner.alarms.first_key_value().map(|((at, _), _)| *at);
        let at = next.unwrap_or(end).min(end);
        let passed = at.saturating_duration_since(inner.now.monotonic);
        inner.now.monotonic += passed;
        inner.now.wall += passed;
        if at == end {
            return false;
        }
        let waker = inner.alarms.pop_first().map(|(_, waker)| waker);
        drop(inner);
        waker.into_iter().for_each(Waker::wake);
        true
    }
}

/// A wait by the clock.
struct Alarm {
    clock: Clock,
    at: Instant,
    number: Option<u64>,
}

impl Future for Alarm {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let at = self.at;
        let clock = self.clock.clone();
        let mut inner = clock.lock();
        if inner.now.monotonic >= at {
            return Poll::Ready(());
        }
        let number = *self.number.get_or_insert_with(|| {
            inner.last_alarm += 1;
            inner.last_alarm
        });
        inner.alarms.insert((at, number), cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.clock.lock().alarms.remove(&(self.at, number));
        }
    }
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}
