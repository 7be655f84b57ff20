//! The measurements in a permanent climate.
//!
//! They are the delay of each event, the share of the time with a held poll, and the number of
//! calls per minute. A run that exceeds a bound of its climate fails; `mod.rs` judges the figures
//! of all runs together. Start at [`Measures::judge`].

use std::collections::VecDeque;
use std::time::Duration;

use box_longpoll_testkit::Endpoint;

use super::climates::{Bounds, bounds};
use super::weather::{Kind, Permanent, Weather};
use crate::exchange::{Outcome, RequestFacts};
use crate::ledger::Rank;
use crate::world::Inner;

const MINUTE: Duration = Duration::from_secs(60);

/// The longest time between two fetches if the client can use no realtime server.
const LONGEST_FETCH_INTERVAL: Duration = Duration::from_secs(60);

/// The measurements of one run.
#[derive(Clone, Debug)]
pub(crate) struct Measures {
    pub(super) name: String,
    /// `true` if a fetch within the interval counts as listening.
    fetches_at_interval: bool,
    /// The number of events that existed when the program started.
    backlog: usize,
    /// The time at which each event could be fetched for the first time.
    visible_at: Vec<Duration>,
    /// The number of those events that are delivered, or lie before the start.
    delivered: usize,
    /// The time at which each event after the backlog could be fetched, and its delay.
    late: Vec<(Duration, Duration)>,
    /// The time at which the backlog was delivered.
    pub(super) caught_up: Option<Duration>,
    /// The time with a held poll.
    listened: Duration,
    /// The duration of the run.
    lasted: Duration,
    /// The time at which the request for the last page was sent.
    last_page: Option<Duration>,
    calls: Recent,
    /// The pages that are less than half full.
    small_pages: Recent,
    /// The number of times that the stream stopped.
    pub(super) stops: u32,
}

/// A count over a sliding window of one minute, with its maximum and the total.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent {
    last_minute: VecDeque<Duration>,
    pub(super) total: u64,
    pub(super) most: usize,
}

impl Recent {
    fn add(&mut self, now: Duration) {
        self.total += 1;
        self.last_minute.push_back(now);
        while self
            .last_minute
            .front()
            .is_some_and(|first| *first + MINUTE < now)
        {
            self.last_minute.pop_front();
        }
        self.most = self.most.max(self.last_minute.len());
    }
}

impl Measures {
    pub(super) fn of(weather: &Weather) -> Self {
        Self {
            name: weather.name.clone(),
            fetches_at_interval: matches!(weather.kind, Kind::NoServers { .. }),
            backlog: weather.backlog as usize,
            visible_at: Vec::new(),
            delivered: 0,
            late: Vec::new(),
            caught_up: (weather.backlog == 0).then_some(Duration::ZERO),
            listened: Duration::ZERO,
            lasted: Duration::ZERO,
            last_page: None,
            calls: Recent::default(),
            small_pages: Recent::default(),
            stops: 0,
        }
    }

    pub(super) fn appended(&mut self, events: usize, visible: Duration) {
        let events = self.visible_at.len() + events;
        self.visible_at.resize(events, visible);
    }

    fn delivered(&mut self, ranks: &[Rank], now: Duration) {
        for rank in ranks {
            if rank.number < self.delivered {
                continue;
            }
            self.delivered = rank.number + 1;
            let Some(visible) = self.visible_at.get(rank.number) else {
                continue;
            };
            if rank.number >= self.backlog {
                self.late.push((*visible, now.saturating_sub(*visible)));
            }
        }
        if self.delivered >= self.backlog {
            self.caught_up.get_or_insert(now);
        }
    }

    /// Ends the run. An event that has not come by now counts as late until now.
    fn end(&mut self, now: Duration) {
        self.lasted = now;
        let missing = self
            .visible_at
            .iter()
            .skip(self.delivered.max(self.backlog));
        let late = missing.filter(|visible| **visible < now);
        self.late
            .extend(late.map(|visible| (*visible, now.saturating_sub(*visible))));
    }

    /// Returns the delays of the events that could first be fetched at `since` or later.
    pub(super) fn lateness(&self, since: Duration) -> impl Iterator<Item = Duration> {
        let later = self
            .late
            .iter()
            .filter(move |(visible, _)| *visible >= since);
        later.map(|(_, late)| *late)
    }

