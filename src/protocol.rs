//! A sans-I/O engine for Box's long-poll protocol: a state machine without socket, clock, task or
//! lock.
//!
//! [`LongPollClient`](crate::LongPollClient) drives the engine for you. Use [`LongPoll`] directly
//! to bring your own I/O, or to test without a network. A driver works in these steps:
//!
//! 1. Call [`LongPoll::poll_output`] and carry out the [`Output`]. Repeat until it returns
//!    [`Output::WaitUntil`] or [`Output::Idle`]. Requests are carried out side by side: at most one
//!    [`Call::Fetch`], and at most one [`Call::List`] or [`Call::Listen`].
//! 2. Wait for the result of any output, or for that time. Pass a result to
//!    [`LongPoll::handle_input`].
//! 3. While an output is being carried out, pass [`Input::CheckClocks`] every
//!    [`CLOCK_CHECK_INTERVAL`]. The engine then notices if the machine was suspended. After each
//!    input and output, drop the requests that the engine no longer [awaits](LongPoll::awaits).
//! 4. Repeat until [`Output::Stop`]. A query also ends with [`Output::Finish`].
//!
//! The engine logs each of its steps at the level of traces, and nothing else. A driver that logs
//! failures gets them from [`LongPoll::status`].
//!
//! Time is an argument of both methods. Randomness comes from the seed. The same inputs at the same
//! times produce the same outputs.
//!
//! ```no_run
//! use std::sync::mpsc::channel;
//! use std::thread;
//!
//! use box_longpoll::protocol::{CLOCK_CHECK_INTERVAL, Input, LongPoll, Output};
//! use box_longpoll::transport::{TransportError, TransportErrorKind, TransportRequest};
//! use box_longpoll::{AccessToken, Error, LongPollClient, StartAt, transport::Moment};
//! # type Response = Result<http::Response<bytes::Bytes>, TransportError>;
//! # fn send(_: TransportRequest) -> Response {
//! #     Err(TransportError::new(TransportErrorKind::Connect))
//! # }
//!
//! fn follow(token: &AccessToken) -> Result<(), Error> {
//!     let config = LongPollClient::builder().config()?;
//!     let mut engine = LongPoll::new(config.into(), StartAt::Now, 42, Moment::read_clocks());
//!     let (sender, responses) = channel();
//!     loop {
//!         let until = match engine.poll_output(Moment::read_clocks()) {
//!             Output::GetToken { rejected: Some(_) } => return Ok(()), // there is no newer token
//!             Output::GetToken { rejected: None } => {
//!                 engine.handle_input(Input::Token(Ok(token.clone())), Moment::read_clocks());
//!                 continue;
//!             }
//!             Output::Send { call, request } => {
//!                 let sender = sender.clone();
//!                 thread::spawn(move || sender.send((call, send(request))));
//!                 continue;
//!             }
//!             Output::Deliver(batch) => {
//!                 println!("{} events", batch.len());
//!                 engine.handle_input(Input::BatchHandled, Moment::read_clocks());
//!                 continue;
//!             }
//!             Output::Stop(error) => return Err(error),
//!             Output::Finish => return Ok(()), // only a query finishes
//!             Output::WaitUntil(time) => Some(time),
//!             Output::Idle => None,
//!         };
//!         let now = Moment::read_clocks().monotonic;
//!         let wait = until.map_or(CLOCK_CHECK_INTERVAL, |until| {
//!             until.saturating_duration_since(now).min(CLOCK_CHECK_INTERVAL)
//!         });
//!         let input = match responses.recv_timeout(wait) {
//!             Ok((call, result)) => Input::Response { call, result },
//!             Err(_) => Input::CheckClocks,
//!         };
//!         engine.handle_input(input, Moment::read_clocks());
//!     }
//! }
//! ```
//!
//! # Two lanes
//!
//! Long polling is two loops that work side by side. Through a hint, the listening loop makes the
//! fetching loop fetch.
//!
//! ```text
//!      fetching                                            listening
//!
//!   ┌────▶ Idle                                     ┌──▶ List: OPTIONS /events, if no server is left
//!   │        │ a hint, or a check is due            │       │
//!   │        ▼                                      │       ▼
//!   │     Fetch: GET /events ◀──┐                   │    Listen: GET {realtime url}
//!   │        │                  │ it had new        │       │
//!   │        ▼                  │ events, or moved  │       ├─ new_change ──▶ hint; opens again after
//!   │     a page ───────────────┘ the position      │       │                 the first page
//!   │        │    └──▶ Deliver, in order            │       ├─ reconnect, silence, a cut ──▶ hint
//!   │        │ nothing new                          ├───────┘                 opens again at once
//!   └────────┴──────── listening goes on ──────────▶┘       └─ a failure ──▶ hint, then a pause
//! ```
//!
//! - *Fetching* owns the position. It fetches pages until one brings nothing new, which is a drain.
//!   While the consumer handles a batch, the next page is fetched:
//!   [`read_ahead`](crate::LongPollClientBuilder::read_ahead). The position to resume from still
//!   moves only when a batch is handled.
//! - *Listening* holds a poll. After `new_change` it waits for the first page. If that has events
//!   and is not full, the next poll opens from the end of that page, beside the fetch that confirms
//!   that there are no more. After a poll that ended without a signal, the next one opens at once,
//!   beside a fetch. After a failed poll, events are fetched, then the engine pauses, and fetches
//!   again before the next poll.
//!
//! A signal is a hint, and `GET /events` is the truth. If a hint comes while a fetch is in flight,
//! another fetch follows. If the fetch is not sent yet, it is enough. If the server honors
//! positions, and a page has brought events since the poll was sent, then the signal is for those
//! events, and no fetch follows. On an account that changes all the time, each page has events, and
//! no poll is open until one has none.
//!
//! Enterprise events have no realtime servers, so the engine only fetches. A page with nothing new
//! ends a query for [past events](crate::enterprise::AdminLogs). A [stream of live
//! events](crate::enterprise::AdminLogsStreaming) pauses for its interval instead.
//!
//! Each call goes through the same phases. It is *scheduled* for a time. It is *authorized* by a
//! token if it goes to Box's API. It is *sent* when the [`Pace`](crate::config::Pace) permits, and
//! *in flight* until its response arrives. Fetching has precedence when both lanes need the pace or
//! a token. If a reused connection dies under a request, the engine sends the request once more.
//! After a failed API call, the engine waits and then repeats the call. A `Retry-After` of the API
//! holds for both lanes. Any call can stop the stream; the batches that were fetched are delivered
//! first.
//!
//! Box may show an event later than it signals the event, and a signal may get lost between two
//! polls. So the engine fetches again up to 64 s after a signal, beside the held poll. If a signal
//! brings no event, the next poll waits for the first of these fetches, up to 4 s. A realtime
//! server may show that it honors positions: it responds at once to a poll with a position that has
//! events after it. From then on, the engine fetches again only until it finds the event, up to 4 s
//! after a signal. See [`LongPoll::positions_are_honored`].

