//! The engine itself: it knows which call is current, and in which phase that call is.
//!
//! It passes each input to the part that owns the call, and carries out the decision of that part.
//! The parts are the [`Fetcher`], the [`Listener`], and the [`Authorizer`] for the tokens of both.
//! They do not know each other. The engine keeps the state that they share: the phase of the
//! current call, and the rate limiter. The type to start from is [`LongPoll`].

use std::mem;
use std::sync::Arc;
use std::time::SystemTime;

use super::authorize::Authorizer;
use super::fetch::{Drain, Fetcher};
use super::late::Positions;
use super::listen::Listener;
use super::state::{Hint, Next, PageOutcome, Pending, Phase, Scheduled, WaitReason};
use super::{Call, Input, Output};
use crate::batch::Batch;
use crate::clock::Moment;
use crate::config::Config;
use crate::dedup::Window;
use crate::error::Error;
use crate::event::Event;
use crate::pacing::RateLimiter;
use crate::position::StartAt;
use crate::status::Status;

/// The engine of one stream. See the [module documentation](super).
#[derive(Debug)]
pub struct LongPoll {
    pub(super) config: Arc<Config>,
    /// The call that is current, or comes next.
    pub(super) call: Call,
    /// The phase of that call.
    phase: Phase,
    /// The time at which the engine last took an input, or sent a request.
    pub(super) awake_at: Moment,
    pub(super) rate_limiter: RateLimiter,
    pub(super) authorizer: Authorizer,
    pub(super) fetcher: Fetcher,
    pub(super) listener: Listener,
}

