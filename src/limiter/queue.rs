//! The wait queue of the limiter: it decides which call is admitted next.
//!
//! Calls are admitted first come, first served. A list also needs a token of the rate limit for
//! lists, and pages may overtake lists that wait for one. Executors can stop polling a future, so a
//! caller that does not respond loses its turn. Time is an argument, and wakers are returned
//! instead of woken. The type to start from is [`WaitQueue`].

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::ApiCall;
use crate::config::Config;
use crate::pacing::TokenBucket;

/// The interval at which a waiting call tries again without being woken: 1 s. The call that was
/// woken may be one that nobody polls.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The time without a try after which a waiting caller loses its turn to the next caller: 2 s,
/// twice the interval of the tries. It is the first again when it does return. A thousand callers
/// that nobody polls therefore delay the others no longer than one does.
const UNRESPONSIVE_AFTER: Duration = Duration::from_secs(2);

/// The time after its timeout at which a call that nobody polls counts as over: 1 s.
const GRACE: Duration = Duration::from_secs(1);

/// The calls in flight, and the waiting calls in the order of their numbers.
pub(super) struct WaitQueue {
    /// The most calls in flight.
    places: usize,
    /// The timeout of a call.
    timeout: Duration,
    /// The rate limit of lists.
    lists: TokenBucket,
    /// The time at which each call in flight is over at the latest.
    in_flight: BTreeMap<u64, Instant>,
    waiting_to_list: Waiters,
    waiting_for_a_page: Waiters,
    last_number: u64,
}

type Waiters = BTreeMap<u64, Waiter>;

/// A waiting call.
struct Waiter {
    /// Its waker. `None` after it was woken, until it tries again.
    waker: Option<Waker>,
    /// The time of its last try.
    tried_at: Instant,
    /// `true` if it is a list that tries again when the rate permits one.
    watches_clock: bool,
}

impl Waiter {
    /// Returns `true` if the caller has not tried for [`UNRESPONSIVE_AFTER`].
    fn is_unresponsive(&self, now: Instant) -> bool {
        now >= self.tried_at + UNRESPONSIVE_AFTER
    }
}

/// Wakers that the queue has released. Waking or dropping one runs code of an executor, which may
/// use the limiter, so the caller does it after unlocking the queue.
#[derive(Default)]
pub(super) struct Released {
    /// The wakers of the calls that can be admitted.
    called: Vec<Waker>,
    /// The wakers that must not be woken.
    unused: Vec<Waker>,
}

impl Released {
    /// Wakes the calls that can be admitted.
    pub(super) fn wake(self) {
        self.called.into_iter().for_each(Waker::wake);
    }
}

/// The decision on a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// The call may be sent.
    Admitted,
    /// The call tries again at this time, or when it is woken.
    WaitUntil(Instant),
}

/// The result of [`WaitQueue::call_up`] for the call that is being polled.
enum Next {
    /// It is admitted.
    Admitted,
    /// It is the first list that waits for the rate, so it watches the clock.
    WatchesClock,
    /// It waits until it is woken.
    Waits,
}

impl WaitQueue {
    pub(super) fn new(config: &Config, now: Instant) -> Self {
        // One twentieth may follow each other at once, and the others come evenly. Together there
        // are never more than `a_second` in any second.
        let a_second = config.max_server_lists_per_second;
        let at_once = (a_second / 20).max(1);
        let lists = TokenBucket::full(at_once.into(), f64::from(a_second) * 57.0, now);
        Self {
            places: config.max_api_calls,
            timeout: config.api_timeout,
            lists,
            in_flight: BTreeMap::new(),
            waiting_to_list: BTreeMap::new(),
            waiting_for_a_page: BTreeMap::new(),
            last_number: 0,
        }
    }

    /// Decides on a call, and returns the wakers to wake. A new call gets a number, by which it
    /// [leaves](Self::leave).
    pub(super) fn admit(
        &mut self,
        call: ApiCall,
        number: &mut Option<u64>,
        waker: Waker,
        now: Instant,
    ) -> (Admission, Released) {
        let mut released = Released::default();
        let is_new = number.is_none();
        let mine = *number.get_or_insert_with(|| {
            self.last_number += 1;
            self.last_number
        });
        if is_new && self.is_open_to(call, now) {
            released.unused.push(waker);
            return (self.enter(call, mine, now), released);
        }
        let waiter = Waiter {
            waker: Some(waker),
            tried_at: now,
            watches_clock: false,
        };
        let before = self.waiters(call).insert(mine, waiter);
        released
            .unused
            .extend(before.and_then(|waiter| waiter.waker));
        let admission = match self.call_up(Some(mine), now, &mut released) {
            Next::Admitted => {
                self.remove(call, mine, &mut released);
                self.enter(call, mine, now)
            }
            Next::WatchesClock => {
                Admission::WaitUntil(self.lists.available_at(now).min(now + RETRY_INTERVAL))
            }
            Next::Waits => Admission::WaitUntil(now + RETRY_INTERVAL),
        };
        (admission, released)
    }

