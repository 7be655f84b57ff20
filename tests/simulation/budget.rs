//! How often a stream may ask in vain: at most 5 times in any second and 120 times in any minute. Of an enterprise, how often
//! it may ask at all.

use std::collections::VecDeque;
use std::time::Duration;

use box_longpoll_testkit::Endpoint;

use crate::climate::Climate;
use crate::program::CALLS_PER_MINUTE;

const LIMITS: [(usize, Duration); 2] = [(5, Duration::from_secs(1)), (120, MINUTE)];

const MINUTE: Duration = Duration::from_secs(60);

/// The requests of one stream.
#[derive(Default)]
pub(crate) struct Budget {
    /// The calls of the last minute, where there is a limit to those, fruitful or not.
    calls: Option<VecDeque<Duration>>,
    /// The last request, until it is known whether it brought something new.
    open: Option<Duration>,
    /// The last poll, until something comes that it may have told of.
    poll: Option<Duration>,
    in_vain: VecDeque<Duration>,
}

impl Budget {
    pub(crate) fn of(climate: &Climate) -> Self {
        Self {
            calls: climate.enterprise.then(VecDeque::new),
            ..Self::default()
        }
    }

    /// A request is sent. The one before it has brought what it brought.
    pub(crate) fn sent(&mut self, endpoint: Endpoint, now: Duration) -> Result<(), String> {
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
            self.in_vain.push_back(before);
        }
        for (most, window) in LIMITS {
            // The one that is just sent is not counted: it may be free.
            let recent = self.in_vain.iter().rev();
            let Some(newest) = self.in_vain.back() else {
                continue;
            };
            let within = recent
                .take_while(|sent| newest.saturating_sub(**sent) <= window)
                .count();
            if within > most {
                return Err(format!("{within} requests in vain within {window:?}"));
            }
        }
        while self.in_vain.len() > 130 {
            self.in_vain.pop_front();
        }
        Ok(())
    }

    /// The last request brought something that the stream had not delivered before, and so did the poll that told of it.
    pub(crate) fn fruitful(&mut self) {
        self.open = None;
        if let Some(poll) = self.poll.take() {
            self.in_vain.retain(|sent| *sent != poll);
        }
    }
}
