//! One request and its response: the token, the pace, sending, and the dispatch of the response.
//!
//! This module extends [`LongPoll`] with the steps that all three calls share. The part that owns
//! the call reads the response and decides what follows. Start from [`LongPoll::authorize`].

use std::mem;
use std::time::Instant;

use super::state::{Hint, Next, Pending, Phase, Scheduled};
use super::{Call, LongPoll, Output, Response, read_servers};
use crate::auth::AccessToken;
use crate::clock::Moment;
use crate::error::Error;

impl LongPoll {
    /// Gets the token that the current call needs. If no listed server can be polled, a list
    /// replaces the poll.
    pub(super) fn authorize(&mut self, now: Moment) {
        if !self.fetcher.can_start() {
            let rule = "a query of past events cannot start at now: start at the oldest event";
            return self.carry_out(Next::Stop(Error::config(rule)), now);
        }
        let call = match self.call {
            Call::Listen if !self.listener.has_server(now) => Call::List,
            call => call,
        };
        let needs_token = call != Call::Listen || self.config.polls_with_token();
        let phase = match self.authorizer.take_unchanged_token() {
            Some(token) if needs_token => Phase::send(Some(token)),
            _ if needs_token => Phase::Authorize,
            _ => Phase::send(None),
        };
        self.enter(call, phase);
    }

    /// Acquires the rate-limit tokens for the current call's request, right before it is sent.
    pub(super) fn try_acquire(&mut self, now: Instant) -> Result<(), Instant> {
        // A page counts as small until it has arrived.
        let is_small = self.call == Call::Fetch && self.fetcher.mode.is_long_poll();
        if is_small {
            self.fetcher.small_pages.try_acquire(now)?;
        }
        let acquired = if mem::take(&mut self.fetcher.drain.on_credit) {
            self.rate_limiter.acquire_early(now)
        } else {
            self.rate_limiter.try_acquire(now)
        };
        if is_small && acquired.is_err() {
            self.fetcher.small_pages.refund();
        }
        acquired
    }

    /// Sends the current call's request. Returns `None` if the server to poll is no longer usable:
    /// then a drain follows, as after every poll.
    pub(super) fn send(
        &mut self,
        token: Option<AccessToken>,
        resends: bool,
        now: Moment,
    ) -> Option<Output> {
        let (request, pending) = match (self.call, token) {
            (Call::Fetch, Some(token)) => {
                (self.fetcher.request(&token, now), Pending::Fetch(token))
            }
            (Call::List, Some(token)) => (self.listener.list(&token), Pending::List(token)),
            (_, token) => {
                let from = &self.fetcher.from;
                let Some((request, poll)) = self.listener.poll(from, token, now) else {
                    self.rate_limiter.refund();
                    self.carry_out(Next::Drain(Hint::Maybe, Scheduled::now(now)), now);
                    return None;
                };
                self.rate_limiter.mark_refundable();
                (request, Pending::Listen(poll))
            }
        };
        let request = if resends {
            request.with_fresh_connection()
        } else {
            request
        };
        self.awake_at = now;
        let call = self.call;
        let phase = Phase::AwaitResponse {
            pending,
            resent: resends,
        };
        self.enter(call, phase);
        Some(Output::Send { call, request })
    }

    /// Takes the response to the current call's request, or the reason why there is none.
    pub(super) fn take_response(
        &mut self,
        pending: Pending,
        resent: bool,
        result: Response,
        now: Moment,
    ) {
        if self.call != Call::Listen {
            self.rate_limiter.was_sent_by(now.monotonic);
        }
        if !resent && self.may_be_resent(&pending, &result, now) {
            let phase = Phase::Send {
                token: pending.into_token(),
                resends: true,
                paced_until: None,
            };
            return self.enter(self.call, phase);
        }
        let next = match pending {
            Pending::Fetch(token) => match self.fetcher.page_came(result, token, now) {
                Ok((events, outcome)) => {
                    self.authorizer.token_was_good();
                    return self.page_came(events, outcome);
                }
                Err(next) => next,
            },
            Pending::List(token) => match read_servers(result, &token, &self.config.realtime_hosts)
            {
                Ok(list) => {
                    self.authorizer.token_was_good();
                    self.listener.servers_listed(list, now)
                }
                Err(error) if self.listener.drops_type(&error) => Next::Again(Scheduled::now(now)),
                Err(error) => self.authorizer.call_failed(error, token, now),
            },
            Pending::Listen(poll) => self.listener.poll_ended(result, &poll, now),
        };
        self.carry_out(next, now);
    }

    /// Returns `true` if a request is sent once more, because a reused connection died under it.
    fn may_be_resent(&mut self, pending: &Pending, result: &Response, now: Moment) -> bool {
        let Err(error) = result else {
            return false;
        };
        error.may_be_resent()
            && match pending {
                Pending::Fetch(_) | Pending::List(_) => true,
                Pending::Listen(poll) => self.listener.may_resend(poll, now),
            }
    }
}
