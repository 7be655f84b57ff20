//! What is measured in a permanent climate: how late events are, how much of the time somebody listens, and how many calls
//! a minute that takes.

use std::collections::VecDeque;
use std::time::Duration;

use box_longpoll_testkit::Endpoint;

use super::climates::{Bounds, bounds};
use super::weather::{Kind, Permanent, Weather};
use crate::exchange::{Asked, Outcome};
use crate::ledger::Rank;
use crate::world::Inner;

const MINUTE: Duration = Duration::from_secs(60);

/// If no realtime server can be used, the client fetches at least this often.
const LONGEST_FETCH_INTERVAL: Duration = Duration::from_secs(60);

/// What one run has measured.
#[derive(Clone, Debug)]
pub(crate) struct Measures {
    pub(super) name: String,
    /// Whether a fetch within the interval counts as listening.
    looks: bool,
    /// So many events were there when the program started.
    backlog: usize,
    /// When each event could be fetched for the first time.
    visible_at: Vec<Duration>,
    /// So many of those are delivered, or lie before the start.
    delivered: usize,
    /// When each later event could be fetched, and how much later it was delivered.
    late: Vec<(Duration, Duration)>,
    /// When the backlog was delivered.
    pub(super) caught_up: Option<Duration>,
    listened: Duration,
    lasted: Duration,
    last_page: Option<Duration>,
    calls: Recent,
    /// Pages that have less than half as many events as they may.
    small_pages: Recent,
    pub(super) stops: u32,
}

/// How often something happened, and how often at most within a minute.
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
            looks: matches!(weather.kind, Kind::NoServers { .. }),
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

    /// The run is over. An event that has not come by now is as late as that.
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

    /// How late events were that could be fetched since then.
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

    /// For how long somebody listened, and how long the run was.
    pub(super) fn listened(&self) -> (Duration, Duration) {
        (self.listened, self.lasted)
    }

    pub(super) fn calls(&self) -> &Recent {
        &self.calls
    }

    pub(super) fn small_pages(&self) -> &Recent {
        &self.small_pages
    }

    /// Says which bound of its climate the run is beyond.
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
                "{name}: the backlog is delivered after {:?} and may take {caught_up:?}",
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
    /// Time passes until then, and nothing changes before.
    pub(crate) fn measure_listening(&mut self, until: Duration) {
        let listens = self.pending.values().any(|pending| pending.listens);
        let now = self.now;
        let Some(Permanent { measures, .. }) = &mut self.permanent else {
            return;
        };
        let fetched = measures.last_page.filter(|_| measures.looks);
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

    pub(crate) fn measure_outcome(&mut self, asked: &Asked, sent: Duration, outcome: &Outcome) {
        let (Some(permanent), Ok(answer)) = (&mut self.permanent, outcome) else {
            return;
        };
        let Some(events) = chunk_size(&answer.body).filter(|_| asked.endpoint == Endpoint::Events)
        else {
            return;
        };
        let measures = &mut permanent.measures;
        measures.last_page = Some(sent);
        if events > 0 && events < asked.limit.unwrap_or_default() / 2 {
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

/// How many events a page of the emulator says that it has.
fn chunk_size(body: &[u8]) -> Option<u32> {
    let digits = body.strip_prefix(br#"{"chunk_size":"#)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}