mod authorize;
mod box_error;
mod complete;
mod engine;
mod exchange;
mod fetch;
mod health;
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
pub(crate) use self::page::events_of;
pub use self::response::Response;
pub(crate) use self::response::{read_page, read_servers, read_signal};
pub use self::servers::RealtimeServer;
pub(crate) use self::servers::ServerList;
pub use self::signal::Signal;
use crate::auth::{AccessToken, TokenError};
use crate::batch::Batch;
pub use crate::call::Call;
use crate::error::Error;
use crate::transport::{TransportError, TransportRequest};

/// The interval at which a driver passes [`Input::CheckClocks`] while something is in flight: 25 s.
///
/// The engine then notices within this time that the machine was suspended. An idle stream wakes
/// the machine no more often than this.
pub const CLOCK_CHECK_INTERVAL: Duration = Duration::from_secs(25);

/// The next thing for the driver to do.
///
/// A driver handles every variant, so a new variant would be a breaking change.
#[derive(Debug)]
pub enum Output {
    /// A request needs a token other than `rejected`: see
    /// [`TokenSource::token`](crate::TokenSource::token). Reply with [`Input::Token`].
    GetToken {
        /// The token that Box rejected with 401, or `None` if any token will do.
        rejected: Option<AccessToken>,
    },
    /// A request to send, for at most its [`timeout`](TransportRequest::timeout). Reply with
    /// [`Input::Response`]. After the timeout, reply with a
    /// [`TransportErrorKind::Timeout`](crate::transport::TransportErrorKind::Timeout).
    Send {
        /// The call that the request makes. Repeat it in [`Input::Response`].
        call: Call,
        /// The request.
        request: TransportRequest,
    },
    /// Nothing is due before this time, unless an input comes. Call [`LongPoll::poll_output`] again
    /// then.
    WaitUntil(Instant),
    /// Events for the consumer. Pass [`Input::BatchHandled`] once the consumer has handled them, or
    /// requests the next batch. Meanwhile, carry out the other outputs.
    Deliver(Batch),
    /// The stream has ended with an error, and no other output follows. [`LongPoll::resume_at`]
    /// returns the position to resume from.
    Stop(Error),
    /// A [query](crate::enterprise::AdminLogs) is complete, and no other output follows. A stream
    /// that follows events never finishes.
    Finish,
    /// The engine awaits an input, or the stream has ended.
    Idle,
}

/// The result of an [`Output`], or a check of the clocks.
#[non_exhaustive]
pub enum Input {
    /// The result of the token source for [`Output::GetToken`].
    Token(Result<AccessToken, TokenError>),
    /// The server's response to [`Output::Send`], or the reason why there is none. The engine
    /// ignores this input unless that call is in flight.
    Response {
        /// The call of the [`Output::Send`].
        call: Call,
        /// The response, with a body that is not compressed, or the transport's error.
        result: Response,
    },
    /// The driver's timer failed, so the driver can wait neither for the time of an
    /// [`Output::WaitUntil`] nor for the next [`Input::CheckClocks`]. The engine stops with an
    /// error.
    WaitFailed(TransportError),
    /// Time has passed. Pass this every [`CLOCK_CHECK_INTERVAL`] while an output is being carried
    /// out, then drop the requests that are no longer [awaited](LongPoll::awaits), and call
    /// [`LongPoll::poll_output`]. So after a suspension of the machine, the stream drops a dead
    /// request instead of waiting for it.
    CheckClocks,
    /// The consumer has handled the batch of [`Output::Deliver`].
    BatchHandled,
}

/// Shows only the variant, because a response's body may hold a realtime channel.
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
