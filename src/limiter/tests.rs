//! The line, by a clock that only the test moves.

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

/// A line, and the time.
struct Hall {
    queue: WaitQueue,
    now: Instant,
}

/// Somebody who may have to wait.
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

/// What a call leaves by.
type Place = (ApiCall, u64);

impl Caller {
    fn place(&self) -> Place {
        (self.call, self.number.expect("it has asked"))
    }

    fn is_woken(&self) -> bool {
        self.woken.0.swap(false, Ordering::SeqCst)
    }
}

impl Hall {
    fn with(change: impl FnOnce(LongPollClientBuilder) -> LongPollClientBuilder) -> Self {
        let config = change(LongPollClientBuilder::default()).config().unwrap();
        let now = Moment::read_clocks().monotonic;
        Self {
            queue: WaitQueue::new(&config, now),
            now,
        }
    }

    fn of_places(places: usize) -> Self {
        Self::with(|builder| builder.max_api_calls(places))
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn ask(&mut self, caller: &mut Caller) -> Admission {
        let waker = Waker::from(caller.woken.clone());
        let number = &mut caller.number;
        let (admission, released) = self.queue.ask(caller.call, number, waker, self.now);
        released.wake();
        admission
    }

    #[track_caller]
    fn enters(&mut self, caller: &mut Caller) -> Place {
        assert_eq!(self.ask(caller), Admission::Admitted);
        caller.place()
    }

    #[track_caller]
    fn waits(&mut self, caller: &mut Caller) {
        let admission = self.ask(caller);
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
fn so_many_calls_go_at_once_and_the_rest_in_the_order_in_which_they_came() {
    let mut hall = Hall::with(|builder| builder);
    let mut callers = callers(ApiCall::Fetch, 164);
    let (going, waiting) = callers.split_at_mut(64);
    let places: Vec<Place> = going.iter_mut().map(|caller| hall.enters(caller)).collect();
    for caller in &mut *waiting {
        hall.waits(caller);
    }
    for (n, place) in places.into_iter().enumerate() {
        hall.release(place);
        let woken: Vec<usize> = (0..100).filter(|n| waiting[*n].is_woken()).collect();
        assert_eq!(woken, [n]);
        for later in &mut waiting[n + 1..] {
            hall.waits(later);
        }
        hall.enters(&mut waiting[n]);
    }
}

#[test]
fn nobody_slips_in_before_the_one_who_was_called() {
    let mut hall = Hall::of_places(1);
    let [mut first, mut second, mut third] = callers(ApiCall::Fetch, 3).try_into().ok().unwrap();
    let place = hall.enters(&mut first);
    hall.waits(&mut second);
    hall.release(place);
    hall.waits(&mut third);
    hall.enters(&mut second);
}

#[test]
fn lists_and_pages_share_the_order_in_which_they_came() {
    for order in [
        [ApiCall::List, ApiCall::Fetch],
        [ApiCall::Fetch, ApiCall::List],
    ] {
        let mut hall = Hall::of_places(1);
        let [mut going] = callers(ApiCall::Fetch, 1).try_into().ok().unwrap();
        let place = hall.enters(&mut going);
        let mut waiting: Vec<_> = order
            .into_iter()
            .flat_map(|call| callers(call, 1))
            .collect();
        for caller in &mut waiting {
            hall.waits(caller);
        }
        hall.release(place);
        let woken: Vec<_> = waiting.iter().map(Caller::is_woken).collect();
        assert_eq!(woken, [true, false], "{order:?}");
    }
}

#[test]
fn who_leaves_the_line_makes_room_for_the_next() {
    let mut hall = Hall::of_places(1);
    let mut callers = callers(ApiCall::Fetch, 5);
    let place = hall.enters(&mut callers[0]);
    for waiting in &mut callers[1..] {
        hall.waits(waiting);
    }
    // One that waits, and one that is called.
    hall.leave(&callers[2]);
    hall.release(place);
    assert!(callers[1].is_woken() && !callers[3].is_woken());
    hall.leave(&callers[1]);
    assert!(callers[3].is_woken() && !callers[4].is_woken());
    hall.enters(&mut callers[3]);
}

#[test]
fn who_is_called_and_does_not_come_keeps_nobody_waiting_and_is_the_first_when_it_comes() {
    let mut hall = Hall::of_places(1);
    let mut callers = callers(ApiCall::Fetch, 4);
    let place = hall.enters(&mut callers[0]);
    for waiting in &mut callers[1..] {
        hall.waits(waiting);
    }
    hall.release(place);
    assert!(callers[1].is_woken());
    hall.pass(Duration::from_secs(3));
    let place = hall.enters(&mut callers[2]);
    hall.waits(&mut callers[1]);
    hall.release(place);
    assert!(callers[1].is_woken() && !callers[3].is_woken());
    hall.waits(&mut callers[3]);
    hall.enters(&mut callers[1]);
}

#[test]
fn a_call_that_nobody_drives_gives_its_place_up_when_its_time_is_over() {
    let minute = Duration::from_secs(60);
    let mut hall = Hall::with(|builder| builder.max_api_calls(1).api_timeout(minute));
    let [mut first, mut second, mut third] = callers(ApiCall::Fetch, 3).try_into().ok().unwrap();
    let left = hall.enters(&mut first);
    hall.waits(&mut second);
    hall.pass(minute);
    hall.waits(&mut second);
    hall.pass(Duration::from_secs(2));
    hall.enters(&mut second);
    // When it is dropped after all, that frees no place of another's.
    hall.release(left);
    hall.waits(&mut third);
}

#[test]
fn who_waits_looks_up_within_a_second() {
    let mut hall = Hall::of_places(1);
    let mut callers = callers(ApiCall::Fetch, 2);
    hall.enters(&mut callers[0]);
    let until = hall.now + Duration::from_secs(1);
    assert_eq!(hall.ask(&mut callers[1]), Admission::WaitUntil(until));
}

#[test]
fn pages_pass_lists_whose_time_has_not_come() {
    let mut hall = Hall::with(|builder| builder.max_server_lists_per_second(1));
    let mut lists = callers(ApiCall::List, 3);
    let mut pages = callers(ApiCall::Fetch, 3);
    hall.enters(&mut lists[0]);
    hall.waits(&mut lists[1]);
    hall.waits(&mut lists[2]);
    for page in &mut pages {
        hall.enters(page);
    }
    hall.pass(Duration::from_millis(1_100));
    hall.waits(&mut lists[2]);
    hall.enters(&mut lists[1]);
}

#[test]
fn list_asks_again_when_its_time_has_come_or_in_a_second() {
    for (a_second, longest) in [(1, 1_000), (2, 600)] {
        let mut hall = Hall::with(|builder| builder.max_server_lists_per_second(a_second));
        let mut lists = callers(ApiCall::List, 2);
        hall.enters(&mut lists[0]);
        let Admission::WaitUntil(until) = hall.ask(&mut lists[1]) else {
            panic!("there was a list in this second");
        };
        let wait = until.checked_duration_since(hall.now).expect("no past");
        assert!(wait > Duration::from_millis(longest - 100), "{wait:?}");
        assert!(wait <= Duration::from_millis(longest), "{wait:?}");
    }
}

#[test]
fn who_watched_the_clock_and_found_no_place_is_called_when_there_is_one() {
    let mut hall = Hall::with(|builder| builder.max_api_calls(1).max_server_lists_per_second(1));
    let mut lists = callers(ApiCall::List, 2);
    let [mut page] = callers(ApiCall::Fetch, 1).try_into().ok().unwrap();
    let place = hall.enters(&mut lists[0]);
    hall.release(place);
    hall.waits(&mut lists[1]);
    let place = hall.enters(&mut page);
    hall.pass(Duration::from_millis(1_100));
    hall.waits(&mut lists[1]);
    hall.release(place);
    assert!(lists[1].is_woken());
    hall.enters(&mut lists[1]);
}

#[test]
fn a_list_that_has_a_time_and_no_place_waits_for_the_place() {
    let mut hall = Hall::of_places(1);
    let [mut page] = callers(ApiCall::Fetch, 1).try_into().ok().unwrap();
    let [mut list] = callers(ApiCall::List, 1).try_into().ok().unwrap();
    let place = hall.enters(&mut page);
    let until = hall.now + Duration::from_secs(1);
    assert_eq!(hall.ask(&mut list), Admission::WaitUntil(until));
    hall.release(place);
    assert!(list.is_woken());
    hall.enters(&mut list);
}

/// When each of so many lists is asked for, where all come at once and each takes 100 ms, and nobody looks but at its time.
fn times_of_lists(hall: &mut Hall, count: usize) -> Vec<(usize, Duration)> {
    let began = hall.now;
    let mut waiting: Vec<(usize, Caller)> = callers(ApiCall::List, count)
        .into_iter()
        .enumerate()
        .collect();
    let mut looks_at: Vec<Instant> = vec![began; count];
    let mut under_way: Vec<(Instant, Place)> = Vec::new();
    let mut times = Vec::new();
    while !waiting.is_empty() {
        under_way.retain(|(over, place)| {
            let is_over = *over <= hall.now;
            if is_over {
                hall.release(*place);
            }
            !is_over
        });
        waiting.retain_mut(|(n, caller)| {
            if !caller.is_woken() && looks_at[*n] > hall.now {
                return true;
            }
            match hall.ask(caller) {
                Admission::Admitted => {
                    times.push((*n, hall.now - began));
                    under_way.push((hall.now + Duration::from_millis(100), caller.place()));
                    false
                }
                Admission::WaitUntil(until) => {
                    looks_at[*n] = until;
                    true
                }
            }
        });
        hall.pass(Duration::from_millis(1));
    }
    times
}

#[test]
fn ten_thousand_lists_keep_their_order_and_their_rate_and_take_half_a_minute() {
    let mut hall = Hall::with(|builder| builder);
    let times = times_of_lists(&mut hall, 10_000);
    assert!(times.iter().map(|(n, _)| *n).eq(0..10_000));
    let times: Vec<Duration> = times.into_iter().map(|(_, at)| at).collect();
    for (n, at) in times.iter().enumerate() {
        let within = times[n..].partition_point(|later| *later < *at + Duration::from_secs(1));
        assert!(within <= 500, "{within} lists in the second from {at:?} on");
    }
    let last = times.last().unwrap();
    assert!(*last < Duration::from_secs(25), "{last:?}");
}

/// A transport whose time stands still.
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

/// A transport whose time stands still, and that keeps how long it was to sleep.
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
fn timer_is_set_anew_when_the_time_of_the_list_is_sooner() {
    let builder = LongPollClientBuilder::default().max_server_lists_per_second(20);
    let transport = Timers {
        now: Moment::read_clocks(),
        sleeps: Mutex::default(),
    };
    let limiter = CallLimiter::new(&builder.config().unwrap(), transport.now.monotonic);
    let mut cx = Context::from_waker(Waker::noop());
    let mut first = pin!(limiter.acquire(ApiCall::List, &transport));
    assert!(first.as_mut().poll(&mut cx).is_ready());
    let mut watches = Box::pin(limiter.acquire(ApiCall::List, &transport));
    assert!(watches.as_mut().poll(&mut cx).is_pending());
    let mut waits = pin!(limiter.acquire(ApiCall::List, &transport));
    assert!(waits.as_mut().poll(&mut cx).is_pending());
    drop(watches);
    for _ in 0..2 {
        assert!(waits.as_mut().poll(&mut cx).is_pending());
    }
    let sleeps = transport.sleeps.lock().unwrap();
    let [of_the_first, looks_up, of_the_next] = sleeps[..] else {
        panic!("{sleeps:?}");
    };
    assert!(of_the_first < looks_up, "{sleeps:?}");
    assert_eq!(of_the_next, of_the_first);
}

/// A task that is polled inside its waker, as some executors do, and whose futures use the gate.
struct Reentrant {
    limiter: Arc<CallLimiter>,
    transport: Frozen,
}

impl Reentrant {
    fn uses_the_gate(&self) {
        let entering = pin!(self.limiter.acquire(ApiCall::Fetch, &self.transport));
        let _ = entering.poll(&mut Context::from_waker(Waker::noop()));
    }
}

impl Wake for Reentrant {
    fn wake(self: Arc<Self>) {
        self.uses_the_gate();
    }
}

impl Drop for Reentrant {
    fn drop(&mut self) {
        self.uses_the_gate();
    }
}

/// Longer than any of it takes, where nothing waits for itself.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn gate_is_unlocked_while_it_wakes_or_drops_a_waker() {
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
        let step = outcome.recv_timeout(PATIENCE);
        steps.push(step.unwrap_or_else(|_| panic!("it hangs after {steps:?}")));
    }
}
