//! The property of the engine with any inputs in any order.

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use box_longpoll::auth::TokenError;
use box_longpoll::protocol::{Call, Input, Output};
use box_longpoll::transport::{TransportError, TransportErrorKind};
use box_longpoll::{LongPollClient, StartAt, StreamPosition};
use bytes::Bytes;
use futures_lite::future::block_on;
use http::Response;
use url::form_urlencoded;

use super::exchange::{Engine, NO_EVENTS, ONE_SERVER, client, token};
use super::response::response;
use super::shown;

/// The maximum number of steps. It is enough for a dozen polls. More steps prove nothing new, and
/// slow the fuzzer down.
const MAX_STEPS: usize = 500;

/// Asserts that the engine never panics, never loses its position, and does nothing after it has
/// stopped. It reads page after page, and moves its position only to that of a page that it has
/// read, and never while the consumer handles a batch.
///
/// Each byte is a step, or a parameter of a step. If the number of bytes is odd, the engine follows
/// an enterprise.
pub(crate) fn holds(data: &[u8]) {
    // The length decides, so that the existing seeds keep their meaning.
    let is_enterprise = data.len() % 2 == 1;
    let engine = if is_enterprise {
        Engine::of_an_enterprise()
    } else {
        Engine::start(LongPollClient::builder())
    };
    let start = engine.engine.resume_at().position().cloned();
    let mut conversation = Conversation {
        engine,
        only_fetches: is_enterprise,
        bytes: data,
        fetches: false,
        listens: None,
        read: start.into_iter().collect(),
        is_handling: false,
        stopped: false,
    };
    for _ in 0..MAX_STEPS {
        if conversation.bytes.is_empty() {
            break;
        }
        conversation.step();
    }
}

/// A conversation with the engine.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each of them is independent of the others"
)]
struct Conversation<'a> {
    engine: Engine,
    /// `true` if the engine may only fetch pages, because it follows an enterprise.
    only_fetches: bool,
    /// The bytes that are still to be read.
    bytes: &'a [u8],
    /// `true` if a fetch is in flight.
    fetches: bool,
    /// The list or the poll in flight.
    listens: Option<Call>,
    /// The position of the engine, and those of the pages that it has read since.
    read: VecDeque<StreamPosition>,
    /// `true` if the consumer handles a batch.
    is_handling: bool,
    stopped: bool,
}

