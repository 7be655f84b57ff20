//! Events that appear after their signal, and the checks that find them.
//!
//! A realtime server that honors a poll's `stream_position` responds at once if there are events
//! after it, so no signal can get lost between two polls. Box does not document that its servers
//! do. Until one has shown that it does, a stream fetches a few more times after each signal,
//! beside the next poll. The engine makes those fetches. The type to start from is [`LateChecks`].

use std::time::{Duration, Instant};

use crate::position::StartAt;

/// The times after a signal at which events are fetched again, in seconds. Each doubles the one
/// before.
const SCHEDULE: [u64; 7] = [1, 2, 4, 8, 16, 32, 64];

/// The latest check that comes before the next poll: 4 s after the signal. Later checks are made
/// beside a held poll.
const BEFORE_POLL: Duration = Duration::from_secs(4);

/// The number of probes in a row that must get a response at once. A signal of another change may
/// coincide with one of them.
const PROBES: u8 = 2;

/// The behavior of the realtime servers for the position of a poll, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Positions {
    /// No server has shown it yet.
    #[default]
    Unknown,
    /// The servers respond at once to a position with events after it.
    Honored,
    /// The servers do not respond at once.
    Ignored,
}

/// The checks after the latest signal.
#[derive(Debug, Default)]
pub(super) struct LateChecks {
    pub(super) positions: Positions,
    /// The time of the latest signal, from which the checks count.
    signaled_at: Option<Instant>,
    /// `true` if events have been found since that signal.
    found: bool,
    /// The position before the page that was read last, for the next probe.
    probe: Option<StartAt>,
    /// The position of the last probe.
    probed: Option<StartAt>,
    /// The number of probes in a row that were responded to at once.
    honored: u8,
    /// A finding that the client's other streams do not know yet.
    finding: Option<Positions>,
}

impl LateChecks {
    /// The time for which a probe is held: 5 s. A probe is a poll with a position that has events
    /// after it.
    pub(super) const PROBE: Duration = Duration::from_secs(5);

    /// The time within which a server that honors positions responds to a probe: 2 s. A later
    /// signal may be for another change.
    pub(super) const AT_ONCE: Duration = Duration::from_secs(2);

    /// Notes a signal, and starts the checks.
    pub(super) fn signaled(&mut self, now: Instant) {
        self.signaled_at = Some(now);
        self.found = false;
    }

    /// Notes that a page with new events was read from a position, which becomes the next probe.
    pub(super) fn page_read(&mut self, from: &StartAt) {
        self.found = true;
        if self.positions == Positions::Unknown && from.position().is_some() {
            self.probe = Some(from.clone());
        }
    }

    /// Notes that the server responded at once to a probe, and that no new events followed that
    /// signal.
    pub(super) fn probe_succeeded(&mut self) {
        self.honored += 1;
        if self.honored < PROBES {
            self.probe_again();
        } else {
            self.found_out(Positions::Honored);
            self.signaled_at = None;
        }
    }

    /// Repeats the last probe, whose result is not known.
    pub(super) fn probe_again(&mut self) {
        self.probe = self.probed.take();
    }

    /// Notes that the server did not respond at once to a probe.
    pub(super) fn probe_failed(&mut self) {
        self.found_out(Positions::Ignored);
    }

    /// Notes that new events followed a poll that ended without a signal. They may have appeared
    /// after its end, so the servers are probed again.
    pub(super) fn signal_was_missed(&mut self) {
        if self.positions == Positions::Honored {
            self.found_out(Positions::Unknown);
        }
    }

    fn found_out(&mut self, positions: Positions) {
        self.positions = positions;
        self.finding = Some(positions);
        self.probed = None;
        self.honored = 0;
    }

    /// Returns the finding since the last call, if there is one.
    pub(super) fn take_finding(&mut self) -> Option<Positions> {
        self.finding.take()
    }

    /// Returns the position for the next poll if that poll is a probe.
    pub(super) fn take_probe(&mut self) -> Option<StartAt> {
        let probe = self.probe.take();
        self.probed = probe.filter(|_| self.positions == Positions::Unknown);
        self.probed.clone()
    }

    /// Returns the time of a check that comes before the next poll.
    ///
    /// Only a signal without an event delays the next poll. A server that honors positions would
    /// repeatedly signal an event that Box does not show yet. A probe comes before any check.
    pub(super) fn before_next_poll(&self, now: Instant) -> Option<Instant> {
        let probes = self.probe.is_some() && self.positions == Positions::Unknown;
        if self.found || probes || self.positions == Positions::Ignored {
            return None;
        }
        let last = self.signaled_at? + BEFORE_POLL;
        self.next_after(now).filter(|next| *next <= last)
    }

    /// Returns the time of the next check.
    ///
    /// A server that honors positions signals a late event as soon as it is polled, so few checks
    /// are needed.
    pub(super) fn next_after(&self, now: Instant) -> Option<Instant> {
        let signaled_at = self.signaled_at?;
        let last = match self.positions {
            Positions::Honored if self.found => return None,
            Positions::Honored => BEFORE_POLL,
            Positions::Unknown | Positions::Ignored => Duration::MAX,
        };
        SCHEDULE
            .into_iter()
            .map(Duration::from_secs)
            .filter(|after| *after <= last)
            .map(|after| signaled_at + after)
            .find(|at| *at > now)
    }
}
