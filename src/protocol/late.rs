//! Events that come after their signal.
//!
//! A realtime server that honors a poll's `stream_position` responds at once if events lie behind it, so no signal can get
//! lost between two polls. Nobody has published that Box's servers do. Until one has shown that it does, a stream fetches a
//! few times more after each signal. The type to start from is [`LateChecks`].

use std::time::{Duration, Instant};

use crate::position::StartAt;

/// When to fetch again after a signal, in seconds.
const SCHEDULE: [u64; 7] = [1, 2, 4, 8, 16, 32, 64];

/// The checks up to this come before the next poll. Later ones end a poll.
const BEFORE_POLL: Duration = Duration::from_secs(4);

/// A check that is due so soon is waited for, since a poll would hardly be sent by then.
const SOON: Duration = Duration::from_millis(100);

/// So many probes in a row have to be responded to at once. A signal of something else may come with one of them.
const PROBES: u8 = 2;

/// How the realtime servers treat the position of a poll, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Positions {
    #[default]
    Unknown,
    Honored,
    Ignored,
}

/// The checks after the latest signal.
#[derive(Debug, Default)]
pub(super) struct LateChecks {
    pub(super) positions: Positions,
    signaled_at: Option<Instant>,
    /// `true` if what was signaled has come.
    found: bool,
    /// The position before a page that was just read, to find out with.
    probe: Option<StartAt>,
    /// The position of the last probe.
    probed: Option<StartAt>,
    /// Probes in a row that were responded to at once.
    honored: u8,
    /// A finding that the client's other streams do not know yet.
    finding: Option<Positions>,
}

impl LateChecks {
    /// How long a server is polled with a position that has events behind it.
    pub(super) const PROBE: Duration = Duration::from_secs(5);

    /// A server that honors positions has responded to it by then. A later signal may be of something else.
    pub(super) const AT_ONCE: Duration = Duration::from_secs(2);

    pub(super) fn signaled(&mut self, now: Instant) {
        self.signaled_at = Some(now);
        self.found = false;
    }

    /// A page with new events was read, from that position.
    pub(super) fn page_read(&mut self, from: &StartAt) {
        self.found = true;
        if self.positions == Positions::Unknown && from.position().is_some() {
            self.probe = Some(from.clone());
        }
    }

    /// The server responded at once to a position with events behind it, and no new events followed that signal.
    pub(super) fn probe_succeeded(&mut self) {
        self.honored += 1;
        if self.honored < PROBES {
            self.probe = self.probed.take();
        } else {
            self.found_out(Positions::Honored);
            self.signaled_at = None;
        }
    }

    /// The server did not respond at once to a position with events behind it.
    pub(super) fn probe_failed(&mut self) {
        self.found_out(Positions::Ignored);
    }

    /// A poll that ended without a signal was followed by new events. They may have come after its end, so it is found out
    /// once more if the server honors positions.
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

    /// A position with events behind it for the next poll, if that is to find out if the server honors it.
    pub(super) fn take_probe(&mut self) -> Option<StartAt> {
        let probe = self.probe.take();
        self.probed = probe.filter(|_| self.positions == Positions::Unknown);
        self.probed.clone()
    }

    /// When to fetch again before a poll is opened.
    pub(super) fn before_next_poll(&self, now: Instant) -> Option<Instant> {
        if self.probe.is_some() && self.positions == Positions::Unknown {
            return None;
        }
        let last = self.signaled_at? + BEFORE_POLL;
        let next = self.next_after(now)?;
        (next <= last || next <= now + SOON).then_some(next)
    }

    /// When to fetch again. A server that honors positions tells of what is late as soon as it is polled; without checks
    /// it would tell again and again of an event that does not show yet.
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
