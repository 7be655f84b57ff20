//! The wait queue and the limiter, with a clock that only the test moves.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures_lite::future::pending;
use http::Response;

use super::queue::{Admission, WaitQueue};
use super::{ApiCall, CallLimiter};
use crate::clock::Moment;
use crate::config::LongPollClientBuilder;
use crate::transport::{HttpTransport, TransportError, TransportRequest};

/// A wait queue, with its clock.
struct TestQueue {
    queue: WaitQueue,
    now: Instant,
}

/// A caller that may have to wait.
struct Caller {
    call: ApiCall,
    number: Option<u64>,
    woken: Arc<Flag>,
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn callers(call: ApiCall, count: usize) -> Vec<Caller> {
    let caller = || Caller {
        call,
        number: None,
        woken: Arc::default(),
    };
    std::iter::repeat_with(caller).take(count).collect()
}

/// The key by which a call leaves the queue.
type Place = (ApiCall, u64);

impl Caller {
    fn place(&self) -> Place {
        (self.call, self.number.expect("it has a number"))
    }

    fn is_woken(&self) -> bool {
        self.woken.0.swap(false, Ordering::SeqCst)
    }
}

impl TestQueue {
    fn with(change: impl FnOnce(LongPollClientBuilder) -> LongPollClientBuilder) -> Self {
        let config = change(LongPollClientBuilder::default()).config().unwrap();
        let now = Moment::read_clocks().monotonic;
        Self {
            queue: WaitQueue::new(&config, now),
            now,
        }
    }

