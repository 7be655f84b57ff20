//! The engine itself: two lanes that work side by side, and the state that they share.
//!
//! One lane fetches pages and the other listens. The engine passes each input to the part that owns
//! the call, and carries out the decision of that part. The parts are the [`Fetcher`], the
//! [`Listener`], and the [`Authorizer`] for the tokens of both. They do not know each other. The
//! type to start from is [`LongPoll`].

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::authorize::Authorizer;
use super::fetch::{Drain, Fetcher};
use super::late::Positions;
use super::listen::Listener;
use super::state::{End, Hint, Lane, Next, PageOutcome, Pending, Phase, Scheduled, WaitReason};
use super::{Call, Input, Output};
use crate::batch::Batch;
use crate::clock::Moment;
use crate::config::Config;
use crate::dedup::Window;
use crate::error::Error;
use crate::event::Event;
use crate::pacing::{Backoff, RateLimiter, Slot};
use crate::position::StartAt;
use crate::status::Status;
use crate::telemetry::EndedRequest;

/// The time after which a consumer that handles a batch counts as away: 1 s. Perhaps nobody polled
/// the requests in flight meanwhile.
const AWAY: Duration = Duration::from_secs(1);

/// The time for which a result may be older than it seems, after a consumer that was away has
/// returned: 100 ms.
const JUST: Duration = Duration::from_millis(100);

/// The engine of one stream. See the [module documentation](super).
#[derive(Debug)]
pub struct LongPoll {
    pub(super) config: Arc<Config>,
    /// The lane that fetches pages.
    pub(super) fetching: Lane,
    /// The lane that lists the servers and polls them. It is idle while events have to be fetched
    /// before the next poll.
    pub(super) listening: Lane,
    end: Option<End>,
    /// The end of Box's last `Retry-After` for an API call, which holds for both lanes.
    pub(super) api_not_before: Instant,
    /// The time at which the engine last had control.
    awake_at: Moment,
    /// The time at which the consumer last came back after it was [`AWAY`].
    returned_at: Option<Instant>,
    pub(super) rate_limiter: RateLimiter,
    pub(super) authorizer: Authorizer,
    pub(super) fetcher: Fetcher,
    pub(super) listener: Listener,
    /// The call that is to be retried after a failure, until the driver has taken note.
    pub(super) retry: Option<Call>,
}