    pub(super) fn longest_lateness(&self) -> Duration {
        self.lateness(Duration::ZERO).max().unwrap_or_default()
    }

    /// Returns the time with a held poll, and the duration of the run.
    pub(super) fn listened(&self) -> (Duration, Duration) {
        (self.listened, self.lasted)
    }

    pub(super) fn calls(&self) -> &Recent {
        &self.calls
    }

    pub(super) fn small_pages(&self) -> &Recent {
        &self.small_pages
    }

    /// Returns a sentence about the first bound of its climate that the run exceeds.
    pub(crate) fn judge(&self) -> Option<String> {
        let Bounds {
            learned_after,
            longest_at_first,
            longest,
            caught_up,
            calls,
            small_pages,
            ..
        } = bounds(&self.name);
        let name = &self.name;
        let later = self.lateness(*learned_after).max().unwrap_or_default();
        let ever = self.longest_lateness();
        if self.stops > 0 {
            Some(format!("{name}: the stream stopped {} times", self.stops))
        } else if self.caught_up.is_none_or(|at| at > *caught_up) {
            Some(format!(
                "{name}: the backlog takes {:?}, and may take {caught_up:?}",
                self.caught_up
            ))
        } else if later > *longest {
            Some(format!(
                "{name}: an event is {later:?} late and may be {longest:?}"
            ))
        } else if ever > *longest_at_first.max(longest) {
            Some(format!(
                "{name}: an event is {ever:?} late at first and may be {longest_at_first:?}"
            ))
        } else if self.calls.most > *calls {
            let most = self.calls.most;
            Some(format!(
                "{name}: {most} calls in a minute, {calls} are permitted"
            ))
        } else if self.small_pages.most > *small_pages {
            let most = self.small_pages.most;
            Some(format!(
                "{name}: {most} small pages in a minute, {small_pages} are permitted"
            ))
        } else {
            None
        }
    }
}

impl Inner {
    /// Adds the time until `until` to the measurements. Nothing changes before that time.
    pub(crate) fn measure_listening(&mut self, until: Duration) {
        let listens = self.pending.values().any(|pending| pending.listens);
        let now = self.now;
        let Some(Permanent { measures, .. }) = &mut self.permanent else {
            return;
        };
        let fetched = measures.last_page.filter(|_| measures.fetches_at_interval);
        let by_fetch = fetched.map_or(now, |at| until.min(at + LONGEST_FETCH_INTERVAL));
        let listens_until = if listens { until } else { by_fetch };
        measures.listened += listens_until.saturating_sub(now);
    }

    pub(crate) fn measure_delivery(&mut self, ranks: &[Rank]) {
        let now = self.now;
        if let Some(permanent) = &mut self.permanent {
            permanent.measures.delivered(ranks, now);
        }
    }

    pub(crate) fn measure_call(&mut self) {
        let now = self.now;
        if let Some(permanent) = &mut self.permanent {
            permanent.measures.calls.add(now);
        }
    }

    pub(crate) fn measure_outcome(
        &mut self,
        facts: &RequestFacts,
        sent: Duration,
        outcome: &Outcome,
    ) {
        let (Some(permanent), Ok(response)) = (&mut self.permanent, outcome) else {
            return;
        };
        let Some(events) =
            chunk_size(&response.body).filter(|_| facts.endpoint == Endpoint::Events)
        else {
            return;
        };
        let measures = &mut permanent.measures;
        measures.last_page = Some(sent);
        if events > 0 && events < facts.limit.unwrap_or_default() / 2 {
            measures.small_pages.add(sent);
        }
    }

    pub(crate) fn measure_stop(&mut self) {
        if let Some(permanent) = &mut self.permanent {
            permanent.measures.stops += 1;
        }
    }

    pub(crate) fn take_measures(&mut self) -> Option<Measures> {
        let mut measures = self.permanent.take()?.measures;
        measures.end(self.now);
        Some(measures)
    }
}

/// Returns the number of events that a page of the emulator declares.
fn chunk_size(body: &[u8]) -> Option<u32> {
    let digits = body.strip_prefix(br#"{"chunk_size":"#)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}
