//! The property of the engine with any inputs in any order.

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
/// stopped. It moves its position only to that of a page whose events were handled.
///
/// Each byte is a step, or a parameter of a step. If the number of bytes is odd, the engine follows
/// an enterprise.
pub(crate) fn holds(data: &[u8]) {
    // The length decides, so that the existing seeds keep their meaning.
    let is_enterprise = data.len() % 2 == 1;
    let mut conversation = Conversation {
        engine: if is_enterprise {
            Engine::of_an_enterprise()
        } else {
            Engine::start(LongPollClient::builder())
        },
        only_fetches: is_enterprise,
        bytes: data,
        awaited: None,
        page_position: None,
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
struct Conversation<'a> {
    engine: Engine,
    /// `true` if the engine may only fetch pages, because it follows an enterprise.
    only_fetches: bool,
    /// The bytes that are still to be read.
    bytes: &'a [u8],
    /// The request in flight.
    awaited: Option<Call>,
    /// The position of the last page.
    page_position: Option<StreamPosition>,
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
            215..230 => {
                let response = self.response();
                self.receive(response);
            }
            230..240 => self.input(Input::BatchHandled),
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
        match output {
            Output::Idle if self.awaited.is_some() => {
                let response = self.response();
                self.receive(response);
            }
            Output::Idle => {
                self.input(Input::BatchHandled);
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
                    let query = request.request().uri().query().unwrap_or_default();
                    let from = form_urlencoded::parse(query.as_bytes())
                        .find_map(|(name, value)| (name == "stream_position").then_some(value));
                    assert_eq!(from.as_deref(), self.engine.position());
                }
                self.awaited = Some(call);
            }
            Output::Deliver(batch) => assert_ne!(batch.len(), 0),
            Output::Finish => panic!("a followed stream has no end"),
        }
    }

    /// Passes a response to the engine.
    fn receive(&mut self, response: Result<Response<Bytes>, TransportError>) {
        let before = self.engine.engine.resume_at().position().cloned();
        let awaited = self.awaited.take();
        if awaited == Some(Call::Fetch)
            && let Ok(page) = &response
        {
            let client = client(LongPollClient::builder(), page);
            let fetched = block_on(client.fetch(StartAt::Now));
            self.page_position = fetched.ok().and_then(|page| page.next_position);
        }
        let now = self.engine.now;
        let input = Input::Response {
            call: awaited.unwrap_or(Call::Fetch),
            result: response,
        };
        self.engine.engine.handle_input(input, now);
        let after = self.engine.engine.resume_at().position();
        assert_eq!(after, before.as_ref(), "the response is not handled yet");
    }

    /// Passes an input to the engine.
    fn input(&mut self, input: Input) {
        let before = self.engine.engine.resume_at().position().cloned();
        self.engine.engine.handle_input(input, self.engine.now);
        self.assert_moved_by_a_page(before.as_ref());
    }

    /// Asserts that the position is unchanged, or that of the last page.
    #[track_caller]
    fn assert_moved_by_a_page(&self, before: Option<&StreamPosition>) {
        let after = self.engine.engine.resume_at().position();
        if after != before {
            assert_eq!(
                after,
                self.page_position.as_ref(),
                "the position moved without a page"
            );
        }
        assert!(after.is_some(), "the position is lost");
    }

    /// Makes a response, or an error of the transport.
    fn response(&mut self) -> Result<Response<Bytes>, TransportError> {
        let text = match self.byte() {
            0..40 => match self.awaited {
                Some(Call::Listen) => r#"{"message":"new_change"}"#.to_owned(),
                Some(Call::List) => ONE_SERVER.to_owned(),
                _ => NO_EVENTS.to_owned(),
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