impl LongPoll {
    /// Creates an engine that starts at `start`. The `seed` decides its jitter, its first realtime
    /// server, and the key of its hashes: pass a random one for each engine.
    #[must_use]
    pub fn new(config: Arc<Config>, start: StartAt, seed: u64, now: Moment) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        Self {
            call: Call::Fetch,
            phase: Phase::Scheduled(Scheduled::now(now)),
            awake_at: now,
            rate_limiter: config.stream_kind.rate_limiter(config.pace, now.monotonic),
            authorizer: Authorizer::default(),
            fetcher: Fetcher::new(&config, start, &mut rng, now),
            listener: Listener::new(&config, &mut rng, now.monotonic),
            config,
        }
    }

    /// Resumes where an earlier run ended, with the ids of that run and the time at which it had
    /// last caught up. Call this before anything is sent.
    pub(crate) fn resume_from(&mut self, from: StartAt, window: Window, caught_up_at: SystemTime) {
        self.fetcher.from = from;
        self.fetcher.window = window;
        self.fetcher.caught_up_at = Some(caught_up_at);
    }

    pub(crate) fn window(&self) -> &Window {
        &self.fetcher.window
    }

    /// Returns the position that a stream resumes from: the end of all events that the consumer has
    /// handled. After a start at [`StartAt::Now`], it stays `Now` until a page has returned a
    /// position.
    #[must_use]
    pub fn resume_at(&self) -> &StartAt {
        &self.fetcher.from
    }

    /// Returns when Box last had nothing, or almost nothing, after the position. `None` if that was
    /// not the case since the start.
    pub(crate) fn caught_up_at(&self) -> Option<SystemTime> {
        self.fetcher.caught_up_at
    }

    /// Returns when the last page arrived. `None` if no page has arrived since the start.
    pub(crate) fn page_came_at(&self) -> Option<SystemTime> {
        self.fetcher.page_came_at
    }

    /// Returns `true` if a realtime server has shown that it honors the position of a poll.
    ///
    /// Until then, the engine fetches several times after a signal, up to 64 s later. To find out,
    /// it sometimes polls with a position that has events after it.
    #[must_use]
    pub fn positions_are_honored(&self) -> bool {
        self.listener.late.positions == Positions::Honored
    }

    /// Returns `Some(true)` if the engine has found since the last call that the realtime servers
    /// honor positions. Returns `Some(false)` if it has found that they may not.
    pub(crate) fn take_finding(&mut self) -> Option<bool> {
        let finding = self.listener.late.take_finding();
        finding.map(|positions| positions == Positions::Honored)
    }

    /// Returns `true` while it is unknown if the realtime servers honor positions.
    pub(crate) fn is_unsure_of_positions(&self) -> bool {
        self.listener.late.positions == Positions::Unknown
    }

    /// Tells the engine that the realtime servers honor the position of a poll, because another
    /// engine has [found this out](Self::positions_are_honored).
    pub fn assume_positions_are_honored(&mut self) {
        self.listener.late.positions = Positions::Honored;
    }

    /// Returns the current activity of the engine.
    #[must_use]
    pub fn status(&self) -> Status {
        self.phase.status()
    }

    /// Returns the next output for the driver to carry out.
    pub fn poll_output(&mut self, now: Moment) -> Output {
        loop {
            match mem::replace(&mut self.phase, Phase::Transition) {
                Phase::Scheduled(scheduled) if now.monotonic < scheduled.at => {
                    let at = scheduled.at;
                    self.phase = Phase::Scheduled(scheduled);
                    return Output::WaitUntil(at);
                }
                Phase::Scheduled(_) => self.authorize(now),
                Phase::Authorize => {
                    self.enter(self.call, Phase::AwaitToken);
                    let rejected = self.authorizer.rejected();
                    return Output::GetToken { rejected };
                }
                Phase::Send { token, resends, .. } => match self.try_acquire(now.monotonic) {
                    Ok(()) => {
                        if let Some(output) = self.send(token, resends, now) {
                            return output;
                        }
                    }
                    Err(at) => {
                        let phase = Phase::Send {
                            token,
                            resends,
                            paced_until: Some(now.wall_at(at)),
                        };
                        self.enter(self.call, phase);
                        return Output::WaitUntil(at);
                    }
                },
                Phase::Deliver(events, outcome) if events.is_empty() => {
                    self.finish_page(outcome, now);
                }
                Phase::Deliver(events, outcome) => {
                    let batch = Batch::new(events, outcome.to.clone());
                    self.enter(self.call, Phase::AwaitHandled(outcome));
                    return Output::Deliver(batch);
                }
                Phase::Stop(because) => {
                    self.enter(self.call, Phase::Stopped(because.clone()));
                    return because.map_or(Output::Finish, Output::Stop);
                }
                awaiting @ (Phase::AwaitToken
                | Phase::AwaitResponse { .. }
                | Phase::AwaitHandled(_)
                | Phase::Stopped(_)
                | Phase::Transition) => {
                    self.phase = awaiting;
                    return Output::Idle;
                }
            }
        }
    }

    /// Takes the result of the last output. An input that the engine does not wait for is ignored.
    pub fn handle_input(&mut self, input: Input, now: Moment) {
        let since = mem::replace(&mut self.awake_at, now);
        match (mem::replace(&mut self.phase, Phase::Transition), input) {
            (Phase::AwaitToken, Input::Token(outcome)) => {
                match self.authorizer.token_came(outcome, now) {
                    Ok(token) => self.enter(self.call, Phase::send(Some(token))),
                    Err(next) => self.carry_out(next, now),
                }
            }
            (Phase::AwaitResponse { pending, resent }, Input::Response { call, result })
                if call == self.call =>
            {
                self.take_response(pending, resent, result, now);
            }
            (Phase::AwaitHandled(outcome), Input::BatchHandled) => self.finish_page(outcome, now),
            (phase, Input::CheckClocks) => {
                self.phase = phase;
                self.check_clocks(since, now);
            }
            (
                Phase::Scheduled(_)
                | Phase::Send { .. }
                | Phase::AwaitToken
                | Phase::AwaitResponse { .. },
                Input::WaitFailed(error),
            ) => self.carry_out(Next::Stop(Error::no_timer(error)), now),
            (phase, _) => self.phase = phase,
        }
    }

    /// Takes the events of a page without the repeats. If the page has new events, this refunds the
    /// fetch, and the poll that signaled them.
    pub(super) fn page_came(&mut self, events: Vec<Event>, outcome: PageOutcome) {
        if outcome.brought_new && self.fetcher.mode.is_long_poll() {
            self.rate_limiter.refund();
            if mem::take(&mut self.fetcher.drain.signaled) {
                self.rate_limiter.refund_marked();
            }
        }
        self.enter(self.call, Phase::Deliver(events, outcome));
    }

    /// Moves past a page that the consumer has handled.
    fn finish_page(&mut self, outcome: PageOutcome, now: Moment) {
        if outcome.brought_new {
            self.listener.late.page_read(&self.fetcher.from);
        }
        let next = self.fetcher.finish_page(outcome, now);
        self.carry_out(next, now);
    }

    /// Decides what follows a page that brought nothing new: the listener goes on, unless events
    /// are fetched again first.
    fn after_drain(&mut self, now: Moment) -> Next {
        let found_events = self.fetcher.drain.found_events;
        if let Some(at) = self.listener.drained(found_events, now) {
            return Next::Again(Scheduled::at(at, WaitReason::InTurn, now));
        }
        // A poll would have to wait for the pace, and the fetch after it too. A fetch alone finds
        // the same events sooner.
        if found_events && !self.rate_limiter.can_acquire(now.monotonic) {
            return Next::Drain(Hint::Maybe, Scheduled::now(now));
        }
        self.fetcher.backlog_ends(now);
        self.listener.resume(now)
    }

    /// Schedules the retry of a call that failed. Events are fetched in any case, also while Box
    /// lists no servers.
    fn retry(&mut self, error: Error, now: Moment) -> Next {
        if self.call == Call::List {
            return self.listener.list_later(error, now);
        }
        let at = self.fetcher.retry_at(&error, now);
        let scheduled = Scheduled::at(at, self.authorizer.wait_reason(error, now), now);
        match self.call {
            Call::Fetch => Next::Again(scheduled),
            Call::List | Call::Listen => Next::Drain(Hint::Maybe, scheduled),
        }
    }

    /// Drops a request that died while the machine was suspended. Events are fetched then, and
    /// after a dropped poll the servers are listed again. If no request was in flight, a wait after
    /// a failure or between two drains ends.
    fn check_clocks(&mut self, since: Moment, now: Moment) {
        let mut dropped = None;
        if let Phase::AwaitResponse { pending, .. } = &mut self.phase {
            dropped = Some(self.call);
            if let Pending::Listen(poll) = pending {
                self.listener.check_connection(poll, now);
            }
        }
        if !now.was_suspended_since(since) {
            return;
        }
        self.listener.machine_was_suspended(dropped);
        if dropped.is_some() {
            self.carry_out(Next::Drain(Hint::Maybe, Scheduled::now(now)), now);
        } else if let Phase::Scheduled(scheduled) = &mut self.phase {
            scheduled.machine_was_suspended(now);
        }
    }

    /// Carries out the decision of a part.
    pub(super) fn carry_out(&mut self, next: Next, now: Moment) {
        match next {
            Next::Again(scheduled) => self.enter(self.call, Phase::Scheduled(scheduled)),
            Next::Drain(hint, scheduled) => {
                self.fetcher.drain = Drain::start(hint);
                self.enter(Call::Fetch, Phase::Scheduled(scheduled));
            }
            Next::Listen => self.enter(Call::Listen, Phase::Scheduled(Scheduled::now(now))),
            Next::Drained => {
                let next = self.after_drain(now);
                self.carry_out(next, now);
            }
            Next::CallFailed(error, token) => {
                let next = self.authorizer.call_failed(error, token, now);
                self.carry_out(next, now);
            }
            Next::Retry(error) => {
                let next = self.retry(error, now);
                self.carry_out(next, now);
            }
            Next::Stop(error) => self.enter(self.call, Phase::Stop(Some(error))),
            Next::Finish => self.enter(self.call, Phase::Stop(None)),
        }
    }

    /// Changes the call and its phase, and logs the transition.
    pub(super) fn enter(&mut self, call: Call, phase: Phase) {
        self.call = call;
        self.phase = phase;
        match self.status() {
            status @ (Status::Retrying { .. } | Status::Degraded { .. }) => {
                tracing::warn!(%status, "long poll");
            }
            status => tracing::trace!(%status, resume_at = %self.resume_at(), "long poll"),
        }
    }
}
