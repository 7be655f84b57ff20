//! Listing the realtime servers: `OPTIONS /events`.
//!
//! The [`Listener`](super::listen::Listener) polls the servers; this module reads their list, and decides when to list again
//! after a failure. The type to start from is [`Lister`].

use std::mem;

use super::state::{FAILURES_UNTIL_DEGRADED, Hint, Next, Scheduled, WaitReason};
use super::{Response, ServerList, read_servers};
use crate::auth::AccessToken;
use crate::clock::Moment;
use crate::config::Config;
use crate::error::Error;
use crate::pacing::Backoff;
use crate::transport::TransportRequest;

/// How the servers are listed.
#[derive(Debug)]
pub(super) struct Lister {
    /// `true` if the servers are listed for the stream type. Box may reject that parameter.
    by_type: bool,
    backoff: Backoff,
}

impl Lister {
    pub(super) fn new(config: &Config, rng: &mut fastrand::Rng) -> Self {
        Self {
            by_type: true,
            backoff: Backoff::new(config.retry, rng.fork()),
        }
    }

    pub(super) fn request(&self, config: &Config, token: &AccessToken) -> TransportRequest {
        config.list_request(token, self.by_type)
    }

    /// Reads a list that has come.
    pub(super) fn list_came(
        &mut self,
        result: Response,
        token: &AccessToken,
        config: &Config,
    ) -> Result<ServerList, Error> {
        let list = read_servers(result, token, &config.realtime_hosts)?;
        self.backoff.succeeded();
        Ok(list)
    }

    /// Returns `true` if Box may have rejected the stream type, so the servers are listed again without it.
    pub(super) fn drops_type(&mut self, error: &Error) -> bool {
        error.is_a_bad_request() && mem::take(&mut self.by_type)
    }

    /// Lists again later. Events are fetched first, unless this is the first failure and passes quickly.
    pub(super) fn retry(&mut self, error: Error, now: Moment) -> Next {
        let requested = error.retry_after().unwrap_or_default();
        let wait = self.backoff.after_failure(error.retry_after());
        let failures = self.backoff.in_a_row();
        if failures == 1 && requested.is_zero() && !error.is_timeout() {
            let at = now.monotonic + wait;
            return Next::Again(Scheduled::at(at, WaitReason::Failed(error), now));
        }
        let (wait, reason) = if failures < FAILURES_UNTIL_DEGRADED {
            (wait, WaitReason::Failed(error))
        } else {
            let wait = self.backoff.while_degraded().max(requested);
            (wait, WaitReason::Degraded(error))
        };
        Next::Drain(
            Hint::Maybe,
            Scheduled::at(now.monotonic + wait, reason, now),
        )
    }
}
