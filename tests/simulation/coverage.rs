//! Which fault met the stream in which state.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use box_longpoll::Status;

/// How often each fault happened, by the stream's state at that moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coverage(BTreeMap<(String, String), u64>);

/// A stream's status by name. `None`: the program was not running.
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

/// For each endpoint, and for what happens without a request, a table with a line a fault and a column a state.
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