    /// Removes a call that is over, or does not wait any more. Returns the wakers to wake.
    pub(super) fn leave(&mut self, call: ApiCall, number: u64, now: Instant) -> Released {
        let mut released = Released::default();
        self.in_flight.remove(&number);
        self.remove(call, number, &mut released);
        self.call_up(None, now, &mut released);
        released
    }

    fn remove(&mut self, call: ApiCall, number: u64, released: &mut Released) {
        let waiter = self.waiters(call).remove(&number);
        released
            .unused
            .extend(waiter.and_then(|waiter| waiter.waker));
    }

    fn waiters(&mut self, call: ApiCall) -> &mut Waiters {
        if call.is_list() {
            &mut self.waiting_to_list
        } else {
            &mut self.waiting_for_a_page
        }
    }

    /// Returns `true` if a new call can be admitted at once. Nobody may be waiting.
    fn is_open_to(&mut self, call: ApiCall, now: Instant) -> bool {
        self.waiting_to_list.is_empty()
            && self.waiting_for_a_page.is_empty()
            && self.free_places(now) > 0
            && (!call.is_list() || self.lists.can_acquire(now))
    }

    /// Counts a call as in flight.
    fn enter(&mut self, call: ApiCall, number: u64, now: Instant) -> Admission {
        if call.is_list() {
            self.lists.acquire_early(now);
        }
        let lasts = if call.is_ahead() {
            UNRESPONSIVE_AFTER
        } else {
            self.timeout + GRACE
        };
        self.in_flight.insert(number, now + lasts);
        Admission::Admitted
    }

    /// Returns the number of calls that may be admitted, without those whose time is over.
    fn free_places(&mut self, now: Instant) -> usize {
        self.in_flight.retain(|_, over| now < *over);
        self.places.saturating_sub(self.in_flight.len())
    }

    /// Wakes the calls that can be admitted now, in the order of their numbers. If lists wait for
    /// their rate, it wakes one of them to watch the clock.
    ///
    /// `caller` is the number of the call that is being polled. A call that is
    /// [unresponsive](UNRESPONSIVE_AFTER) is skipped: it keeps its number, but its waiter is
    /// removed until it returns.
    fn call_up(&mut self, caller: Option<u64>, now: Instant, released: &mut Released) -> Next {
        if self.waiting_to_list.is_empty() && self.waiting_for_a_page.is_empty() {
            return Next::Waits;
        }
        let mut places = self.free_places(now);
        let mut lists = self.lists.available(now);
        let mut next = Next::Waits;
        let mut unresponsive = Vec::new();
        let mut to_list = self.waiting_to_list.iter_mut().peekable();
        let mut for_a_page = self.waiting_for_a_page.iter_mut().peekable();
        while places > 0 {
            let is_list = lists > 0
                && match (to_list.peek(), for_a_page.peek()) {
                    (Some((list, _)), Some((page, _))) => list < page,
                    (list, _) => list.is_some(),
                };
            let first = if is_list {
                to_list.next()
            } else {
                for_a_page.next()
            };
            let Some((&number, waiter)) = first else {
                break;
            };
            if waiter.is_unresponsive(now) {
                unresponsive.push(number);
                continue;
            }
            places -= 1;
            lists -= usize::from(is_list);
            if caller == Some(number) {
                next = Next::Admitted;
            } else {
                released.called.extend(waiter.waker.take());
            }
        }
        if places > 0 {
            for (&number, waiter) in to_list {
                if waiter.is_unresponsive(now) {
                    unresponsive.push(number);
                    continue;
                }
                if caller == Some(number) {
                    waiter.watches_clock = true;
                    next = Next::WatchesClock;
                } else if !waiter.watches_clock {
                    released.called.extend(waiter.waker.take());
                }
                break;
            }
        }
        for number in unresponsive {
            self.remove(ApiCall::List, number, released);
            self.remove(ApiCall::Fetch, number, released);
        }
        next
    }
}
