//! The engine: Box's long-poll protocol as a state machine without socket, clock, task or lock.
//!
//! [`LongPollClient`](crate::LongPollClient) drives it for you. Use it directly to bring your own I/O, or to test
//! against it. The rule of use:
//!
//! 1. Call [`LongPoll::poll_output`] and do what it says.
//! 2. Tell [`LongPoll::handle_input`] what came of it.
//! 3. While you do it, say [`Input::CheckClocks`] every [`CLOCK_CHECK_INTERVAL`], so that it notices when the machine was
//!    suspended.
//! 4. Go on for ever; [`Output::Stop`] is the end, and [`Output::Finish`] that of a query.
//!
//! Time is an argument of both. Randomness comes from the seed. The same inputs at the same times give the same outputs.
//!
//! ```no_run
//! use box_longpoll::protocol::{Input, LongPoll, Output};
//! use box_longpoll::transport::{TransportError, TransportErrorKind, TransportRequest};
//! use box_longpoll::{AccessToken, Error, LongPollClient, StartAt, transport::Moment};
//! # type Response = Result<http::Response<bytes::Bytes>, TransportError>;
//! # fn send(_: TransportRequest) -> Response { Err(TransportError::new(TransportErrorKind::Connect)) }
//! # fn sleep_until(_: std::time::Instant) {}
//!
//! fn follow(token: &AccessToken) -> Result<(), Error> {
//!     let config = LongPollClient::builder().config()?;
//!     let mut engine = LongPoll::new(config.into(), StartAt::Now, 42, Moment::read_clocks());
//!     loop {
//!         let input = match engine.poll_output(Moment::read_clocks()) {
//!             Output::GetToken { rejected: None } => Input::Token(Ok(token.clone())),
//!             Output::GetToken { rejected: Some(_) } => return Ok(()), // no newer one
//!             Output::Send { call, request } => Input::Response {
//!                 call,
//!                 result: send(request),
//!             },
//!             Output::WaitUntil(time) => {
//!                 sleep_until(time);
//!                 continue;
//!             }
//!             Output::Deliver(batch) => {
//!                 println!("{} events", batch.len());
//!                 Input::BatchHandled
//!             }
//!             Output::Stop(error) => return Err(error),
//!             Output::Finish => return Ok(()), // only of a query
//!             Output::Idle => unreachable!("every output was answered"),
//!         };
//!         engine.handle_input(input, Moment::read_clocks());
//!     }
//! }
//! ```
//!
//! # The states
//!
//! ```text
//!          start                     a page with first-seen events, or that moved the position
//!            │                                   ┌────────┐
//!            ▼                                   ▼        │
//!   ┌──────────────────────────── Fetch: GET /events ─────┴──▶ Deliver ──▶ (the consumer handles the batch) ─┐
//!   │                             ▲      │     ▲                                                             │
//!   │ a poll has ended:           │      │     └─────────────────────────────────────────────────────────────┘
//!   │ signal, silence or error    │      │ nothing new
//!   │                             │      ▼
//!   │      after a pause ◀── Pause: after a failed poll, or where no server can be used
//!   │                                    │
//!   │                                    ▼
//!   │                   no server left: List: OPTIONS /events ──▶ none to use: Pause
//!   │                                    │
//!   └──────────────────────────── Listen: GET {realtime url}
//! ```
//!
//! An enterprise's events have no realtime servers, so the engine neither lists nor listens. Fetch and Deliver are the same;
//! what follows a page with nothing new is another, for events that [happen](crate::enterprise::AdminLogsStreaming) and for those of the
//! [past](crate::enterprise::AdminLogs):
//!
//! ```text
//!          start
//!            │
//!            ▼           nothing new, of what happens
//!          Fetch ────────────────────────────────────▶ Pause: by the interval
//!            │  ▲                                        │
//!            │  └────────────────────────────────────────┘
//!            │ nothing new, of the past
//!            ▼
//!         Finish
//! ```
//!
//! Each request goes through the same phases: *due* at a time, *authorized* by a token where it goes to Box's API, *sent*
//! when the [`Pace`](crate::config::Pace) permits, and answered. A request under which a kept connection died is sent once more. After a failed
//! API request the engine fetches, later, or lists again at once; a stop can come of any.
//!
//! A signal is a hint and `GET /events` is the truth: whatever ends a poll, the engine fetches until a page brings
//! nothing new. If the pace is used up by then, it fetches once more instead of listening. Box may show an event later than
//! it signals it, and a signal may get lost between two polls. So the engine fetches again up to 64 s after a signal, unless
//! a realtime server has shown that it responds at once to a position with events behind it: see
//! [`LongPoll::positions_are_honored`].

