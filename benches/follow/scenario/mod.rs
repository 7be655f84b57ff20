//! What is measured of each subject. Each scenario has the client's part and the harness's.

pub(crate) mod catch_up;
pub(crate) mod hold;
pub(crate) mod latency;
pub(crate) mod serve;

use serde::{Deserialize, Serialize};

use crate::client::Begin;
use crate::subject::Subject;

/// What a client's process is to do.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Scenario {
    CatchUp(catch_up::Task),
    Latency(latency::Task),
    Hold(hold::Task),
}

impl Scenario {
    pub(crate) fn run<S: Subject>(&self, origin: &str, begin: Begin) {
        match self {
            Self::CatchUp(task) => task.run::<S>(origin, begin),
            Self::Latency(task) => task.run::<S>(origin, begin),
            Self::Hold(task) => task.run::<S>(origin, begin),
        }
    }
}
