//! The scenarios in which subjects are measured.
//!
//! Each file has a `Task`, the client's part, and a function `measure`, the harness's part. Start
//! from [`Scenario`].

pub(crate) mod catch_up;
pub(crate) mod hold;
pub(crate) mod latency;
pub(crate) mod notify;
pub(crate) mod paced;
pub(crate) mod serve;

use serde::{Deserialize, Serialize};

use crate::client::Begin;
use crate::emulator::Address;
use crate::subject::Subject;

/// The scenario that a client's process runs.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Scenario {
    CatchUp(catch_up::Task),
    Latency(latency::Task),
    Hold(hold::Task),
    Notify(notify::Task),
    Paced(paced::Task),
}

impl Scenario {
    pub(crate) fn run<S: Subject>(&self, server: &Address, begin: Begin) {
        match self {
            Self::CatchUp(task) => task.run::<S>(server, begin),
            Self::Latency(task) => task.run::<S>(server, begin),
            Self::Hold(task) => task.run::<S>(server, begin),
            Self::Notify(task) => task.run::<S>(server, begin),
            Self::Paced(task) => task.run::<S>(server, begin),
        }
    }
}