mod authorize;
mod drain;
mod late;
mod listen;
mod mode;
mod page;
mod page_limit;
mod realtime;
mod request;
mod response;
mod rotation;
mod state;
mod tick;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use std::{fmt, mem};

use self::authorize::Tokens;
use self::drain::Drain;
use self::late::Positions;
use self::listen::Listener;
use self::mode::Mode;
pub use self::page::Page;
pub(crate) use self::page::PageDecodeError;
use self::page_limit::PageLimit;
pub(crate) use self::realtime::ServerList;
pub use self::realtime::{RealtimeServer, Signal};
pub use self::response::Response;
pub(crate) use self::response::{read_page, read_servers, read_signal};
use self::state::{Asked, Because, Due, Phase};
use crate::auth::{AccessToken, TokenError};
use crate::batch::Batch;
use crate::clock::Moment;
use crate::config::Config;
use crate::dedup::Window;
use crate::error::Error;
use crate::pacing::{Backoff, RateLimiter, TokenBucket};
use crate::position::{StartAt, StreamPosition};
use crate::status::Status;
use crate::transport::{TransportError, TransportRequest};

/// How often to say [`Input::CheckClocks`] while something is in flight, 25 s. The engine notices within this time that the
/// machine was suspended, and an idle stream wakes the machine no more often.
pub const CLOCK_CHECK_INTERVAL: Duration = Duration::from_secs(25);

/// One of the engine's three requests. At most one of each is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `OPTIONS /events`: lists the realtime servers. It counts against Box's API limits.
    List,
    /// `GET` of a realtime server: a long poll, which is held until something happens. It does not count against Box's API
    /// limits.
    Listen,
    /// `GET /events`: fetches a page of events. It counts against Box's API limits.
    Fetch,
}

/// What is to be done next. Whoever drives the engine does each of these, so a new one would be a breaking change.
#[derive(Debug)]
pub enum Output {
    /// An API request needs a token, other than `rejected`: see [`TokenSource::token`](crate::TokenSource::token). Answer with
    /// [`Input::Token`].
    GetToken {
        /// The token that Box answered with 401.
        rejected: Option<AccessToken>,
    },
    /// Send this request, for at most its [`timeout`](TransportRequest::timeout). Reply with [`Input::Response`]; after the
    /// timeout with a [`TransportErrorKind::Timeout`](crate::transport::TransportErrorKind::Timeout).
    Send {
        /// The call that the request makes. [`Input::Response`] names it too.
        call: Call,
        /// The request.
        request: TransportRequest,
    },
    /// Nothing is due before this. Call [`LongPoll::poll_output`] again then.
    WaitUntil(Instant),
    /// Hand these events to the consumer. Say [`Input::BatchHandled`] once it has handled them, or asks for more.
    Deliver(Batch),
    /// The stream has ended; nothing comes after it. [`LongPoll::position`] says where to resume.
    Stop(Error),
    /// A [query](crate::enterprise::AdminLogs) is at its end; nothing comes after it. A stream that follows events has none.
    Finish,
    /// The input that the last output asked for is still awaited, or the stream has ended.
    Idle,
}

/// What came of an [`Output`].
#[non_exhaustive]
pub enum Input {
    /// The token source's answer to [`Output::GetToken`].
    Token(Result<AccessToken, TokenError>),
    /// The server's response to [`Output::Send`], or why there is none. The engine ignores it unless that call is in flight.
    Response {
        /// The call of the [`Output::Send`].
        call: Call,
        /// The response, or the transport's error.
        result: Response,
    },
    /// Time can't be waited for, for an [`Output::WaitUntil`] or an [`Input::CheckClocks`]. The engine stops.
    WaitFailed(TransportError),
    /// Time has passed. Say so every [`CLOCK_CHECK_INTERVAL`] while an output is being carried out, then call [`LongPoll::poll_output`]:
    /// where it gives anything but [`Output::Idle`], what was being carried out is to be dropped for it. So a machine that
    /// has slept drops a request that died meanwhile, instead of waiting for it.
    CheckClocks,
    /// The consumer has handled what [`Output::Deliver`] gave it.
    BatchHandled,
}

