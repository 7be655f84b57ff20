//! The count of faults by the state of the stream that they met.
//!
//! If all seeds run, each fault must have met each state in which it can happen. A generator that
//! never reaches a state would otherwise go unnoticed. It says nothing about the outcome of a run.
//! Start at [`Coverage::assert_complete`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use box_longpoll::Status;
use box_longpoll_testkit::Endpoint;

use crate::exchange::Phase;
use crate::mishaps::all_with_a_request;

/// The number of times that each fault happened, by the stream's state at that moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coverage(BTreeMap<(String, String), u64>);

/// Returns the name of a stream's status. `None`: the program was not running.
pub(crate) fn state(status: Option<&Status>) -> &'static str {
    match status {
        None => "NotRunning",
        Some(Status::Authorizing) => "Authorizing",
        Some(Status::Fetching) => "Fetching",
        Some(Status::Listing) => "Listing",
        Some(Status::Listening { .. }) => "Listening",
        Some(Status::Delivering) => "Delivering",
        Some(Status::Waiting { .. }) => "Waiting",
        Some(Status::Retrying { .. }) => "Retrying",
        Some(Status::Degraded { .. }) => "Degraded",
        Some(Status::AwaitingAcks { .. }) => "AwaitingAcks",
        Some(Status::NotSaving { .. }) => "NotSaving",
        Some(_) => "Stopped",
    }
}

impl Coverage {
    pub(crate) fn count(&mut self, fault: &str, state: impl fmt::Debug) {
        let state = format!("{state:?}").replace('"', "");
        *self.0.entry((fault.to_owned(), state)).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (met, times) in &other.0 {
            *self.0.entry(met.clone()).or_default() += times;
        }
    }

    pub(crate) fn times(&self, fault: &str, state: &str) -> u64 {
        let met = (fault.to_owned(), state.to_owned());
        self.0.get(&met).copied().unwrap_or_default()
    }
}

impl Coverage {
    /// Panics unless every fault met every state in which it can happen.
    #[track_caller]
    pub(crate) fn assert_complete(&self) {
        let mut never = Vec::new();
        let mut expect = |fault: &str, state: &str| {
            if self.times(fault, state) == 0 {
                never.push(format!("{fault} in {state}"));
            }
        };
        for endpoint in Endpoint::ALL {
            for what in all_with_a_request(endpoint) {
                for phase in Phase::of(endpoint) {
                    expect(
                        &format!("{endpoint:?} {}", what.name()),
                        &format!("{phase:?}"),
                    );
                }
            }
        }
        for (faults, states) in EXPECTED {
            for fault in *faults {
                for state in *states {
                    expect(fault, state);
                }
            }
        }
        assert!(never.is_empty(), "never met: {never:#?}");
    }
}

/// The faults outside of requests, with the states in which they happen.
///
/// Few faults happen in `Authorizing`, because the token source responds at once. Batches are
/// dropped and positions written while the program works, so only in some states.
const EXPECTED: &[(&[&str], &[&str])] = &[
    (
        &[
            "Crash",
            "Away",
            "Stop",
            "Rename",
            "Down",
            "HostDown",
            "Revoke",
            "ClockSet",
            "Sleeps",
            "StoreDown",
        ],
        &[
            "Fetching",
            "Listing",
            "Listening",
            "Delivering",
            "Waiting",
            "Retrying",
            "Degraded",
            "AwaitingAcks",
            "NotSaving",
        ],
    ),
    (
        &[
            "Crash", "Away", "Stop", "Rename", "Down", "HostDown", "Revoke", "ClockSet", "Sleeps",
        ],
        &[
            "FetchInFlight",
            "ListenInFlight",
            "BothInFlight",
            "PageWaits",
        ],
    ),
    (
        &["Crash", "Away", "Stop", "Revoke", "Sleeps"],
        &["ReadsAhead"],
    ),
    (
        &["OutcomeEvents"],
        &["None", "Some(Options)", "Some(Realtime)"],
    ),
    (
        &["OutcomeOptions", "OutcomeRealtime"],
        &["None", "Some(Events)"],
    ),
    (&["Rejected"], &["Some(Events)", "Some(Options)"]),
    (&["Crash", "Away", "Stop"], &["Authorizing"]),
    (
        &["WriteFails", "WriteLost", "WriteUnsaid"],
        &["Delivering", "AwaitingAcks", "NotSaving", "NotRunning"],
    ),
    (&["NoAck"], &["Delivering", "AwaitingAcks", "NotSaving"]),
    (&["NoTokenNow", "NoToken"], &["Authorizing"]),
    (&["NoTokenNow", "NoToken", "SameToken"], &["Refresh"]),
];

/// Shows a table for each endpoint, and one for faults outside of requests. A line is a fault, and
/// a column is a state.
impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for endpoint in ["Events ", "Options ", "Realtime ", ""] {
            let belongs = |fault: &str| match endpoint {
                "" => !fault.contains(' '),
                endpoint => fault.starts_with(endpoint),
            };
            let met = || self.0.keys().filter(|(fault, _)| belongs(fault));
            let states: BTreeSet<&String> = met().map(|(_, state)| state).collect();
            let faults: BTreeSet<&String> = met().map(|(fault, _)| fault).collect();
            write!(f, "\n{:32}", "")?;
            for state in &states {
                write!(f, " {state:>16}")?;
            }
            for fault in faults {
                write!(f, "\n{fault:32}")?;
                for state in &states {
                    match self.times(fault, state) {
                        0 => write!(f, " {:>16}", ".")?,
                        times => write!(f, " {times:>16}")?,
                    }
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
