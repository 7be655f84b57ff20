//! Who is next at the gate. Time is an argument.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::ApiCall;
use crate::config::Config;
use crate::pacing::TokenBucket;

/// How often those who wait look up though nobody calls them: who was called may be one that nobody polls.
const LOOK_UP: Duration = Duration::from_secs(1);

/// Who was called and does not come for so long lets others go first. When it comes after all, it is the first again.
const UNRESPONSIVE_AFTER: Duration = Duration::from_secs(2);

/// A call that nobody polls is taken to be over so long after its timeout.
const GRACE: Duration = Duration::from_secs(1);

/// The calls under way, and those that wait, in the order of their numbers.
pub(super) struct WaitQueue {
    places: usize,
    timeout: Duration,
    lists: TokenBucket,
    /// When each call that is under way is over, whatever comes.
    under_way: BTreeMap<u64, Instant>,
    waiting_to_list: Waiters,
    waiting_for_a_page: Waiters,
    last_number: u64,
}

type Waiters = BTreeMap<u64, Waiter>;

#[derive(Default)]
struct Waiter {
    /// `None` once it was called, until it asks again.
    waker: Option<Waker>,
    /// Since when it could come, or when it last looked at the clock for the next list.
    called: Option<Instant>,
}

/// Wakers that the line has let go of. To wake or to drop one runs code of an executor, which may come back to the gate: that
/// waits until the line is unlocked.
#[derive(Default)]
pub(super) struct Released {
    /// Those whose turn it is.
    called: Vec<Waker>,
    /// Those that nobody is to wake.
    unused: Vec<Waker>,
}

impl Released {
    /// Wakes those whose turn it is.
    pub(super) fn wake(self) {
        self.called.into_iter().for_each(Waker::wake);
    }
}

/// What a call may do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Be sent.
    Admitted,
    /// Ask again then, or when it is woken.
    WaitUntil(Instant),
}

/// What comes next for the one who asks.
enum Next {
    Enters,
    /// Nobody before it is there to wait for the time of the next list.
    WatchesTheClock,
    Waits,
}

impl WaitQueue {
    pub(super) fn new(config: &Config, now: Instant) -> Self {
        // A twentieth at once, and the rest one by one: together never more than that in any second.
        let a_second = config.max_server_lists_per_second;
        let at_once = (a_second / 20).max(1);
        let lists = TokenBucket::full(at_once.into(), f64::from(a_second) * 57.0, now);
        Self {
            places: config.max_api_calls,
            timeout: config.api_timeout,
            lists,
            under_way: BTreeMap::new(),
            waiting_to_list: BTreeMap::new(),
            waiting_for_a_page: BTreeMap::new(),
            last_number: 0,
        }
    }

    /// Returns whether it is the call's turn, and whom to wake. A new call gets a number, by which it [leaves](Self::leave).
    pub(super) fn ask(
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
        let waiter = self.waiters(call).entry(mine).or_default();
        released.unused.extend(waiter.waker.replace(waker));
        let admission = match self.call_up(Some(mine), now, &mut released) {
            Next::Enters => {
                self.remove(call, mine, &mut released);
                self.enter(call, mine, now)
            }
            Next::WatchesTheClock => {
                Admission::WaitUntil(self.lists.available_at(now).min(now + LOOK_UP))
            }
            Next::Waits => {
                if let Some(waiter) = self.waiters(call).get_mut(&mine) {
                    waiter.called = None;
                }
                Admission::WaitUntil(now + LOOK_UP)
            }
        };
        (admission, released)
    }

    /// A call is over, or does not wait any more. Returns whom to wake.
    pub(super) fn leave(&mut self, call: ApiCall, number: u64, now: Instant) -> Released {
        let mut released = Released::default();
        self.under_way.remove(&number);
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
        match call {
            ApiCall::List => &mut self.waiting_to_list,
            ApiCall::Fetch => &mut self.waiting_for_a_page,
        }
    }

    fn is_open_to(&mut self, call: ApiCall, now: Instant) -> bool {
        self.waiting_to_list.is_empty()
            && self.waiting_for_a_page.is_empty()
            && self.free_places(now) > 0
            && (call == ApiCall::Fetch || self.lists.can_acquire(now))
    }

    fn enter(&mut self, call: ApiCall, number: u64, now: Instant) -> Admission {
        if call == ApiCall::List {
            self.lists.acquire_early(now);
        }
        self.under_way.insert(number, now + self.timeout + GRACE);
        Admission::Admitted
    }

    fn free_places(&mut self, now: Instant) -> usize {
        self.under_way.retain(|_, over| now < *over);
        self.places.saturating_sub(self.under_way.len())
    }

    /// Calls those who can go now, and one to watch the clock where a list has to wait for its time. Those who were called
    /// before and are late keep nobody waiting.
    fn call_up(&mut self, asks: Option<u64>, now: Instant, released: &mut Released) -> Next {
        if self.waiting_to_list.is_empty() && self.waiting_for_a_page.is_empty() {
            return Next::Waits;
        }
        let mut places = self.free_places(now);
        let mut lists = self.lists.available(now);
        let mut next = Next::Waits;
        let mut late = Vec::new();
        let mut comes = |number: u64, waiter: &mut Waiter| {
            if asks == Some(number) {
                waiter.called = Some(now);
            } else if waiter
                .called
                .is_some_and(|at| now >= at + UNRESPONSIVE_AFTER)
            {
                late.push(number);
                return false;
            } else if waiter.called.is_none() {
                waiter.called = Some(now);
                released.called.extend(waiter.waker.take());
            }
            true
        };

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
            if comes(number, waiter) {
                places -= 1;
                lists -= usize::from(is_list);
                if asks == Some(number) {
                    next = Next::Enters;
                }
            }
        }
        if places > 0 {
            for (&number, waiter) in to_list {
                if comes(number, waiter) {
                    if asks == Some(number) {
                        next = Next::WatchesTheClock;
                    }
                    break;
                }
            }
        }
        for number in late {
            self.remove(ApiCall::List, number, released);
            self.remove(ApiCall::Fetch, number, released);
        }
        next
    }
}