/// Shows no more than the variant: a response's body may hold a realtime channel.
impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Input::Token(_) => "Token(..)",
            Input::Response { .. } => "Response { .. }",
            Input::WaitFailed(_) => "WaitFailed(..)",
            Input::CheckClocks => "CheckClocks",
            Input::BatchHandled => "BatchHandled",
        })
    }
}

/// The engine of one stream. See the [module documentation](self).
#[derive(Debug)]
pub struct LongPoll {
    config: Arc<Config>,
    rng: fastrand::Rng,
    /// Where the next page starts: the end of all that was handled.
    from: StartAt,
    call: Call,
    phase: Phase,
    /// When the engine was last told something, or asked for something.
    awake_at: Moment,
    mode: Mode,
    /// The drain that is under way, or the last one.
    drain: Drain,
    window: Window,
    rate_limiter: RateLimiter,
    /// Pages of a user's stream that may bring little.
    small_pages: TokenBucket,
    listener: Listener,
    api_backoff: Backoff,
    limit: PageLimit,
    tokens: Tokens,
    /// `true` if the current call's request is sent once more, since a kept connection died under it.
    resends: bool,
    began: SystemTime,
    /// When a page came last.
    page_came_at: Option<SystemTime>,
    /// When Box last had nothing after the position.
    caught_up_at: Option<SystemTime>,
}

