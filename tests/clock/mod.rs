//! A virtual clock for tests of hours and days.
//!
//! Time stands still while a future has something to do, and jumps to the next alarm when it waits.
//! The clock runs one future at a time, and no transport. Start at [`Clock::run`].

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use box_longpoll::transport::Moment;

/// The number of polls that a future may have while the clock stands still. Without this limit, a
/// future that wakes itself forever would hang the test.
const MOST_POLLS: usize = 1_000_000;

/// The clock. Its clones show the same time.
#[derive(Clone)]
pub(crate) struct Clock(Arc<Mutex<Inner>>);

struct Inner {
    now: Moment,
    /// The wakers to call, by time and number.
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

    pub(crate) fn now(&self) -> Moment {
        self.lock().now
    }

    /// Returns a future that completes after `duration`.
    pub(crate) fn wait(&self, duration: Duration) -> Alarm {
        Alarm {
            clock: self.clone(),
            at: self.now().monotonic + duration,
            number: None,
        }
    }

    /// Runs a future and returns its output, or `None` if it takes longer than `time`. Time passes
    /// while the future waits.
    pub(crate) fn run<R>(&self, time: Duration, future: impl Future<Output = R>) -> Option<R> {
        let end = self.now().monotonic + time;
        let woken = Arc::new(Flag::default());
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        let mut future = pin!(future);
        let mut polls = 0;
        loop {
            if let Poll::Ready(outcome) = future.as_mut().poll(&mut cx) {
                return Some(outcome);
            }
            if woken.0.swap(false, Ordering::SeqCst) {
                polls += 1;
                assert!(polls < MOST_POLLS, "the future wakes itself without end");
            } else if self.pass(end) {
                polls = 0;
            } else {
                return None;
            }
        }
    }

    /// Lets time pass until the next alarm, or until `end`. Returns `true` if there was an alarm
    /// before `end`.
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

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }
}

/// A future that completes at a time of the clock.
pub(crate) struct Alarm {
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