impl Conversation<'_> {
    /// Reads the next byte, or 0 at the end.
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else {
            return 0;
        };
        self.bytes = rest;
        *first
    }

    /// Makes a step. Most steps are in order, so that the conversation reaches later states.
    fn step(&mut self) {
        match self.byte() {
            0..200 => self.follow_output(),
            200..215 => self.input(Input::Token(Ok(token()))),
            215..230 => self.receive(),
            230..240 => self.handle_batch(),
            240..254 => {
                let jump = Duration::from_secs(u64::from(self.byte()).pow(2));
                self.engine.now.monotonic += jump;
                self.engine.now.wall -= jump;
                self.input(Input::CheckClocks);
            }
            254.. => {
                let error = TransportError::new(TransportErrorKind::Runtime);
                self.input(Input::WaitFailed(error));
            }
        }
        shown::assert_status(&self.engine.engine.status());
    }

    /// Does what the engine requests.
    fn follow_output(&mut self) {
        let before = self.engine.engine.resume_at().position().cloned();
        let output = self.engine.engine.poll_output(self.engine.now);
        self.assert_moved_by_a_page(before.as_ref());
        self.forget_dropped();
        match output {
            Output::Idle | Output::WaitUntil(_) if self.fetches || self.listens.is_some() => {
                self.receive();
            }
            Output::Idle => {
                self.handle_batch();
                self.input(Input::Token(Ok(token())));
            }
            output if self.stopped => panic!("output after the stop: {output:?}"),
            Output::WaitUntil(until) => self.engine.wait_until(until),
            Output::Stop(error) => {
                shown::assert_error(&error);
                self.stopped = true;
            }
            Output::GetToken { .. } => {
                let outcome = match self.byte() {
                    0..250 => Ok(token()),
                    250..253 => Err(TokenError::transient("later")),
                    253.. => Err(TokenError::permanent("never")),
                };
                self.input(Input::Token(outcome));
            }
            Output::Send { call, request } => {
                assert!(call == Call::Fetch || !self.only_fetches);
                if call == Call::Fetch {
                    assert!(!self.fetches, "two fetches are in flight");
                    self.fetches = true;
                    let query = request.request().uri().query().unwrap_or_default();
                    let from = form_urlencoded::parse(query.as_bytes())
                        .find_map(|(name, value)| (name == "stream_position").then_some(value));
                    assert_eq!(
                        from.as_deref(),
                        self.read.back().map(box_longpoll::StreamPosition::as_str)
                    );
                } else {
                    assert_eq!(self.listens, None);
                    self.listens = Some(call);
                }
            }
            Output::Deliver(batch) => {
                assert!(!self.is_handling, "two batches are delivered");
                assert_ne!(batch.len(), 0);
                self.is_handling = true;
            }
            Output::Finish => panic!("a followed stream has no end"),
        }
    }

    /// Tells the engine that the consumer has handled its batch.
    fn handle_batch(&mut self) {
        self.is_handling = false;
        self.input(Input::BatchHandled);
    }

    /// Passes a response to the engine. If two requests are in flight, the next byte decides which
    /// one it belongs to.
    fn receive(&mut self) {
        let prefers_fetch = self.listens.is_none() || self.byte().is_multiple_of(2);
        let call = match self.listens {
            Some(call) if !self.fetches || !prefers_fetch => call,
            _ => Call::Fetch,
        };
        let response = self.response(call);
        if call != Call::Fetch {
            self.listens = None;
        } else if mem::take(&mut self.fetches)
            && let Ok(page) = &response
        {
            let client = client(LongPollClient::builder(), page);
            let fetched = block_on(client.fetch(StartAt::Now));
            let position = fetched.ok().and_then(|page| page.next_position);
            self.read.extend(position);
        }
        let result = response;
        self.input(Input::Response { call, result });
    }

    /// Passes an input to the engine. An input may make it drop its requests.
    fn input(&mut self, input: Input) {
        let before = self.engine.engine.resume_at().position().cloned();
        self.engine.engine.handle_input(input, self.engine.now);
        self.assert_moved_by_a_page(before.as_ref());
        self.forget_dropped();
    }

    fn forget_dropped(&mut self) {
        let engine = &self.engine.engine;
        self.fetches &= engine.awaits(Call::Fetch);
        self.listens = self.listens.filter(|call| engine.awaits(*call));
    }

    /// Asserts that the position is unchanged, or that of a page that was read.
    #[track_caller]
    fn assert_moved_by_a_page(&mut self, before: Option<&StreamPosition>) {
        let after = self.engine.engine.resume_at().position();
        assert!(after.is_some(), "the position is lost");
        if after != before {
            assert!(!self.is_handling, "the batch is not handled yet");
            let read = self.read.iter().position(|read| Some(read) == after);
            let read = read.expect("the position moves to that of a page");
            self.read.drain(..read);
        }
    }

    /// Makes a response, or an error of the transport.
    fn response(&mut self, call: Call) -> Result<Response<Bytes>, TransportError> {
        let text = match self.byte() {
            0..40 => match call {
                Call::Listen => r#"{"message":"new_change"}"#.to_owned(),
                Call::List => ONE_SERVER.to_owned(),
                Call::Fetch => NO_EVENTS.to_owned(),
            },
            40..100 => {
                let (id, next) = (self.byte(), self.byte());
                format!(r#"{{"entries":[{{"event_id":"{id}"}},7],"next_stream_position":{next}}}"#)
            }
            100..130 => r#"{"message":"reconnect"}"#.to_owned(),
            130..150 => r#"{"message":"something_new"}"#.to_owned(),
            150..170 => format!(
                "{}\nretry-after: {}\n\n",
                300 + u16::from(self.byte()),
                self.byte()
            ),
            170..190 => r#"{"entries":[{"a":"#.to_owned(),
            190..210 => {
                let kinds = [
                    TransportErrorKind::Timeout,
                    TransportErrorKind::Interrupted,
                    TransportErrorKind::BodyTooLarge,
                    TransportErrorKind::InvalidRequest,
                ];
                let kind = kinds[usize::from(self.byte()) % kinds.len()];
                return Err(TransportError::new(kind));
            }
            210.. => {
                let length = usize::from(self.byte()).min(self.bytes.len());
                let (text, rest) = self.bytes.split_at(length);
                self.bytes = rest;
                return Ok(response(text));
            }
        };
        Ok::<Response<Bytes>, _>(response(text.as_bytes()))
    }
}