    fn with_places(places: usize) -> Self {
        Self::with(|builder| builder.max_api_calls(places))
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn admit(&mut self, caller: &mut Caller) -> Admission {
        let waker = Waker::from(caller.woken.clone());
        let number = &mut caller.number;
        let (admission, released) = self.queue.admit(caller.call, number, waker, self.now);
        released.wake();
        admission
    }

    #[track_caller]
    fn expect_admitted(&mut self, caller: &mut Caller) -> Place {
        assert_eq!(self.admit(caller), Admission::Admitted);
        caller.place()
    }

    #[track_caller]
    fn expect_waiting(&mut self, caller: &mut Caller) {
        let admission = self.admit(caller);
        assert!(
            matches!(admission, Admission::WaitUntil(_)),
            "{admission:?}"
        );
    }

    fn release(&mut self, (call, number): Place) {
        self.queue.leave(call, number, self.now).wake();
    }

    fn leave(&mut self, caller: &Caller) {
        self.release(caller.place());
    }
}

#[test]
fn calls_beyond_the_limit_are_admitted_in_order() {
    let mut queue = TestQueue::with(|builder| builder);
    let mut callers = callers(ApiCall::Fetch, 164);
    let (going, waiting) = callers.split_at_mut(64);
    let places: Vec<Place> = going
        .iter_mut()
        .map(|caller| queue.expect_admitted(caller))
        .collect();
    for caller in &mut *waiting {
        queue.expect_waiting(caller);
    }
    for (n, place) in places.into_iter().enumerate() {
        queue.release(place);
        let woken: Vec<usize> = (0..100).filter(|n| waiting[*n].is_woken()).collect();
        assert_eq!(woken, [n]);
        for later in &mut waiting[n + 1..] {
            queue.expect_waiting(later);
        }
        queue.expect_admitted(&mut waiting[n]);
    }
}

#[test]
fn new_call_waits_when_another_was_woken() {
    let mut queue = TestQueue::with_places(1);
    let [mut first, mut second, mut third] = callers(ApiCall::Fetch, 3).try_into().ok().unwrap();
    let place = queue.expect_admitted(&mut first);
    queue.expect_waiting(&mut second);
    queue.release(place);
    queue.expect_waiting(&mut third);
    queue.expect_admitted(&mut second);
}

#[test]
fn lists_and_pages_share_one_order() {
    for order in [
        [ApiCall::List, ApiCall::Fetch],
        [ApiCall::Fetch, ApiCall::List],
    ] {
        let mut queue = TestQueue::with_places(1);
        let [mut going] = callers(ApiCall::Fetch, 1).try_into().ok().unwrap();
        let place = queue.expect_admitted(&mut going);
        let mut waiting: Vec<_> = order
            .into_iter()
            .flat_map(|call| callers(call, 1))
            .collect();
        for caller in &mut waiting {
            queue.expect_waiting(caller);
        }
        queue.release(place);
        let woken: Vec<_> = waiting.iter().map(Caller::is_woken).collect();
        assert_eq!(woken, [true, false], "{order:?}");
    }
}

#[test]
fn next_call_is_woken_when_a_waiter_leaves() {
    let mut queue = TestQueue::with_places(1);
    let mut callers = callers(ApiCall::Fetch, 5);
    let place = queue.expect_admitted(&mut callers[0]);
    for waiting in &mut callers[1..] {
        queue.expect_waiting(waiting);
    }
    // One caller that waits leaves, and then one that was woken.
    queue.leave(&callers[2]);
    queue.release(place);
    assert!(callers[1].is_woken() && !callers[3].is_woken());
    queue.leave(&callers[1]);
    assert!(callers[3].is_woken() && !callers[4].is_woken());
    queue.expect_admitted(&mut callers[3]);
}

#[test]
fn unresponsive_caller_is_skipped_and_first_on_return() {
    let mut queue = TestQueue::with_places(1);
    let mut callers = callers(ApiCall::Fetch, 4);
    let place = queue.expect_admitted(&mut callers[0]);
    for waiting in &mut callers[1..] {
        queue.expect_waiting(waiting);
    }
    queue.release(place);
    assert!(callers[1].is_woken());
    queue.pass(Duration::from_secs(3));
    let place = queue.expect_admitted(&mut callers[2]);
    queue.expect_waiting(&mut callers[1]);
    queue.release(place);
    assert!(callers[1].is_woken() && !callers[3].is_woken());
    queue.expect_waiting(&mut callers[3]);
    queue.expect_admitted(&mut callers[1]);
}

#[test]
fn abandoned_call_frees_its_place_after_its_timeout() {
    let minute = Duration::from_secs(60);
    let mut queue = TestQueue::with(|builder| builder.max_api_calls(1).api_timeout(minute));
    let [mut first, mut second, mut third] = callers(ApiCall::Fetch, 3).try_into().ok().unwrap();
    let left = queue.expect_admitted(&mut first);
    queue.expect_waiting(&mut second);
    queue.pass(minute);
    queue.expect_waiting(&mut second);
    queue.pass(Duration::from_secs(2));
    queue.expect_admitted(&mut second);
    // Dropping it later frees no place of another call.
    queue.release(left);
    queue.expect_waiting(&mut third);
}

#[test]
fn call_ahead_keeps_its_place_for_two_seconds() {
    for call in [ApiCall::FetchAhead, ApiCall::ListAhead] {
        let mut queue = TestQueue::with_places(1);
        let [mut ahead] = callers(call, 1).try_into().ok().unwrap();
        let [mut page, mut later] = callers(ApiCall::Fetch, 2).try_into().ok().unwrap();
        let left = queue.expect_admitted(&mut ahead);
        queue.pass(Duration::from_millis(1_999));
        queue.expect_waiting(&mut page);
        queue.pass(Duration::from_millis(1));
        queue.expect_admitted(&mut page);
        // Dropping it later frees no place of another call.
        queue.release(left);
        queue.expect_waiting(&mut later);
    }
}

#[test]
fn fetch_ahead_frees_its_place_at_its_end() {
    let mut queue = TestQueue::with_places(1);
    let [mut ahead] = callers(ApiCall::FetchAhead, 1).try_into().ok().unwrap();
    let [mut page] = callers(ApiCall::Fetch, 1).try_into().ok().unwrap();
    let place = queue.expect_admitted(&mut ahead);
    queue.expect_waiting(&mut page);
    queue.release(place);
    assert!(page.is_woken());
    queue.expect_admitted(&mut page);
}

#[test]
fn calls_that_nobody_polls_delay_another_for_two_seconds() {
    for call in [ApiCall::Fetch, ApiCall::List] {
        let mut queue = TestQueue::with_places(1);
        let mut left = callers(ApiCall::FetchAhead, 1_000);
        let [mut live] = callers(call, 1).try_into().ok().unwrap();
        queue.expect_admitted(&mut left[0]);
        for waiting in &mut left[1..] {
            queue.expect_waiting(waiting);
        }
        queue.expect_waiting(&mut live);
        queue.pass(Duration::from_secs(2));
        queue.expect_admitted(&mut live);
    }
}

#[test]
fn waiting_call_tries_again_within_a_second() {
    let mut queue = TestQueue::with_places(1);
    let mut callers = callers(ApiCall::Fetch, 2);
    queue.expect_admitted(&mut callers[0]);
    let until = queue.now + Duration::from_secs(1);
    assert_eq!(queue.admit(&mut callers[1]), Admission::WaitUntil(until));
}

#[test]
fn pages_overtake_lists_that_wait_for_their_rate() {
    let mut queue = TestQueue::with(|builder| builder.max_server_lists_per_second(1));
    let mut lists = callers(ApiCall::List, 3);
    let mut pages = callers(ApiCall::Fetch, 3);
    queue.expect_admitted(&mut lists[0]);
    queue.expect_waiting(&mut lists[1]);
    queue.expect_waiting(&mut lists[2]);
    for page in &mut pages {
        queue.expect_admitted(page);
    }
    queue.pass(Duration::from_millis(1_100));
    queue.expect_waiting(&mut lists[2]);
    queue.expect_admitted(&mut lists[1]);
}

#[test]
fn list_tries_again_when_due_and_within_a_second() {
    for (a_second, longest) in [(1, 1_000), (2, 600)] {
        let mut queue = TestQueue::with(|builder| builder.max_server_lists_per_second(a_second));
        let mut lists = callers(ApiCall::List, 2);
        queue.expect_admitted(&mut lists[0]);
        let Admission::WaitUntil(until) = queue.admit(&mut lists[1]) else {
            panic!("there was a list in this second");
        };
        let wait = until.checked_duration_since(queue.now).expect("no past");
        assert!(wait > Duration::from_millis(longest - 100), "{wait:?}");
        assert!(wait <= Duration::from_millis(longest), "{wait:?}");
    }
}

#[test]
fn list_is_woken_when_a_place_is_free_after_its_wait() {
    let mut queue =
        TestQueue::with(|builder| builder.max_api_calls(1).max_server_lists_per_second(1));
    let mut lists = callers(ApiCall::List, 2);
    let [mut page] = callers(ApiCall::Fetch, 1).try_into().ok().unwrap();
    let place = queue.expect_admitted(&mut lists[0]);
    queue.release(place);
    queue.expect_waiting(&mut lists[1]);
    let place = queue.expect_admitted(&mut page);
    queue.pass(Duration::from_millis(1_100));
    queue.expect_waiting(&mut lists[1]);
    queue.release(place);
    assert!(lists[1].is_woken());
    queue.expect_admitted(&mut lists[1]);
}

#[test]
fn list_waits_for_a_place_when_its_rate_permits() {
    let mut queue = TestQueue::with_places(1);
    let [mut page] = callers(ApiCall::Fetch, 1).try_into().ok().unwrap();
    let [mut list] = callers(ApiCall::List, 1).try_into().ok().unwrap();
    let place = queue.expect_admitted(&mut page);
    let until = queue.now + Duration::from_secs(1);
    assert_eq!(queue.admit(&mut list), Admission::WaitUntil(until));
    queue.release(place);
    assert!(list.is_woken());
    queue.expect_admitted(&mut list);
}

/// Returns the times at which lists are admitted, if `count` of them arrive at once and each takes
/// 100 ms. A caller tries again only at its time, or when it is woken.
fn times_of_lists(queue: &mut TestQueue, count: usize) -> Vec<(usize, Duration)> {
    let began = queue.now;
    let mut waiting: Vec<(usize, Caller)> = callers(ApiCall::List, count)
        .into_iter()
        .enumerate()
        .collect();
    let mut next_try: Vec<Instant> = vec![began; count];
    let mut in_flight: Vec<(Instant, Place)> = Vec::new();
    let mut times = Vec::new();
    while !waiting.is_empty() {
        in_flight.retain(|(over, place)| {
            let is_over = *over <= queue.now;
            if is_over {
                queue.release(*place);
            }
            !is_over
        });
        waiting.retain_mut(|(n, caller)| {
            if !caller.is_woken() && next_try[*n] > queue.now {
                return true;
            }
            match queue.admit(caller) {
                Admission::Admitted => {
                    times.push((*n, queue.now - began));
                    in_flight.push((queue.now + Duration::from_millis(100), caller.place()));
                    false
                }
                Admission::WaitUntil(until) => {
                    next_try[*n] = until;
                    true
                }
            }
        });
        queue.pass(Duration::from_millis(1));
    }
    times
}

#[test]
fn ten_thousand_lists_keep_their_order_and_rate() {
    let mut queue = TestQueue::with(|builder| builder);
    let times = times_of_lists(&mut queue, 10_000);
    assert!(times.iter().map(|(n, _)| *n).eq(0..10_000));
    let times: Vec<Duration> = times.into_iter().map(|(_, at)| at).collect();
    for (n, at) in times.iter().enumerate() {
        let within = times[n..].partition_point(|later| *later < *at + Duration::from_secs(1));
        assert!(within <= 500, "{within} lists in the second from {at:?} on");
    }
    let last = times.last().unwrap();
    assert!(*last < Duration::from_secs(25), "{last:?}");
}

/// A transport whose clock stands still.
struct Frozen(Moment);

#[async_trait]
impl HttpTransport for Frozen {
    async fn send(&self, _request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        pending().await
    }

