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
//!             Output::Idle => unreachable!("every output got its input"),
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
//! Each call goes through the same phases: *scheduled* for a time, *authorized* by a token if it goes to Box's API, *sent*
//! when the [`Pace`](crate::config::Pace) permits, and *in flight* until its response comes. If a kept connection dies under a request, it is
//! sent once more. After a failed API call the engine fetches, later, or lists again at once. Any call can stop the stream.
//!
//! A signal is a hint and `GET /events` is the truth: whatever ends a poll, the engine fetches until a page brings
//! nothing new. If the pace is used up by then, it fetches once more instead of listening. Box may show an event later than
//! it signals it, and a signal may get lost between two polls. So the engine fetches again up to 64 s after a signal, unless
//! a realtime server has shown that it responds at once to a position with events behind it: see
//! [`LongPoll::positions_are_honored`].

mod authorize;
mod box_error;
mod engine;
mod exchange;
mod fetch;
mod late;
mod listen;
mod mode;
mod page;
mod page_limit;
mod poll;
mod request;
mod response;
mod rotation;
mod servers;
mod signal;
mod state;

use std::fmt;
use std::time::{Duration, Instant};

pub use self::engine::LongPoll;
pub use self::page::Page;
pub use self::response::Response;
pub(crate) use self::response::{read_page, read_servers, read_signal};
pub use self::servers::RealtimeServer;
pub(crate) use self::servers::ServerList;
pub use self::signal::Signal;
use crate::auth::{AccessToken, TokenError};
use crate::batch::Batch;
use crate::error::Error;
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

/// The next thing to do. A driver of the engine does each of these, so a new one would be a breaking change.
#[derive(Debug)]
pub enum Output {
    /// An API request needs a token, other than `rejected`: see [`TokenSource::token`](crate::TokenSource::token). Reply with
    /// [`Input::Token`].
    GetToken {
        /// The token that Box rejected with 401.
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
    /// Hand these events to the consumer. Say [`Input::BatchHandled`] once it has handled them, or requests more.
    Deliver(Batch),
    /// The stream has ended; nothing comes after it. [`LongPoll::resume_at`] says where to resume.
    Stop(Error),
    /// A [query](crate::enterprise::AdminLogs) is at its end; nothing comes after it. A stream that follows events has none.
    Finish,
    /// The input that the last output needs is still awaited, or the stream has ended.
    Idle,
}

/// The result of an [`Output`].
#[non_exhaustive]
pub enum Input {
    /// The result of the token source for [`Output::GetToken`].
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
    /// Time has passed. Say so every [`CLOCK_CHECK_INTERVAL`] while an output is being carried out, then call
    /// [`LongPoll::poll_output`]. If it gives anything but [`Output::Idle`], drop the output that is being carried out, and do
    /// the new one. So a stream on a machine that was suspended drops a request that died meanwhile, instead of waiting for
    /// it.
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
