//! The place of the metrics in a build without the feature `metrics`. Nothing is recorded.

#![expect(
    clippy::unused_self,
    reason = "the methods are those of a build with the feature"
)]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::outcome::EndedRequest;
use super::state::State;
use super::statistics::WaitCause;
use crate::config::Config;
use crate::error::ErrorKind;
use crate::event::Event;

/// The labels of a stream's metrics.
pub(super) struct Metrics;

/// The parts of waits that are not recorded yet.
#[derive(Default)]
pub(super) struct Accounts;

impl Accounts {
    pub(super) fn waited(&mut self, _: WaitCause, _: Duration) -> u64 {
        0
    }
}

impl Metrics {
    pub(super) fn new(_: &Arc<Config>) -> Self {
        Self
    }

    pub(super) fn request_ended(&self, _: &EndedRequest, _: Option<Duration>) {}

    pub(super) fn retry(&self, _: ErrorKind) {}

    pub(super) fn repeated(&self, _: usize) {}

    pub(super) fn delivered(&self, _: &[Event], _: bool, _: SystemTime) {}

    pub(super) fn checkpoint_saved(&self, _: Duration, _: bool) {}

    pub(super) fn waited(&self, _: WaitCause, _: u64) {}

    pub(super) fn changed(&self, _: State, _: State) {}

    pub(super) fn unacknowledged(&self, _: u32, _: u32) {}

    pub(super) fn complete_until(&self, _: SystemTime) {}
}

pub(crate) fn token_refreshed(_: bool) {}
