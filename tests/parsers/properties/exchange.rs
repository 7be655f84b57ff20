//! A client and an engine that get a given response to each of their requests.
//!
//! [`client`] has a network with one response for everything. [`Engine`] waits for the response to
//! a chosen request.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::HttpTransport;
use box_longpoll::auth::TokenError;
use box_longpoll::config::Config;
use box_longpoll::enterprise::AdminLogsStreaming;
use box_longpoll::protocol::{Call, Input, LongPoll, Output};
use box_longpoll::transport::{Moment, TransportError, TransportRequest};
use box_longpoll::{AccessToken, LongPollClient, LongPollClientBuilder, StartAt, StreamPosition};
use bytes::Bytes;
use http::Response;

use super::response::TOKEN;
use super::shown;

/// A network on which every request gets the same response.
#[derive(Debug)]
pub(crate) struct Canned(pub(crate) Response<Bytes>);

#[async_trait]
impl HttpTransport for Canned {
    async fn send(&self, _request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        Ok(self.0.clone())
    }

    async fn sleep(&self, _duration: Duration) -> Result<(), TransportError> {
        std::future::pending().await
    }
}

/// Returns the access token.
pub(crate) fn token() -> AccessToken {
    AccessToken::new(TOKEN).expect("visible ASCII")
}

/// Returns a client whose requests all get this response.
pub(crate) fn client(
    builder: LongPollClientBuilder,
    response: &Response<Bytes>,
) -> LongPollClient<Canned> {
    builder
        .build(Canned(response.clone()), token())
        .expect("settings in their range")
}

/// The position at which the engines start.
pub(crate) const POSITION: &str = "100";
pub(crate) const NO_EVENTS: &str = r#"{"entries":[],"next_stream_position":"100"}"#;
pub(crate) const ONE_SERVER: &str = r#"{"entries":[{"url":"http://2.realtime.services.box.net/subscribe?channel=c&stream_type=all"}]}"#;

/// An engine, with its clock.
pub(crate) struct Engine {
    pub(crate) engine: LongPoll,
    pub(crate) now: Moment,
    /// The call of the request that was sent last.
    sent: Option<Call>,
}

impl Engine {
    /// Creates an engine with these settings.
    pub(crate) fn start(builder: LongPollClientBuilder) -> Self {
        Self::of(builder.config().expect("settings in their range"))
    }

    /// Creates an engine that follows an enterprise's events.
    pub(crate) fn of_an_enterprise() -> Self {
        let config = LongPollClient::builder().config();
        let config = config.and_then(|config| config.enterprise(AdminLogsStreaming::default()));
        Self::of(config.expect("settings in their range"))
    }

    fn of(config: Config) -> Self {
        let start: StartAt = POSITION.parse().expect("a position");
        let now = Moment::read_clocks();
        Self {
            engine: LongPoll::new(Arc::new(config), start, 7, now),
            now,
            sent: None,
        }
    }

    /// Creates an engine that has sent a request for this call, at position 100.
    pub(crate) fn awaiting(call: Call) -> Self {
        Self::awaiting_with(LongPollClient::builder(), call)
    }

    /// Creates such an engine with these settings.
    pub(crate) fn awaiting_with(builder: LongPollClientBuilder, call: Call) -> Self {
        let mut engine = Self::start(builder);
        let before: &[&'static str] = match call {
            Call::Fetch => &[],
            Call::List => &[NO_EVENTS],
            Call::Listen => &[NO_EVENTS, ONE_SERVER],
        };
        for body in before {
            engine.expect_request();
            engine.respond(Response::new(Bytes::from_static(body.as_bytes())));
        }
        assert_eq!(engine.expect_request(), call);
        engine
    }

    /// Returns the call of the next output, which must be a request.
    #[track_caller]
    fn expect_request(&mut self) -> Call {
        let output = self.next();
        let Output::Send { call, .. } = output else {
            panic!("expected a request, got {output:?}");
        };
        call
    }

    /// Passes a response to the engine.
    pub(crate) fn respond(&mut self, response: Response<Bytes>) {
        let input = Input::Response {
            call: self.sent.expect("a request"),
            result: Ok(response),
        };
        self.engine.handle_input(input, self.now);
        shown::assert_status(&self.engine.status());
    }

    /// Returns the next output, after it has provided tokens and passed waits. There is only one
    /// token. A wait of more than an hour panics.
    pub(crate) fn next(&mut self) -> Output {
        loop {
            let output = self.engine.poll_output(self.now);
            shown::assert_status(&self.engine.status());
            match output {
                Output::WaitUntil(until) => self.wait_until(until),
                Output::GetToken { rejected } => {
                    let outcome = match rejected {
                        None => Ok(token()),
                        Some(_) => Err(TokenError::permanent("there is no newer one")),
                    };
                    self.engine.handle_input(Input::Token(outcome), self.now);
                }
                Output::Stop(error) => {
                    shown::assert_error(&error);
                    return Output::Stop(error);
                }
                output => {
                    if let Output::Send { call, .. } = output {
                        self.sent = Some(call);
                    }
                    return output;
                }
            }
        }
    }

    /// Moves the clock to a point in time, which must be at most an hour away.
    #[track_caller]
    pub(crate) fn wait_until(&mut self, until: std::time::Instant) {
        let wait = until.saturating_duration_since(self.now.monotonic);
        assert!(wait <= Duration::from_secs(3_600), "a wait of {wait:?}");
        self.now.monotonic += wait;
        self.now.wall += wait;
    }

    /// Returns the position of the engine.
    pub(crate) fn position(&self) -> Option<&str> {
        self.engine
            .resume_at()
            .position()
            .map(StreamPosition::as_str)
    }
}