impl LongPoll {
    /// An engine that starts there and then. `seed` decides its jitter, its first server and the key of its hashes.
    #[must_use]
    pub fn new(config: Arc<Config>, start: StartAt, seed: u64, now: Moment) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        Self {
            from: start,
            call: Call::Fetch,
            phase: Phase::Due(Due::now(now)),
            awake_at: now,
            mode: Mode::of(&config.stream_kind),
            drain: Drain::default(),
            window: Window::new(config.dedupe_window, &mut rng),
            rate_limiter: config.stream_kind.rate_limiter(config.pace, now.monotonic),
            small_pages: config.pace.small_pages(now.monotonic),
            listener: Listener::new(now.monotonic),
            api_backoff: Backoff::default(),
            limit: PageLimit::new(config.page_limit),
            tokens: Tokens::default(),
            resends: false,
            began: now.wall,
            page_came_at: None,
            caught_up_at: None,
            rng,
            config,
        }
    }

    /// An engine that resumes with the ids of an earlier run, and when that had caught up last.
    pub(crate) fn resume(
        config: Arc<Config>,
        start: StartAt,
        window: Window,
        caught_up_at: SystemTime,
        seed: u64,
        now: Moment,
    ) -> Self {
        Self {
            window,
            caught_up_at: Some(caught_up_at),
            ..Self::new(config, start, seed, now)
        }
    }

    pub(crate) fn window(&self) -> &Window {
        &self.window
    }

    /// Where the next page starts.
    pub(crate) fn resume_at(&self) -> &StartAt {
        &self.from
    }

    /// When Box last had nothing after the position, or next to nothing. `None`: not since the start.
    pub(crate) fn caught_up_at(&self) -> Option<SystemTime> {
        self.caught_up_at
    }

    /// When a page came last. `None`: none has come since the start.
    pub(crate) fn page_came_at(&self) -> Option<SystemTime> {
        self.page_came_at
    }

    /// Returns `true` if a realtime server has shown that it honors the position of a poll.
    ///
    /// Until then the engine fetches several times after a signal, up to 64 s later, and polls once with a position that has
    /// events behind it, to find out.
    #[must_use]
    pub fn positions_are_honored(&self) -> bool {
        self.listener.late.positions == Positions::Honored
    }

    /// Returns `Some(true)` if the engine has found out since the last call that the realtime servers honor positions, and
    /// `Some(false)` if it has found that they may not.
    pub(crate) fn take_finding(&mut self) -> Option<bool> {
        let finding = self.listener.late.take_finding();
        finding.map(|positions| positions == Positions::Honored)
    }

    /// Returns `true` while it is unknown if the realtime servers honor positions.
    pub(crate) fn is_unsure_of_positions(&self) -> bool {
        self.listener.late.positions == Positions::Unknown
    }

    /// Tells the engine that the realtime servers honor the position of a poll, as another engine has
    /// [found out](Self::positions_are_honored).
    pub fn assume_positions_are_honored(&mut self) {
        self.listener.late.positions = Positions::Honored;
    }

    /// The end of what the consumer has handled: where to resume. `None` until `now` has been resolved.
    #[must_use]
    pub fn position(&self) -> Option<&StreamPosition> {
        self.from.position()
    }

    /// What the engine is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        match &self.phase {
            Phase::Due(due) => match due.because.clone() {
                Because::ItsTurn | Because::NextLook => Status::Waiting { until: due.at_wall },
                Because::Failed(because) => Status::Retrying {
                    because,
                    until: due.at_wall,
                },
                Because::Degraded(because) => Status::Degraded {
                    because,
                    until: due.at_wall,
                },
            },
            Phase::Send {
                paced_until: Some(until),
                ..
            } => Status::Waiting { until: *until },
            Phase::Authorize | Phase::AwaitToken | Phase::Send { .. } => Status::Authorizing,
            Phase::AwaitAnswer(Asked::Page(_)) => Status::Fetching,
            Phase::AwaitAnswer(Asked::Servers(_)) => Status::Listing,
            Phase::AwaitAnswer(Asked::Signal(poll)) if poll.connecting => Status::Connecting {
                since: poll.sent.wall,
            },
            Phase::AwaitAnswer(Asked::Signal(poll)) => Status::Listening {
                since: poll.sent.wall,
            },
            Phase::Arrived(_) | Phase::AwaitHandled(_) | Phase::Changing => Status::Delivering,
            Phase::Stop(because) | Phase::Stopped(because) => Status::Stopped {
                because: because.clone(),
            },
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self, now: Moment) -> Output {
        loop {
            match mem::replace(&mut self.phase, Phase::Changing) {
                Phase::Due(due) if now.monotonic < due.at => {
                    let at = due.at;
                    self.phase = Phase::Due(due);
                    return Output::WaitUntil(at);
                }
                Phase::Due(_) => self.authorize(now),
                Phase::Authorize => {
                    self.enter(Phase::AwaitToken);
                    return Output::GetToken {
                        rejected: self
                            .tokens
                            .rejected
                            .as_ref()
                            .map(|(token, _)| token.clone()),
                    };
                }
                Phase::Send { token, .. } => match self.try_acquire(now) {
                    Ok(()) => {
                        if let Some(output) = self.send(token, now) {
                            return output;
                        }
                    }
                    Err(at) => {
                        let paced_until = Some(now.wall_at(at));
                        self.enter(Phase::Send { token, paced_until });
                        return Output::WaitUntil(at);
                    }
                },
                Phase::Arrived(page) => {
                    if let Some(batch) = self.sift(page, now) {
                        return Output::Deliver(batch);
                    }
                }
                Phase::Stop(because) => {
                    self.enter(Phase::Stopped(because.clone()));
                    return because.map_or(Output::Finish, Output::Stop);
                }
                awaiting @ (Phase::AwaitToken
                | Phase::AwaitAnswer(_)
                | Phase::AwaitHandled(_)
                | Phase::Stopped(_)
                | Phase::Changing) => {
                    self.phase = awaiting;
                    return Output::Idle;
                }
            }
        }
    }

    /// Takes what came of the last output. An input that none asked for is ignored.
    pub fn handle_input(&mut self, input: Input, now: Moment) {
        let since = mem::replace(&mut self.awake_at, now);
        match (mem::replace(&mut self.phase, Phase::Changing), input) {
            (Phase::AwaitToken, Input::Token(outcome)) => self.take_token(outcome, now),
            (Phase::AwaitAnswer(asked), Input::Response { call, result }) if call == self.call => {
                self.take_response(asked, result, now);
            }
            (Phase::AwaitHandled(turn), Input::BatchHandled) => self.turn_page(turn, now),
            (phase, Input::CheckClocks) => {
                self.phase = phase;
                self.tick(since, now);
            }
            (
                Phase::Due(_) | Phase::Send { .. } | Phase::AwaitToken | Phase::AwaitAnswer(_),
                Input::WaitFailed(error),
            ) => {
                self.stop(Error::no_timer(error));
            }
            (phase, _) => self.phase = phase,
        }
    }

    fn take_response(&mut self, asked: Asked, result: Response, now: Moment) {
        if !matches!(asked, Asked::Signal(_)) {
            self.rate_limiter.was_sent_by(now.monotonic);
        }
        let is_resent = mem::take(&mut self.resends);
        let may_be_resent = match (&result, &asked) {
            (Ok(_), _) => false,
            (Err(error), Asked::Page(_) | Asked::Servers(_)) => error.may_be_resent(),
            // One that was held was cut by something else, and its URL may be used up.
            (Err(error), Asked::Signal(poll)) => {
                let rotation = &mut self.listener.rotation;
                error.may_be_resent()
                    && !poll.was_held(now)
                    && rotation.pick(now.monotonic).is_some()
            }
        };
        if may_be_resent && !is_resent {
            self.resends = true;
            return self.enter(Phase::send(asked.into_token()));
        }
        match asked {
            Asked::Page(token) => self.take_page(result, token, now),
            Asked::Servers(token) => self.take_servers(result, token, now),
            Asked::Signal(poll) => self.take_signal(result, &poll, now),
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        match self.status() {
            status @ (Status::Retrying { .. } | Status::Degraded { .. }) => {
                tracing::warn!(%status, "long poll");
            }
            status => tracing::trace!(%status, position = ?self.position(), "long poll"),
        }
    }

    fn stop(&mut self, error: Error) {
        self.enter(Phase::Stop(Some(error)));
    }

    /// Gets the token that the current call needs.
    fn authorize(&mut self, now: Moment) {
        if let Call::Listen = self.call
            && self.listener.rotation.pick(now.monotonic).is_none()
        {
            self.call = Call::List;
        }
        let needs_token = match self.call {
            Call::Fetch | Call::List => true,
            Call::Listen => self.config.polls_with_token(),
        };
        let phase = match self.take_same_token() {
            Some(token) if needs_token => Phase::send(Some(token)),
            _ if needs_token => Phase::Authorize,
            _ => Phase::send(None),
        };
        self.enter(phase);
    }

    /// Pays for the current call's request, right before it is sent.
    fn try_acquire(&mut self, now: Moment) -> Result<(), Instant> {
        let now = now.monotonic;
        // An enterprise's calls are all counted by the allowance.
        let may_be_small = matches!((self.call, &self.mode), (Call::Fetch, Mode::Listening(_)));
        if may_be_small && !self.small_pages.can_acquire(now) {
            return Err(self.small_pages.available_at(now));
        }
        if mem::take(&mut self.drain.on_credit) {
            self.rate_limiter.acquire_early(now)?;
        } else {
            self.rate_limiter.try_acquire(now)?;
        }
        if may_be_small {
            self.small_pages.try_acquire(now)?;
        }
        Ok(())
    }

    fn page_request(&self, token: &AccessToken, now: Moment) -> TransportRequest {
        let limit = self.limit.current();
        let times = self.began..now.wall;
        self.config.page_request(&self.from, limit, token, times)
    }

    /// Sends the current call's request. `None` where the server to poll has gone meanwhile: a drain is due then, as after
    /// every poll.
    fn send(&mut self, token: Option<AccessToken>, now: Moment) -> Option<Output> {
        let (request, asked) = match (self.call, token) {
            (Call::Fetch, Some(token)) => (self.page_request(&token, now), Asked::Page(token)),
            (Call::List, Some(token)) => {
                let by_type = self.listener.lists_by_type;
                let request = self.config.list_request(&token, by_type);
                (request, Asked::Servers(token))
            }
            (_, token) => {
                let Some((request, poll)) = self.poll_request(token, now) else {
                    self.rate_limiter.refund();
                    self.fetch(Drain::default(), Due::now(now));
                    return None;
                };
                self.rate_limiter.mark_refundable();
                (request, Asked::Signal(poll))
            }
        };
        let request = if self.resends {
            request.with_fresh_connection()
        } else {
            request
        };
        self.awake_at = now;
        self.enter(Phase::AwaitAnswer(asked));
        Some(Output::Send {
            call: self.call,
            request,
        })
    }
}
