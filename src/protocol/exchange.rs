//! One request and its response: the token, the pace, sending, and the dispatch of the response.
//!
//! This module extends [`LongPoll`] with the steps that all three calls share. The part that owns
//! the call reads the response and decides what follows. Start from [`LongPoll::authorize`].

use std::mem;
use std::time::Instant;

use super::engine::slot;
use super::fetch::Drain;
use super::state::{Hint, Next, Pending, Phase, Scheduled};
use super::{Call, LongPoll, Output, Response, read_servers};
use crate::auth::AccessToken;
use crate::clock::Moment;
use crate::error::Error;
use crate::telemetry::{EndedRequest, Outcome};

impl LongPoll {
    /// Gets the token that a call needs. If no listed server can be polled, a list replaces the
    /// poll.
    pub(super) fn authorize(&mut self, call: Call, now: Moment) {
        if let Err(rule) = self.fetcher.check_start() {
            return self.carry_out(call, Next::Stop(Error::config(rule)), now);
        }
        let call = match call {
            Call::Listen if !self.listener.has_server(now) => Call::List,
            call => call,
        };
        let needs_token = call != Call::Listen || self.config.polls_with_token();
        let phase = if !needs_token {
            Phase::send(None, false)
        } else if let Some(token) = self.authorizer.take_unchanged_token() {
            Phase::send(Some(token), false)
        } else {
            Phase::Authorize { resends: false }
        };
        self.enter(call, phase);
    }

    /// Acquires the rate-limit tokens for a call's request, right before it is sent.
    pub(super) fn try_acquire(&mut self, call: Call, now: Instant) -> Result<(), Instant> {
        if call != Call::Listen && now < self.api_not_before {
            return Err(self.api_not_before);
        }
        // A page counts as small until it has arrived.
        let is_small = call == Call::Fetch && self.fetcher.mode.is_long_poll();
        if is_small {
            self.fetcher.small_pages.try_acquire(now)?;
        }
        let on_credit = call == Call::Fetch && mem::take(&mut self.fetcher.drain.on_credit);
        let acquired = if on_credit {
            self.rate_limiter.acquire_early(slot(call), now)
        } else {
            self.rate_limiter.try_acquire(slot(call), now)
        };
        if is_small && acquired.is_err() {
            self.fetcher.small_pages.refund();
        }
        acquired
    }

    /// Sends a call's request. Returns `None` if the server to poll is no longer usable: then the
    /// servers are listed, and events are fetched, since no poll was open for a while.
    pub(super) fn send(
        &mut self,
        call: Call,
        token: Option<AccessToken>,
        resends: bool,
        now: Moment,
    ) -> Option<Output> {
        let (request, pending) = match (call, token) {
            (Call::Fetch, Some(token)) => {
                (self.fetcher.request(&token, now), Pending::Fetch(token))
            }
            (Call::List, Some(token)) => (self.listener.list(&token), Pending::List(token)),
            (_, token) => {
                let from = &self.fetcher.from;
                let Some((request, poll)) = self.listener.poll(from, token, now) else {
                    self.rate_limiter.refund(slot(call));
                    self.carry_out(call, Next::ListenAgain, now);
                    return None;
                };
                (request, Pending::Listen(poll))
            }
        };
        let request = if resends {
            request.with_fresh_connection()
        } else {
            request
        };
        let phase = Phase::AwaitResponse {
            pending,
            resent: resends,
        };
        self.enter(call, phase);
        Some(Output::Send { call, request })
    }

    /// Takes the response to a call's request, or the reason why there is none. Returns the outcome
    /// of the request.
    pub(super) fn take_response(
        &mut self,
        call: Call,
        pending: Pending,
        resent: bool,
        result: Response,
        now: Moment,
    ) -> EndedRequest {
        if call != Call::Listen {
            self.rate_limiter.was_sent_by(slot(call), now.monotonic);
        }
        if !resent && self.may_be_resent(&pending, &result, now) {
            self.enter(call, Phase::send(pending.into_token(), true));
            return EndedRequest::failed(call, Outcome::Cut);
        }
        let mut ended = EndedRequest::succeeded(call);
        let next = match pending {
            Pending::Fetch(token) => return self.take_page(token, result, now),
            Pending::List(token) => match read_servers(result, &token, &self.config.realtime_hosts)
            {
                Ok(list) => {
                    self.authorizer.token_was_good();
                    self.listener.servers_listed(list, now)
                }
                Err(error) => {
                    ended = EndedRequest::failed(call, Outcome::of(&error));
                    if self.listener.drops_type(&error) {
                        Next::Again(Scheduled::now(now))
                    } else {
                        self.authorizer.call_failed(error, token, now)
                    }
                }
            },
            Pending::Listen(poll) => {
                let was_polled = self.was_polled(now);
                let (next, outcome) = self.listener.poll_ended(result, &poll, was_polled, now);
                ended.outcome = outcome;
                // A poll that ended without a signal may have been a good one.
                ended.is_success = !matches!(next, Next::Stop(_) | Next::FetchFirst(Hint::Maybe));
                next
            }
        };
        self.carry_out(call, next, now);
        ended
    }

    /// Takes the response to a fetch. If a hint has come since the request was sent, a new drain
    /// begins with this page, or with its retry.
    fn take_page(&mut self, token: AccessToken, result: Response, now: Moment) -> EndedRequest {
        let hint = self.fetcher.hint.take();
        if let Some(hint) = hint {
            self.fetcher.drain = Drain::start(hint);
        }
        match self.fetcher.page_came(result, token, now) {
            Ok((events, outcome)) => {
                let repeats = outcome.repeats;
                self.authorizer.token_was_good();
                self.page_came(events, outcome, hint, now);
                EndedRequest {
                    repeats,
                    ..EndedRequest::succeeded(Call::Fetch)
                }
            }
            Err((outcome, next)) => {
                self.carry_out(Call::Fetch, next, now);
                EndedRequest::failed(Call::Fetch, outcome)
            }
        }
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
