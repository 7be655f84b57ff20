//! The engine, fed with anything in any order.

use std::time::Duration;

use box_longpoll::auth::TokenError;
use box_longpoll::protocol::{Call, Input, Output};
use box_longpoll::transport::{TransportError, TransportErrorKind};
use box_longpoll::{LongPollClient, StartAt, StreamPosition};
use bytes::Bytes;
use futures_lite::future::block_on;
use http::Response;
use url::form_urlencoded;

use super::answer::answer;
use super::exchange::{Engine, NO_EVENTS, ONE_SERVER, client, token};
use super::shown;

/// Enough for a dozen polls; more of them say the same, and slow the fuzzer down.
const MOST_STEPS: usize = 500;

/// Each byte is a step, or what a step needs; an odd number of them is for an enterprise's engine. The engine never panics,
/// never loses its position, moves it only to what a page said whose events are handled, and once stopped does nothing more.
pub(crate) fn holds(data: &[u8]) {
    // So that the tapes that there are stay what they are.
    let of_an_enterprise = data.len() % 2 == 1;
    let mut talk = Talk {
        engine: if of_an_enterprise {
            Engine::of_an_enterprise()
        } else {
            Engine::start(LongPollClient::builder())
        },
        asks_for_pages_alone: of_an_enterprise,
        tape: data,
        awaited: None,
        offered: None,
        stopped: false,
    };
    for _ in 0..MOST_STEPS {
        if talk.tape.is_empty() {
            break;
        }
        talk.step();
    }
}

struct Talk<'a> {
    engine: Engine,
    asks_for_pages_alone: bool,
    tape: &'a [u8],
    awaited: Option<Call>,
    /// The position of the page that came last.
    offered: Option<StreamPosition>,
    stopped: bool,
}

impl Talk<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.tape.split_first() else {
            return 0;
        };
        self.tape = rest;
        *first
    }

    /// Most steps are in order, so that the talk gets somewhere.
    fn step(&mut self) {
        match self.byte() {
            0..200 => self.go_on(),
            200..215 => self.input(Input::Token(Ok(token()))),
            215..230 => {
                let answer = self.answer();
                self.take(answer);
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

    /// Does what the engine says.
    fn go_on(&mut self) {
        let before = self.engine.engine.resume_at().position().cloned();
        let output = self.engine.engine.poll_output(self.engine.now);
        self.assert_moved_by_a_page(before.as_ref());
        match output {
            Output::Idle if self.awaited.is_some() => {
                let answer = self.answer();
                self.take(answer);
            }
            Output::Idle => {
                self.input(Input::BatchHandled);
                self.input(Input::Token(Ok(token())));
            }
            output if self.stopped => panic!("it stopped, and now {output:?}"),
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
                assert!(call == Call::Fetch || !self.asks_for_pages_alone);
                if call == Call::Fetch {
                    let query = request.request().uri().query().unwrap_or_default();
                    let from = form_urlencoded::parse(query.as_bytes())
                        .find_map(|(name, value)| (name == "stream_position").then_some(value));
                    assert_eq!(from.as_deref(), self.engine.position());
                }
                self.awaited = Some(call);
            }
            Output::Deliver(batch) => assert_ne!(batch.len(), 0),
            Output::Finish => panic!("what is followed has no end"),
        }
    }

    fn take(&mut self, answer: Result<Response<Bytes>, TransportError>) {
        let before = self.engine.engine.resume_at().position().cloned();
        let awaited = self.awaited.take();
        if awaited == Some(Call::Fetch)
            && let Ok(page) = &answer
        {
            let client = client(LongPollClient::builder(), page);
            let fetched = block_on(client.fetch(StartAt::Now));
            self.offered = fetched.ok().and_then(|page| page.next_position);
        }
        let now = self.engine.now;
        let input = Input::Response {
            call: awaited.unwrap_or(Call::Fetch),
            result: answer,
        };
        self.engine.engine.handle_input(input, now);
        let after = self.engine.engine.resume_at().position();
        assert_eq!(after, before.as_ref(), "what came is not handled yet");
    }

    fn input(&mut self, input: Input) {
        let before = self.engine.engine.resume_at().position().cloned();
        self.engine.engine.handle_input(input, self.engine.now);
        self.assert_moved_by_a_page(before.as_ref());
    }

    #[track_caller]
    fn assert_moved_by_a_page(&self, before: Option<&StreamPosition>) {
        let after = self.engine.engine.resume_at().position();
        if after != before {
            assert_eq!(after, self.offered.as_ref(), "it moved by itself");
        }
        assert!(after.is_some(), "the position is lost");
    }

    fn answer(&mut self) -> Result<Response<Bytes>, TransportError> {
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
                let length = usize::from(self.byte()).min(self.tape.len());
                let (text, rest) = self.tape.split_at(length);
                self.tape = rest;
                return Ok(answer(text));
            }
        };
        Ok::<Response<Bytes>, _>(answer(text.as_bytes()))
    }
}
