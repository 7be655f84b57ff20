//! The rules for the two lanes of a stream: it fetches pages, and beside that it lists servers or
//! polls one.
//!
//! They say which requests may overlap, and that a stream never waits for nothing. They also say by
//! when it must fetch: after a signal, and by the setting `max_staleness`. Other times of a request
//! are checked in `conduct`. Start at [`Inner::check_lane`] and [`Inner::check_lanes`].

use std::time::Duration;

use box_longpoll::Status;
use box_longpoll_testkit::Endpoint;

use crate::network::Pending;
use crate::world::Inner;

/// The longest time from a signal, or from the end of `max_staleness`, to a fetch. It includes the
/// wait for the pace.
const SOON: Duration = Duration::from_secs(5);

/// The times by which a stream must fetch.
#[derive(Default)]
pub(crate) struct Lanes {
    /// The time of a signal that no fetch has followed yet.
    signaled: Option<Duration>,
    /// The time of the last fetch.
    fetched: Duration,
    /// The last time at which the program did not wait for the stream, or the stream for a batch.
    /// A stream does not poll its requests then.
    pub(crate) rested: Duration,
    /// `true` if no page has come since a fetch or a call of the token source failed.
    fails: bool,
}

impl Lanes {
    /// Notes that a request for a page is sent.
    pub(crate) fn fetches(&mut self, now: Duration) {
        self.signaled = None;
        self.fetched = now;
    }

    /// Notes the outcome of a fetch.
    pub(crate) fn fetched(&mut self, is_page: bool) {
        self.fails = !is_page;
    }

    /// Notes that the token source has failed.
    pub(crate) fn got_no_token(&mut self) {
        self.fails = true;
    }

    /// Notes a signal of events that no page has brought yet.
    pub(crate) fn was_signaled(&mut self, now: Duration) {
        self.signaled.get_or_insert(now);
    }
}

impl Inner {
    /// Checks that no other request of its lane is in flight while a request is sent.
    pub(crate) fn check_lane(&self, endpoint: Endpoint) -> Result<(), String> {
        let other = self.in_lane_of(endpoint);
        other.map_or(Ok(()), |other| {
            let other = other.facts.endpoint;
            Err(format!("it sends {endpoint:?} with {other:?} in flight"))
        })
    }

    /// Returns the request in flight of the same lane.
    fn in_lane_of(&self, endpoint: Endpoint) -> Option<&Pending> {
        let fetches = endpoint == Endpoint::Events;
        let mut pending = self.pending.values();
        pending.find(|pending| (pending.facts.endpoint == Endpoint::Events) == fetches)
    }

    /// Returns `true` if the stream works and its program waits for it.
    fn is_waited_for(&self) -> bool {
        let ends = self.crashed.is_some() || self.stop_wanted || self.stopping;
        let waits = self.open_batches.waits && self.handle.is_some();
        waits && !ends && !self.conduct.may_stop()
    }

    /// Returns `true` if the stream waits for a batch. It does not if something has to be stored or
    /// acknowledged first.
    fn awaits_batch(&self) -> bool {
        let is_hindered = matches!(
            self.status(),
            Some(
                Status::LoadingCheckpoint
                    | Status::AwaitingAcks { .. }
                    | Status::NotSaving { .. }
                    | Status::Stopped { .. }
            )
        );
        self.is_waited_for() && !is_hindered
    }

    /// Extends the times by which the stream must fetch if it can't do so until `until`.
    pub(crate) fn stays_until(&mut self, until: Duration) {
        let awaits_batch = self.awaits_batch();
        if !awaits_batch {
            self.lanes.rested = until;
            self.conduct.rests(self.now, until);
        }
        let fetches = self.in_lane_of(Endpoint::Events).is_some();
        let must_wait = fetches || self.lanes.fails || self.now < self.conduct.api_not_before;
        if !awaits_batch || must_wait {
            self.lanes.fetched = until;
            self.lanes.signaled = self.lanes.signaled.map(|_| until);
        }
    }

    /// Checks that the stream fetches in time, and that it waits for something. `idle`: the program
    /// waits.
    pub(crate) fn check_lanes(&mut self, idle: bool) {
        self.stays_until(self.now);
        if idle {
            let waits = self.check_wait();
            self.check(waits);
        }
        if self.lanes.signaled.is_some_and(|at| self.now > at + SOON) {
            self.check::<()>(Err("no fetch follows a signal".into()));
        }
        let most = Duration::from_secs(self.climate.max_staleness_s);
        let is_stale = self.now > self.lanes.fetched + most + SOON;
        if is_stale && !most.is_zero() && !self.climate.enterprise {
            let fetched = self.lanes.fetched;
            let why = format!("its last fetch was at {fetched:?}, and may be {most:?} ago");
            self.check::<()>(Err(why));
        }
    }

    /// Checks that a stream without a request in flight waits for a timer, unless something else
    /// hinders it.
    fn check_wait(&self) -> Result<(), String> {
        if !self.is_waited_for() || !self.pending.is_empty() || self.store.is_writing() {
            return Ok(());
        }
        match self.status() {
            Some(Status::Waiting { .. } | Status::Retrying { .. } | Status::Degraded { .. })
                if self.sleepers.is_empty() =>
            {
                Err("it waits without a timer".into())
            }
            Some(
                status @ (Status::Authorizing
                | Status::Fetching
                | Status::Listing
                | Status::Connecting { .. }
                | Status::Listening { .. }
                | Status::Delivering),
            ) => Err(format!("it waits for nothing, and its status is {status}")),
            _ => Ok(()),
        }
    }

    /// Returns the name of the lanes with a request in flight, for the coverage.
    pub(crate) fn lanes_in_flight(&self) -> &'static str {
        let fetches = self.in_lane_of(Endpoint::Events).is_some();
        match (fetches, self.in_lane_of(Endpoint::Realtime).is_some()) {
            (false, false) => "NothingInFlight",
            (true, false) => "FetchInFlight",
            (false, true) => "ListenInFlight",
            (true, true) => "BothInFlight",
        }
    }

    /// Returns the state of the page that is read ahead while the program works on a batch, for the
    /// coverage: it is on its way, or it waits.
    pub(crate) fn page_ahead(&self) -> Option<&'static str> {
        if self.open_batches.waits || self.handle.is_none() {
            return None;
        }
        match self.in_lane_of(Endpoint::Events) {
            _ if self.gaps.has_a_page_ahead() => Some("PageWaits"),
            Some(pending) if pending.has_come => Some("PageWaits"),
            Some(_) => Some("ReadsAhead"),
            None => None,
        }
    }

    /// Counts the outcome of a request by what the other lane does meanwhile. `rejected` is the
    /// token that Box rejected with it.
    pub(crate) fn count_beside(&mut self, endpoint: Endpoint, rejected: Option<&str>) {
        let beside = match endpoint {
            Endpoint::Events => self.in_lane_of(Endpoint::Realtime),
            _ => self.in_lane_of(Endpoint::Events),
        };
        let token = beside.and_then(|pending| pending.facts.token.as_deref());
        let with_the_same = rejected.is_some() && rejected == token;
        let beside = beside.map(|pending| pending.facts.endpoint);
        self.coverage.count(&format!("Outcome{endpoint:?}"), beside);
        if with_the_same {
            self.coverage.count("Rejected", beside);
        }
    }
}
