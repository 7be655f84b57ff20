//! Counters of the requests by endpoint and caller, with their peak rates.
//!
//! A test can check with them that a client stays within a rate limit. Single requests are in
//! `request_log`. Start from [`Counters`].

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Endpoint;

/// The numbers of requests so far. Requests to the control API are not counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// The requests to all endpoints.
    pub total: RequestCounters,
    /// The requests `OPTIONS /2.0/events`.
    pub options: RequestCounters,
    /// The requests `GET /2.0/events`.
    pub events: RequestCounters,
    /// The polls of the realtime servers.
    pub realtime: RequestCounters,
    /// The requests `POST /oauth2/token`.
    pub token: RequestCounters,
    /// All other requests.
    pub other: RequestCounters,
    /// The number of polls that are held open now.
    pub open_polls: usize,
    /// The greatest number of polls that were held open at once.
    pub most_open_polls: usize,
    /// The number of events on all pages, including repeats.
    pub events_served: u64,
    /// The number of API calls with an issued access token that had expired or was revoked, by the
    /// token's [number](crate::RequestRecord::token).
    pub expired_calls: BTreeMap<u64, u32>,
}

/// The numbers of requests to one endpoint, or of one caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RequestCounters {
    /// The number of requests.
    pub requests: u64,
    /// The number of requests with an `Authorization` header.
    pub with_authorization: u64,
    /// The greatest number of requests within any second (a sliding window).
    pub most_per_second: usize,
    /// The greatest number of requests within any minute (a sliding window).
    pub most_per_minute: usize,
}

/// The counter of one endpoint or caller.
#[derive(Debug)]
pub(crate) struct Meter {
    requests: u64,
    with_authorization: u64,
    second: SlidingWindow,
    minute: SlidingWindow,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            requests: 0,
            with_authorization: 0,
            second: SlidingWindow::new(Duration::from_secs(1)),
            minute: SlidingWindow::new(Duration::from_secs(60)),
        }
    }
}

impl Meter {
    pub(crate) fn record(&mut self, authorization: bool, now: Instant) {
        self.requests += 1;
        self.with_authorization += u64::from(authorization);
        self.second.record(now);
        self.minute.record(now);
    }

    pub(crate) fn counters(&self) -> RequestCounters {
        RequestCounters {
            requests: self.requests,
            with_authorization: self.with_authorization,
            most_per_second: self.second.most,
            most_per_minute: self.minute.most,
        }
    }
}

/// A sliding window over the moments of requests, and the greatest number that it ever held.
#[derive(Debug)]
pub(crate) struct SlidingWindow {
    length: Duration,
    /// The moments inside the window, oldest first.
    recent: VecDeque<Instant>,
    /// The greatest number of moments so far.
    most: usize,
}

impl SlidingWindow {
    pub(crate) fn new(length: Duration) -> Self {
        Self {
            length,
            recent: VecDeque::new(),
            most: 0,
        }
    }

    pub(crate) fn record(&mut self, now: Instant) {
        self.forget(now);
        self.recent.push_back(now);
        self.most = self.most.max(self.recent.len());
    }

    /// Returns the time until the window holds fewer than `limit` moments, or `None` if it does so
    /// now.
    pub(crate) fn wait(&mut self, limit: usize, now: Instant) -> Option<Duration> {
        self.forget(now);
        let one_too_many = self.recent.len().checked_sub(limit.max(1))?;
        Some((self.recent[one_too_many] + self.length).saturating_duration_since(now))
    }

    /// Removes the moments that have left the window.
    fn forget(&mut self, now: Instant) {
        while self
            .recent
            .front()
            .is_some_and(|&first| now.saturating_duration_since(first) >= self.length)
        {
            self.recent.pop_front();
        }
    }
}

/// The counters over all callers.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    total: Meter,
    options: Meter,
    events: Meter,
    realtime: Meter,
    token: Meter,
    other: Meter,
    pub(crate) open_polls: usize,
    most_open_polls: usize,
    pub(crate) events_served: u64,
    expired_calls: BTreeMap<u64, u32>,
}

impl Traffic {
    pub(crate) fn record(&mut self, endpoint: Endpoint, authorization: bool, now: Instant) {
        self.total.record(authorization, now);
        let meter = match endpoint {
            Endpoint::Options => &mut self.options,
            Endpoint::Events => &mut self.events,
            Endpoint::Realtime => &mut self.realtime,
            Endpoint::Token => &mut self.token,
            Endpoint::Other => &mut self.other,
        };
        meter.record(authorization, now);
    }

    pub(crate) fn record_expired(&mut self, token: u64) {
        *self.expired_calls.entry(token).or_default() += 1;
    }

    pub(crate) fn poll_opened(&mut self) {
        self.open_polls += 1;
        self.most_open_polls = self.most_open_polls.max(self.open_polls);
    }

    pub(crate) fn poll_closed(&mut self) {
        self.open_polls -= 1;
    }

    /// Resets the counters to zero. Open polls stay counted.
    pub(crate) fn reset(&mut self) {
        let open_polls = self.open_polls;
        *self = Self {
            open_polls,
            most_open_polls: open_polls,
            ..Self::default()
        };
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters {
            total: self.total.counters(),
            options: self.options.counters(),
            events: self.events.counters(),
            realtime: self.realtime.counters(),
            token: self.token.counters(),
            other: self.other.counters(),
            open_polls: self.open_polls,
            most_open_polls: self.most_open_polls,
            events_served: self.events_served,
            expired_calls: self.expired_calls.clone(),
        }
    }
}
