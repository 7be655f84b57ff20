//! Listing the realtime servers, and holding a poll at one of them.
//!
//! Whatever ends a poll, a drain follows: a signal is a hint, and `GET /events` is the truth. This module decides what comes
//! after that drain: the next poll, a pause, or a new list. Start with `take_signal`.

use std::mem;
use std::time::Duration;

use http::StatusCode;

use super::answer::{read_servers, read_signal};
use super::drain::{Drain, Pause};
use super::state::{Because, Due, Phase, Step};
use super::{Answer, LongPoll, Signal};
use crate::auth::AccessToken;
use crate::error::{Error, ErrorKind};
use crate::transport::{Moment, TransportErrorKind};

/// After so many refusals in a row by the realtime servers a quick retry is no help.
const REFUSALS_UNTIL_DEGRADED: u32 = 3;

impl LongPoll {
    pub(super) fn take_servers(&mut self, answer: Answer, token: AccessToken, now: Moment) {
        let list = match read_servers(answer, &token, &self.config.realtime_hosts) {
            Ok(list) => list,
            Err(error) => return self.api_failed(error, token, now),
        };
        self.renewed = None;
        self.rotation
            .replace(list.servers, &mut self.rng, now.monotonic);
        if self.rotation.pick(now.monotonic).is_some() {
            self.step = Step::Listen;
            return self.enter(Phase::Due(Due::now(now)));
        }
        let because = list.refused.unwrap_or_else(|| {
            Error::new(
                ErrorKind::UnexpectedAnswer,
                "Box lists no realtime server that can be asked now",
            )
        });
        let mut at = now.monotonic + self.config.retry.degraded_wait(&mut self.rng);
        if let Some(released) = self.rotation.released_at() {
            at = at.min(released);
        }
        self.fetch(
            Drain::default(),
            Due::at(at, Because::NoServer(because), now),
        );
    }

    /// Whatever ended the poll, what follows is a drain; this decides what follows that.
    pub(super) fn take_signal(&mut self, answer: Answer, now: Moment) {
        let silent = matches!(&answer, Err(error) if error.kind() == TransportErrorKind::Timeout);
        let mut drain = Drain::default();
        let refusals = mem::take(&mut self.refusals);
        match read_signal(answer) {
            Ok(Signal::NewChange) => drain = Drain::after_a_signal(),
            Ok(Signal::Reconnect | Signal::MaxRetries) => self.rotation.discard(),
            Ok(Signal::Other(_)) => {
                let error = Error::new(
                    ErrorKind::UnexpectedAnswer,
                    "the realtime server sent an unknown signal",
                );
                drain.then = Some(self.pause_after(error, now));
            }
            Err(error) if error.kind() == ErrorKind::Runtime => return self.stop(error),
            Err(_) if silent => self.rotation.give_up_current(),
            Err(error) => {
                if error.status().is_some_and(refuses) {
                    self.refusals = refusals + 1;
                }
                drain.then = Some(self.pause_after(error, now));
            }
        }
        self.fetch(drain, Due::now(now));
    }

    /// The pause after a poll that failed, and the server for the one after it.
    fn pause_after(&mut self, error: Error, now: Moment) -> Pause {
        if let Some(wait) = error.retry_after() {
            self.rotation.block_current(now.monotonic + wait);
        }
        match error.status() {
            Some(status) if refuses(status) => self.rotation.discard(),
            None if error.kind() == ErrorKind::UnexpectedAnswer => {}
            _ => self.rotation.give_up_current(),
        }
        if self.refusals >= REFUSALS_UNTIL_DEGRADED {
            let error = match error.status() {
                Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => error.with_hint(
                    "again and again; it may want the access token, see RealtimeToken::Send",
                ),
                _ => error,
            };
            let wait = self.config.retry.degraded_wait(&mut self.rng);
            return Pause {
                until: now.monotonic + wait,
                because: Because::NoServer(error),
            };
        }
        let wait = self.realtime_backoff.after_failure(
            &self.config.retry,
            Duration::ZERO,
            &mut self.rng,
            now.monotonic,
        );
        Pause {
            until: now.monotonic + wait,
            because: Because::Failed(error),
        }
    }
}

/// Whether a realtime server's status says that its URL is of no use: a new list is wanted.
fn refuses(status: StatusCode) -> bool {
    status.is_client_error() || status.is_redirection()
}