    async fn sleep(&self, _duration: Duration) -> Result<(), TransportError> {
        pending().await
    }

    fn now(&self) -> Moment {
        self.0
    }
}

/// A transport whose clock stands still, and that records its timers.
struct Timers {
    now: Moment,
    sleeps: Mutex<Vec<Duration>>,
}

#[async_trait]
impl HttpTransport for Timers {
    async fn send(&self, _request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        pending().await
    }

    async fn sleep(&self, duration: Duration) -> Result<(), TransportError> {
        self.sleeps.lock().unwrap().push(duration);
        pending().await
    }

    fn now(&self) -> Moment {
        self.now
    }
}

#[test]
fn timer_is_reset_when_the_list_is_due_sooner() {
    let builder = LongPollClientBuilder::default().max_server_lists_per_second(20);
    let transport = Timers {
        now: Moment::read_clocks(),
        sleeps: Mutex::default(),
    };
    let limiter = CallLimiter::new(&builder.config().unwrap(), transport.now.monotonic);
    let mut cx = Context::from_waker(Waker::noop());
    let mut first = pin!(limiter.acquire(ApiCall::List, &transport));
    assert!(first.as_mut().poll(&mut cx).is_ready());
    let mut watching = Box::pin(limiter.acquire(ApiCall::List, &transport));
    assert!(watching.as_mut().poll(&mut cx).is_pending());
    let mut waits = pin!(limiter.acquire(ApiCall::List, &transport));
    assert!(waits.as_mut().poll(&mut cx).is_pending());
    drop(watching);
    for _ in 0..2 {
        assert!(waits.as_mut().poll(&mut cx).is_pending());
    }
    let sleeps = transport.sleeps.lock().unwrap();
    let [until_the_list, retry_interval, reset] = sleeps[..] else {
        panic!("{sleeps:?}");
    };
    assert!(until_the_list < retry_interval, "{sleeps:?}");
    assert_eq!(reset, until_the_list);
}

/// A task that is polled inside its waker, as some executors do, and whose future uses the limiter.
struct Reentrant {
    limiter: Arc<CallLimiter>,
    transport: Frozen,
}

impl Reentrant {
    fn use_limiter(&self) {
        let entering = pin!(self.limiter.acquire(ApiCall::Fetch, &self.transport));
        let _ = entering.poll(&mut Context::from_waker(Waker::noop()));
    }
}

impl Wake for Reentrant {
    fn wake(self: Arc<Self>) {
        self.use_limiter();
    }
}

impl Drop for Reentrant {
    fn drop(&mut self) {
        self.use_limiter();
    }
}

/// The limit for each step, if nothing deadlocks.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);

#[test]
fn limiter_is_unlocked_while_it_wakes_or_drops_a_waker() {
    let (done, outcome) = mpsc::channel();
    thread::spawn(move || {
        let builder = LongPollClientBuilder::default().max_api_calls(1);
        let now = Moment::read_clocks();
        let limiter = Arc::new(CallLimiter::new(&builder.config().unwrap(), now.monotonic));
        let transport = Frozen(now);
        let reentrant = || {
            Waker::from(Arc::new(Reentrant {
                limiter: limiter.clone(),
                transport: Frozen(now),
            }))
        };
        let mut first = pin!(limiter.acquire(ApiCall::Fetch, &transport));
        let Poll::Ready(Ok(place)) = first.as_mut().poll(&mut Context::from_waker(&reentrant()))
        else {
            panic!("there is a place");
        };
        done.send("a waker that did not have to wait was dropped")
            .unwrap();
        {
            let mut waits = pin!(limiter.acquire(ApiCall::Fetch, &transport));
            for _ in 0..2 {
                let waker = reentrant();
                let polled = waits.as_mut().poll(&mut Context::from_waker(&waker));
                assert!(polled.is_pending());
            }
            done.send("a waker was replaced").unwrap();
        }
        done.send("one that waited has left").unwrap();
        let mut waits = pin!(limiter.acquire(ApiCall::Fetch, &transport));
        let waker = reentrant();
        let polled = waits.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        drop(waker);
        drop(place);
        done.send("one that waited was woken").unwrap();
        let waker = reentrant();
        let polled = waits.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_ready());
        done.send("one that waited has entered").unwrap();
    });
    let mut steps = Vec::new();
    for _ in 0..5 {
        let step = outcome.recv_timeout(STEP_TIMEOUT);
        steps.push(step.unwrap_or_else(|_| panic!("it hangs after {steps:?}")));
    }
}
