//! The limits on the number of a stream's requests.
//!
//! A sliding window counts the requests that bring nothing new: at most 5 in any second and 120 in
//! any minute. Requests that bring new events are free, because a backlog must be delivered
//! quickly. The polls that signal such events are free too, whether they end before or after a page
//! has brought the events. For an enterprise, the limit is the configured number of calls per
//! minute, fruitful or not. Start at [`Budget::count`].

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use box_longpoll_testkit::Endpoint;

use crate::climate::Climate;
use crate::program::CALLS_PER_MINUTE;

/// The largest number of fruitless requests within each period. They are the
/// defaults of `Pace`.
const LIMITS: [(usize, Duration); 2] = [(5, Duration::from_secs(1)), (120, MINUTE)];

const MINUTE: Duration = Duration::from_secs(60);

/// The requests of one stream.
#[derive(Default)]
pub(crate) struct Budget {
    /// The calls of the last minute, if the stream has a limit for all calls.
    calls: Option<VecDeque<Duration>>,
    /// The last request to each endpoint, until it is known whether it brought something new.
    open: HashMap<Endpoint, Duration>,
    /// The last poll, until an event comes that it may have signaled.
    poll: Option<Duration>,
    /// `true` while the last poll is in flight.
    polls: bool,
    /// `true` if a page with new events has come since the last poll was sent.
    found_since_poll: bool,
    /// The latest requests that brought nothing new, in the order in which they were sent.
    fruitless: VecDeque<Duration>,
}

impl Budget {
    pub(crate) fn of(climate: &Climate) -> Self {
        Self {
            calls: climate.enterprise.then(VecDeque::new),
            ..Self::default()
        }
    }

    /// Counts a request, and checks the limits. The previous request to the same endpoint counts as
    /// fruitless if nothing new has come since.
    pub(crate) fn count(&mut self, endpoint: Endpoint, now: Duration) -> Result<(), String> {
        if let Some(calls) = &mut self.calls {
            calls.push_back(now);
            calls.retain(|sent| now.saturating_sub(*sent) <= MINUTE);
            return if calls.len() <= CALLS_PER_MINUTE as usize {
                Ok(())
            } else {
                Err(format!("{} calls within a minute", calls.len()))
            };
        }
        match endpoint {
            Endpoint::Realtime => {
                self.poll = Some(now);
                self.polls = true;
                self.found_since_poll = false;
            }
            Endpoint::Events => {}
            _ => self.poll = None,
        }
        // The current request is not counted yet, since it may be free.
        if let Some(before) = self.open.insert(endpoint, now) {
            let earlier = self.fruitless.partition_point(|sent| *sent <= before);
            self.fruitless.insert(earlier, before);
        }
        for (most, window) in LIMITS {
            let last_of_too_many = self.fruitless.iter().skip(most);
            let mut too_many = self.fruitless.iter().zip(last_of_too_many);
            if too_many.any(|(first, last)| last.saturating_sub(*first) <= window) {
                return Err(format!("over {most} fruitless requests within {window:?}"));
            }
        }
        while self.fruitless.len() > 130 {
            self.fruitless.pop_front();
        }
        Ok(())
    }

    /// Notes a page with new events. Neither its request nor the poll that signaled the events
    /// counts as fruitless.
    pub(crate) fn page_brought_new(&mut self) {
        self.open.remove(&Endpoint::Events);
        self.found_since_poll = true;
        if !self.polls {
            self.poll_is_free();
        }
    }

    /// Notes the end of a poll. If it signaled events that a page has brought meanwhile, it doesn't
    /// count as fruitless. Returns `true` if a page has brought any.
    pub(crate) fn poll_ended(&mut self, signaled: bool) -> bool {
        self.polls = false;
        if signaled && self.found_since_poll {
            self.poll_is_free();
        }
        self.found_since_poll
    }

    fn poll_is_free(&mut self) {
        let Some(poll) = self.poll.take() else {
            return;
        };
        if self.open.get(&Endpoint::Realtime) == Some(&poll) {
            self.open.remove(&Endpoint::Realtime);
        } else if let Ok(index) = self.fruitless.binary_search(&poll) {
            self.fruitless.remove(index);
        }
    }
}
