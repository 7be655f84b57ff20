//! The limits on the number of a stream's requests.
//!
//! A sliding window counts the requests that bring nothing new: at most 5 in any second and 120 in
//! any minute. Requests that bring new events are free, because a backlog must be delivered
//! quickly. For an enterprise, the limit is the configured number of calls per minute, fruitful or
//! not. Start at [`Budget::count`].

use std::collections::VecDeque;
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
    /// The last request, until it is known whether it brought something new.
    open: Option<Duration>,
    /// The last poll, until an event comes that it may have signaled.
    poll: Option<Duration>,
    /// The latest requests that brought nothing new, oldest first.
    fruitless: VecDeque<Duration>,
}

impl Budget {
    pub(crate) fn of(climate: &Climate) -> Self {
        Self {
            calls: climate.enterprise.then(VecDeque::new),
            ..Self::default()
        }
    }

    /// Counts a request, and checks the limits. The previous request counts as fruitless if nothing
    /// new has come since.
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
            Endpoint::Realtime => self.poll = Some(now),
            Endpoint::Events => {}
            _ => self.poll = None,
        }
        if let Some(before) = self.open.replace(now) {
            self.fruitless.push_back(before);
        }
        for (most, window) in LIMITS {
            // The current request is not counted yet, since it may be free.
            let recent = self.fruitless.iter().rev();
            let Some(newest) = self.fruitless.back() else {
                continue;
            };
            let within = recent
                .take_while(|sent| newest.saturating_sub(**sent) <= window)
                .count();
            if within > most {
                return Err(format!("{within} fruitless requests within {window:?}"));
            }
        }
        while self.fruitless.len() > 130 {
            self.fruitless.pop_front();
        }
        Ok(())
    }

    /// Notes that the last request brought new events. The poll that signaled them doesn't count as
    /// fruitless either.
    pub(crate) fn fruitful(&mut self) {
        self.open = None;
        if let Some(poll) = self.poll.take() {
            self.fruitless.retain(|sent| *sent != poll);
        }
    }
}