impl LongPoll {
    /// Creates an engine that starts at `start`. The `seed` decides its jitter, its first realtime
    /// server, and the key of its hashes: pass a random one for each engine.
    #[must_use]
    pub fn new(config: Arc<Config>, start: StartAt, seed: u64, now: Moment) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let fetcher = Fetcher::new(&config, start, &mut rng, now);
        let listener = Listener::new(&config, &mut rng, now.monotonic);
        Self {
            fetching: Lane::new(Call::Fetch, Phase::Scheduled(Scheduled::now(now))),
            listening: Lane::new(Call::Listen, Phase::Idle),
            end: None,
            api_not_before: now.monotonic,
            awake_at: now,
            returned_at: None,
            rate_limiter: config.stream_kind.rate_limiter(config.pace, now.monotonic),
            authorizer: Authorizer::new(Backoff::new(config.retry, rng.fork())),
            fetcher,
            listener,
            retry: None,
            config,
        }
    }

    /// Resumes where an earlier run ended, with the ids of that run and the time at which it had
    /// last caught up. Call this before anything is sent.
    pub(crate) fn resume_from(&mut self, from: StartAt, window: Window, caught_up_at: SystemTime) {
        self.fetcher.resume_from(from, caught_up_at);
        self.fetcher.window = window;
    }

    /// Replaces the rate limiter.
    pub(crate) fn limit_calls(&mut self, limiter: RateLimiter) {
        self.rate_limiter = limiter;
    }

    pub(crate) fn window(&self) -> &Window {
        &self.fetcher.window
    }

    /// Returns the window of ids without those of the pages that were fetched and not delivered.
    pub(crate) fn window_of_delivered(&self) -> Window {
        self.fetcher.window_of_delivered()
    }

    /// Returns the position that a stream resumes from: the end of all events that the consumer has
    /// handled. After a start at [`StartAt::Now`], it stays `Now` until a page has returned a
    /// position.
    #[must_use]
    pub fn resume_at(&self) -> &StartAt {
        &self.fetcher.handled
    }

    /// Returns when Box last had nothing, or almost nothing, after the position. `None` if that was
    /// not the case since the start.
    pub(crate) fn caught_up_at(&self) -> Option<SystemTime> {
        self.fetcher.caught_up_at
    }

    /// Returns a time: the consumer has handled every event that was created before it, if Box
    /// showed each of them within the [`event_delay`](crate::LongPollClientBuilder::event_delay).
    /// `None` until a page proves such a time. It never goes back. See
    /// [`StreamHandle::complete_until`](crate::StreamHandle::complete_until).
    #[must_use]
    pub fn complete_until(&self) -> Option<SystemTime> {
        self.fetcher.complete_until
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

    /// Returns `true` while the engine awaits the response to this call. A driver drops a request
    /// that is not awaited any more.
    #[must_use]
    pub fn awaits(&self, call: Call) -> bool {
        self.fetching.awaits(call) || self.listening.awaits(call)
    }

    /// Returns `false` if a result comes [`JUST`] after the return of a consumer that was away. The
    /// time at which its request ended is unknown then.
    pub(super) fn was_polled(&self, now: Moment) -> bool {
        let just = |at: Instant| now.monotonic.saturating_duration_since(at) < JUST;
        !self.returned_at.is_some_and(just)
    }

    /// Returns `true` while the result of the token source is awaited.
    pub(crate) fn is_getting_token(&self) -> bool {
        self.awaits_token().is_some()
    }

    /// Returns `true` while the consumer has a batch that it has not handled.
    pub(crate) fn awaits_handling(&self) -> bool {
        self.fetcher.delivered.is_some()
    }

    /// Returns `true` while the consumer has not handled all events that were fetched. A request
    /// that is sent then may not be polled for a long time.
    pub(crate) fn is_ahead(&self) -> bool {
        !self.fetcher.all_is_handled()
    }

    /// Returns the current activity of the engine. A wait after a failure shows first, then
    /// fetching, then listening.
    #[must_use]
    pub fn status(&self) -> Status {
        if let Some(End { because, .. }) = &self.end
            && self.fetcher.all_is_handled()
        {
            let because = because.clone();
            return Status::Stopped { because };
        }
        if !self.fetcher.all_is_handled() {
            return Status::Delivering;
        }
        let fetches = self.fetching.is_busy() || self.fetching.has_failed();
        if fetches || self.listening.is_idle() {
            self.fetching.status()
        } else {
            self.listening.status()
        }
    }

    /// Returns the next output for the driver to carry out.
    pub fn poll_output(&mut self, now: Moment) -> Output {
        self.check_clocks(now);
        // A fetch finds events, and a poll only announces them. So fetching has precedence when
        // both need the pace or a token.
        for call in [Call::Fetch, Call::Listen] {
            if let Some(output) = self.poll_lane(call, now) {
                return output;
            }
        }
        if let Some(batch) = self.next_batch() {
            return Output::Deliver(batch);
        }
        if let Some(end) = &mut self.end
            && !end.is_known
            && self.fetcher.all_is_handled()
        {
            end.is_known = true;
            return end.because.clone().map_or(Output::Finish, Output::Stop);
        }
        let fetches_at = self.fetching.wakes_at();
        let fetches_at = fetches_at.filter(|_| self.fetcher.has_room());
        let wakes_at = fetches_at.into_iter().chain(self.listening.wakes_at());
        wakes_at.min().map_or(Output::Idle, Output::WaitUntil)
    }

    /// Returns the next batch without the outputs that come before it. None is delivered while a
    /// token is awaited: nobody polls the token source while the consumer works, and a refresh must
    /// not stop in the middle.
    pub(crate) fn next_batch(&mut self) -> Option<Batch> {
        if self.is_getting_token() {
            return None;
        }
        self.fetcher.next_batch()
    }

    /// Moves a lane on as far as possible, and returns its output.
    fn poll_lane(&mut self, lane: Call, now: Moment) -> Option<Output> {
        loop {
            let Lane { call, phase } = self.lane(lane);
            let call = *call;
            match mem::replace(phase, Phase::Idle) {
                Phase::Scheduled(scheduled)
                    if now.monotonic < scheduled.at
                        || (call == Call::Fetch && !self.fetcher.has_room()) =>
                {
                    self.lane(lane).phase = Phase::Scheduled(scheduled);
                    return None;
                }
                Phase::Scheduled(_) => self.authorize(call, now),
                Phase::Authorize { resends } if self.awaits_token().is_some() => {
                    self.lane(lane).phase = Phase::Authorize { resends };
                    return None;
                }
                Phase::Authorize { resends } => {
                    if let Some((error, until)) = self.authorizer.failure(now.monotonic) {
                        self.carry_out(call, Next::NoToken(error, until), now);
                        continue;
                    }
                    self.enter(call, Phase::AwaitToken { resends });
                    let rejected = self.authorizer.rejected();
                    return Some(Output::GetToken { rejected });
                }
                Phase::Send { token, resends, .. }
                    if token
                        .as_ref()
                        .is_some_and(|token| self.authorizer.is_outdated(token)) =>
                {
                    self.enter(call, Phase::Authorize { resends });
                }
                Phase::Send { token, resends, .. } => match self.try_acquire(call, now.monotonic) {
                    Ok(()) => {
                        if let Some(output) = self.send(call, token, resends, now) {
                            return Some(output);
                        }
                    }
                    Err(at) => {
                        let phase = Phase::Send {
                            token,
                            resends,
                            paced: Some(Scheduled::at(at, WaitReason::InTurn, now)),
                        };
                        self.enter(call, phase);
                        return None;
                    }
                },
                waiting
                @ (Phase::Idle | Phase::AwaitToken { .. } | Phase::AwaitResponse { .. }) => {
                    self.lane(lane).phase = waiting;
                    return None;
                }
            }
        }
    }

    /// Takes the result of an output. An input that the engine does not wait for is ignored.
    pub fn handle_input(&mut self, input: Input, now: Moment) {
        self.take_input(input, now);
    }

    /// Takes the result of an output, as [`handle_input`](Self::handle_input) does. Returns the end
    /// of a request that was awaited.
    pub(crate) fn take_input(&mut self, input: Input, now: Moment) -> Option<EndedRequest> {
        let mut ended = None;
        match input {
            Input::Token(outcome) => {
                if let Some((call, resends)) = self.awaits_token() {
                    match self.authorizer.token_came(outcome, now) {
                        Ok(token) => self.enter(call, Phase::send(Some(token), resends)),
                        Err(next) => self.carry_out(call, next, now),
                    }
                }
            }
            Input::Response { call, result } if self.awaits(call) => {
                let phase = mem::replace(&mut self.lane(call).phase, Phase::Idle);
                if let Phase::AwaitResponse { pending, resent } = phase {
                    ended = Some(self.take_response(call, pending, resent, result, now));
                }
            }
            Input::BatchHandled => {
                self.fetcher.batch_handled();
                let left_at = self.awake_at.monotonic;
                if now.monotonic.saturating_duration_since(left_at) >= AWAY {
                    self.returned_at = Some(now.monotonic);
                }
            }
            Input::WaitFailed(error) if self.end.is_none() => {
                self.stop(Some(Error::no_timer(error)));
            }
            Input::CheckClocks => self.check_connection(now),
            Input::Response { .. } | Input::WaitFailed(_) => {}
        }
        self.check_clocks(now);
        ended
    }

    /// Notices that the machine was suspended since the engine last had control.
    fn check_clocks(&mut self, now: Moment) {
        let since = mem::replace(&mut self.awake_at, now);
        if now.was_suspended_since(since) {
            self.machine_was_suspended(now);
        }
    }

    /// Takes the new events of a page that match the filter. If the page has new events, this
    /// refunds the fetch, and the poll that signaled them. `hint` has come while the page was in
    /// flight.
    pub(super) fn page_came(
        &mut self,
        events: Vec<Event>,
        outcome: PageOutcome,
        hint: Option<Hint>,
        now: Moment,
    ) {
        if outcome.brought_new && self.fetcher.mode.is_long_poll() {
            self.rate_limiter.refund(Slot::Fetch);
            if mem::take(&mut self.fetcher.drain.signaled) {
                self.rate_limiter.refund(Slot::Listen);
            }
            self.listener.page_read(&self.fetcher.from);
        }
        // A start at `now` is durable before the first poll, so that poll waits for the consumer.
        let may_be_last = !outcome.is_full && self.fetcher.from != StartAt::Now;
        let next = match self.fetcher.keep_page(events, outcome, now) {
            Next::Drained if hint.is_some() => Next::Again(Scheduled::now(now)),
            next => next,
        };
        if may_be_last
            && matches!(next, Next::Again(_))
            && self.fetcher.drain.found_events
            && self.fetcher.mode.is_long_poll()
            && self.listening.is_idle()
            && self.listener.may_poll_beside()
        {
            self.listener.polls_beside();
            self.carry_out(Call::Listen, Next::Listen, now);
        }
        self.carry_out(Call::Fetch, next, now);
    }

    /// Fetches events because of a hint. For a request that is not sent yet, or that is retried,
    /// nothing changes. After one that is in flight, another one follows.
    fn hint(&mut self, hint: Hint, now: Moment) {
        match &self.fetching.phase {
            Phase::AwaitResponse { .. } => {
                let hints = self.fetcher.hint.into_iter().chain([hint]);
                self.fetcher.hint = hints.max();
                return;
            }
            Phase::Scheduled(scheduled) if scheduled.has_failed() => {}
            Phase::Idle | Phase::Scheduled(_) => {
                self.enter(Call::Fetch, Phase::Scheduled(Scheduled::now(now)));
            }
            _ => {}
        }
        self.fetcher.drain = Drain::start(hint);
    }

    /// Decides what follows a page that brought nothing new. If no poll is open, the listener goes
    /// on, unless events are fetched again first.
    fn drained(&mut self, now: Moment) {
        self.listener.drained(self.fetcher.drain.found_events, now);
        if self.listening.is_idle() {
            if let Some(at) = self.listener.checks_before_poll(now) {
                let at = self.fetcher.no_staler_than(at);
                let scheduled = Scheduled::at(at, WaitReason::InTurn, now);
                return self.enter(Call::Fetch, Phase::Scheduled(scheduled));
            }
            if let Some((until, reason)) = self.listener.pause(now) {
                let at = self.fetcher.no_staler_than(until);
                return self.drain_at(Scheduled::at(at, reason, now));
            }
            self.carry_out(Call::Listen, Next::Listen, now);
        }
        self.fetcher.backlog_ends(now);
        let checks = self.listener.late.next_after(now.monotonic).into_iter();
        match checks.chain(self.fetcher.stale_at()).min() {
            Some(at) => self.drain_at(Scheduled::at(at, WaitReason::InTurn, now)),
            None => self.enter(Call::Fetch, Phase::Idle),
        }
    }

    fn drain_at(&mut self, scheduled: Scheduled) {
        self.fetcher.drain = Drain::start(Hint::Maybe);
        self.fetcher.hint = None;
        self.enter(Call::Fetch, Phase::Scheduled(scheduled));
    }

    /// Decides when a failed call is retried. Events are fetched in any case, even while Box lists
    /// no servers.
    fn retry(&mut self, call: Call, error: Error, now: Moment) -> Next {
        if call != Call::Listen
            && let Some(wait) = error.retry_after()
        {
            self.api_not_before = self.api_not_before.max(now.monotonic + wait);
        }
        if call == Call::List {
            return self.listener.list_later(error, now);
        }
        let at = self.fetcher.retry_at(&error, now);
        self.retry_at(call, error, at, now)
    }

    /// Schedules the retry of a failed call. Before a poll or a list, events are fetched.
    fn retry_at(&mut self, call: Call, error: Error, at: Instant, now: Moment) -> Next {
        let reason = self.authorizer.wait_reason(error, now);
        if call == Call::Fetch {
            return Next::Again(Scheduled::at(at, reason, now));
        }
        self.listener.pause_until(at, reason);
        Next::Pause
    }

    /// Notes that a held poll has a connection.
    fn check_connection(&mut self, now: Moment) {
        if let Phase::AwaitResponse {
            pending: Pending::Listen(poll),
            ..
        } = &mut self.listening.phase
        {
            self.listener.check_connection(poll, now);
        }
    }

    /// Drops the requests that died while the machine was suspended. Events are fetched then, and
    /// after a dropped poll the servers are listed again. If no request was in flight, a wait after
    /// a failure or between two drains ends.
    fn machine_was_suspended(&mut self, now: Moment) {
        let calls = [Call::List, Call::Listen, Call::Fetch];
        let dropped = calls.map(|call| self.awaits(call));
        self.listener.machine_was_suspended(dropped[1]);
        self.authorizer.machine_was_suspended();
        if dropped[0] || dropped[1] {
            self.enter(Call::Listen, Phase::Idle);
        }
        if dropped.contains(&true) {
            self.drain_at(Scheduled::now(now));
        } else {
            for lane in [&mut self.fetching, &mut self.listening] {
                if let Phase::Scheduled(scheduled) = &mut lane.phase {
                    scheduled.machine_was_suspended(now);
                }
            }
        }
    }

    /// Carries out the decision of a part on its call.
    pub(super) fn carry_out(&mut self, call: Call, next: Next, now: Moment) {
        match next {
            Next::Again(scheduled) => self.enter(call, Phase::Scheduled(scheduled)),
            Next::Drain(scheduled) => self.drain_at(scheduled),
            Next::Drained => self.drained(now),
            Next::Listen => self.enter(Call::Listen, Phase::Scheduled(Scheduled::now(now))),
            Next::ListenAgain => {
                self.carry_out(call, Next::Listen, now);
                self.hint(Hint::Maybe, now);
            }
            Next::FetchFirst(hint) => {
                self.enter(Call::Listen, Phase::Idle);
                self.hint(hint, now);
            }
            Next::KnownAlready => {
                self.rate_limiter.refund(Slot::Listen);
                if self.fetching.is_at_rest(now) {
                    self.carry_out(call, Next::ListenAgain, now);
                } else {
                    self.enter(Call::Listen, Phase::Idle);
                }
            }
            Next::Pause => {
                self.enter(Call::Listen, Phase::Idle);
                if self.fetching.is_at_rest(now) {
                    self.drained(now);
                }
            }
            Next::NoToken(error, until) => {
                let next = self.retry_at(call, error, until, now);
                self.carry_out(call, next, now);
            }
            Next::CallFailed(error, token) => {
                let next = self.authorizer.call_failed(error, token, now);
                self.carry_out(call, next, now);
            }
            Next::Retry(error) => {
                let next = self.retry(call, error, now);
                self.carry_out(call, next, now);
            }
            Next::Stop(error) => self.stop(Some(error)),
            Next::Finish => self.stop(None),
        }
    }

    /// Ends the engine. The batches that were fetched are delivered first.
    fn stop(&mut self, because: Option<Error>) {
        self.fetching.phase = Phase::Idle;
        self.listening.phase = Phase::Idle;
        let is_known = false;
        self.end = Some(End { because, is_known });
    }

    pub(super) fn lane(&mut self, call: Call) -> &mut Lane {
        match call {
            Call::Fetch => &mut self.fetching,
            Call::List | Call::Listen => &mut self.listening,
        }
    }

    /// Returns the call for which a token is awaited, and `true` if it is sent once more.
    fn awaits_token(&self) -> Option<(Call, bool)> {
        let mut lanes = [&self.fetching, &self.listening].into_iter();
        lanes.find_map(|lane| match lane.phase {
            Phase::AwaitToken { resends } => Some((lane.call, resends)),
            _ => None,
        })
    }

    /// Changes a call and its phase, and logs the transition. The driver logs the failures that are
    /// retried.
    pub(super) fn enter(&mut self, call: Call, phase: Phase) {
        *self.lane(call) = Lane::new(call, phase);
        let lane = self.lane(call);
        if lane.has_failed() {
            self.retry = Some(call);
        }
        let status = self.lane(call).status();
        tracing::trace!(target: "box_longpoll::engine", %status, resume_at = %self.resume_at(), "long poll");
    }
}

/// Returns the slot of a call in the rate limiter.
pub(super) fn slot(call: Call) -> Slot {
    match call {
        Call::List => Slot::List,
        Call::Listen => Slot::Listen,
        Call::Fetch => Slot::Fetch,
    }
}
