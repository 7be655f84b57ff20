//! A scripted driver of the engine: it asserts each output and passes the next input. Time passes
//! only while the engine waits.
//!
//! The engine sends requests of both lanes before it delivers a batch. So a script may expect a
//! request later than it was sent. The clock is virtual. The type to start from is [`Script`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use box_longpoll::auth::TokenError;
use box_longpoll::config::Config;
use box_longpoll::enterprise::{AdminLogs, AdminLogsStreaming};
use box_longpoll::protocol::{Call, Input, LongPoll, Output, Response};
use box_longpoll::transport::{Moment, TransportError, TransportErrorKind, TransportRequest};
use box_longpoll::{
    AccessToken, Error, ErrorKind, LongPollClient, LongPollClientBuilder, StartAt, Status,
};
use http::Method;

/// The engine, with a virtual clock and the last request.
pub(crate) struct Script {
    engine: LongPoll,
    now: Moment,
    /// The time that the engine has waited since the last response.
    waited: Duration,
    /// The token that the source returns.
    token: &'static str,
    /// The time that the source takes.
    token_takes: Duration,
    /// The request that was expected last.
    sent: Option<(Call, TransportRequest)>,
    /// The requests that the engine has sent and that were not expected yet, in order.
    unexpected: VecDeque<(Call, TransportRequest)>,
    /// The output that was peeked at and not yet handled.
    output: Option<Output>,
}

impl Script {
    /// Returns an engine with the default settings.
    pub(crate) fn start(at: &str) -> Self {
        Self::with(LongPollClient::builder(), at)
    }

    /// Returns an engine with these settings.
    pub(crate) fn with(builder: LongPollClientBuilder, at: &str) -> Self {
        Self::of(builder.config().unwrap(), at.parse().expect("a start"), 7)
    }

    /// Returns an engine with the default settings and this seed.
    pub(crate) fn seeded(seed: u64, at: &str) -> Self {
        let config = LongPollClient::builder().config().unwrap();
        Self::of(config, at.parse().expect("a start"), seed)
    }

    /// Returns an engine on a stream of live enterprise events.
    pub(crate) fn streaming(streaming: AdminLogsStreaming, at: &str) -> Self {
        Self::streaming_seeded(7, streaming, at)
    }

    /// Returns the same engine with this seed.
    pub(crate) fn streaming_seeded(seed: u64, streaming: AdminLogsStreaming, at: &str) -> Self {
        let config = LongPollClient::builder().config().unwrap();
        let config = config.enterprise(streaming).unwrap();
        Self::of(config, at.parse().expect("a start"), seed)
    }

    /// Returns an engine on a query for past enterprise events.
    pub(crate) fn query(query: AdminLogs) -> Self {
        Self::query_from(StartAt::Oldest, query)
    }

    /// Returns the same engine with another start.
    pub(crate) fn query_from(start: StartAt, query: AdminLogs) -> Self {
        let config = LongPollClient::builder().config().unwrap();
        Self::of(config.admin_logs(query).unwrap(), start, 7)
    }

    /// Returns an engine that does not know yet if the realtime servers honor positions. The other
    /// engines assume it.
    pub(crate) fn unsure_of_positions(at: &str) -> Self {
        let mut script = Self::start(at);
        let config = LongPollClient::builder().config().unwrap();
        let start = at.parse().expect("a start");
        script.engine = LongPoll::new(Arc::new(config), start, 7, script.now);
        script
    }

    pub(crate) fn of(config: Config, start: StartAt, seed: u64) -> Self {
        let now = Moment::read_clocks();
        let mut engine = LongPoll::new(Arc::new(config), start, seed, now);
        engine.assume_positions_are_honored();
        Self {
            engine,
            now,
            waited: Duration::ZERO,
            token: "token-1",
            token_takes: Duration::ZERO,
            sent: None,
            unexpected: VecDeque::new(),
            output: None,
        }
    }

    /// Returns an engine that polls the first of `servers` servers at position 100.
    pub(crate) fn listening(servers: usize) -> Self {
        Self::listening_with(LongPollClient::builder(), servers)
    }

    pub(crate) fn listening_with(builder: LongPollClientBuilder, servers: usize) -> Self {
        let mut script = Self::with(builder, "100");
        script.expect_fetch("100").reply(page("100", &[]));
        script.expect_list().reply(server_list(servers));
        script.expect_listen("100");
        script
    }

    /// Returns the next output. Requests for a token and waits are handled here.
    fn next(&mut self) -> Output {
        if let Some(output) = self.output.take() {
            return output;
        }
        loop {
            match self.engine.poll_output(self.now) {
                Output::WaitUntil(at) => {
                    let wait = at - self.now.monotonic;
                    self.waited += wait;
                    self.pass(wait);
                }
                Output::GetToken { rejected: None } => {
                    self.waited += self.token_takes;
                    self.pass(self.token_takes);
                    self.give_token();
                }
                output => return output,
            }
        }
    }

    fn give_token(&mut self) {
        let token = AccessToken::new(self.token).unwrap();
        self.input(Input::Token(Ok(token)));
    }

    fn input(&mut self, input: Input) {
        self.engine.handle_input(input, self.now);
    }

    /// Makes the token source take this long from now on.
    pub(crate) fn token_takes(&mut self, time: Duration) -> &mut Self {
        self.token_takes = time;
        self
    }

    /// Lets time pass while the engine waits for a response or for its consumer.
    pub(crate) fn pass(&mut self, time: Duration) -> &mut Self {
        self.now.monotonic += time;
        self.now.wall += time;
        self
    }

    /// Suspends the machine: the monotonic clock stands still meanwhile.
    pub(crate) fn suspend(&mut self, time: Duration) -> &mut Self {
        self.now.wall += time;
        self
    }

    pub(crate) fn set_clock_back(&mut self, by: Duration) -> &mut Self {
        self.now.wall -= by;
        self
    }

    pub(crate) fn check_clocks_now(&mut self) -> &mut Self {
        self.waited = Duration::ZERO;
        self.input(Input::CheckClocks);
        self
    }

    pub(crate) fn check_clocks_after(&mut self, time: Duration) -> &mut Self {
        self.pass(time).check_clocks_now()
    }

    /// Expects a request of this call, which may be one that was sent before others.
    #[track_caller]
    fn expect_request(&mut self, expected: Call, method: &Method, path: &str) -> String {
        let mut sent = self.unexpected.iter();
        let sent = match sent.position(|(call, _)| *call == expected) {
            Some(place) => self.unexpected.remove(place),
            None => loop {
                let sent = self.next_request();
                if sent.0 == expected {
                    break Some(sent);
                }
                self.unexpected.push_back(sent);
            },
        };
        self.sent = sent;
        let request = self.sent().request();
        let uri = request.uri().clone();
        assert_eq!(request.method(), method, "{uri}");
        assert_eq!(uri.path(), path, "{uri}");
        uri.query().unwrap_or_default().to_owned()
    }

    #[track_caller]
    fn next_request(&mut self) -> (Call, TransportRequest) {
        match self.next() {
            Output::Send { call, request } => (call, request),
            output => panic!("expected a request, got {output:?}"),
        }
    }

    /// Asserts that the engine fetches a page from this position.
    #[track_caller]
    pub(crate) fn expect_fetch(&mut self, from: &str) -> &mut Self {
        let query = self.expect_request(Call::Fetch, &Method::GET, "/2.0/events");
        let wanted = format!("stream_position={from}");
        assert!(query.split('&').any(|pair| pair == wanted), "{query}");
        self
    }

    /// Asserts that the engine lists the servers.
    #[track_caller]
    pub(crate) fn expect_list(&mut self) -> &mut Self {
        self.expect_request(Call::List, &Method::OPTIONS, "/2.0/events");
        self
    }

    /// Asserts that the engine polls at this position, and lets nine seconds pass.
    #[track_caller]
    pub(crate) fn expect_listen(&mut self, at: &str) -> &mut Self {
        let query = self.expect_request(Call::Listen, &Method::GET, "/subscribe");
        assert_eq!(
            query,
            format!("channel=c&stream_type=all&stream_position={at}")
        );
        self.pass(Duration::from_secs(9))
    }

    /// Asserts that the engine polls at this position.
    #[track_caller]
    pub(crate) fn expect_poll(&mut self, at: &str) -> &mut Self {
        self.expect_request(Call::Listen, &Method::GET, "/subscribe");
        self.assert_polls_at(at);
        self
    }

    /// Asserts that the engine requests a token and delivers no batch meanwhile, then gives it.
    #[track_caller]
    pub(crate) fn expect_no_batch_before_the_token(&mut self) -> &mut Self {
        let output = self.engine.poll_output(self.now);
        assert!(matches!(output, Output::GetToken { .. }), "{output:?}");
        let output = self.engine.poll_output(self.now);
        assert!(matches!(output, Output::Idle), "{output:?}");
        self.give_token();
        self
    }

    /// Asserts that the engine does not make this call now.
    #[track_caller]
    pub(crate) fn expect_no_call(&mut self, call: Call) -> &mut Self {
        while let Output::Send { call, request } = self.engine.poll_output(self.now) {
            self.unexpected.push_back((call, request));
        }
        assert!(!self.engine.awaits(call), "it makes the call {call:?}");
        self
    }

    /// Cuts the poll after this time, and expects the next one and the fetch beside it, which
    /// brings nothing.
    #[track_caller]
    pub(crate) fn cut_poll_after(&mut self, millis: u64) -> &mut Self {
        self.pass(Duration::from_millis(millis));
        self.reply_to(Call::Listen, failed(TransportErrorKind::Body));
        self.expect_fetch("100").reply(page("100", &[]));
        self.expect_poll("100")
    }

    /// Returns the time for which the poll is held, if that was learned.
    #[track_caller]
    pub(crate) fn listening_limit(&self) -> Option<Duration> {
        match self.engine.status() {
            Status::Listening { limit, .. } => limit,
            status => panic!("it does not listen: {status}"),
        }
    }

    /// Asserts that the engine polls. If it lists the servers first, it gets one server.
    #[track_caller]
    pub(crate) fn expect_list_or_listen(&mut self) -> &mut Self {
        if self.expect_any().sent().request().method() == Method::OPTIONS {
            self.reply(server_list(1)).expect_any();
        }
        assert_eq!(self.sent().request().uri().path(), "/subscribe");
        self
    }

    /// Asserts that the engine sends a request of any kind.
    #[track_caller]
    pub(crate) fn expect_any(&mut self) -> &mut Self {
        let sent = self.unexpected.pop_front();
        self.sent = Some(sent.unwrap_or_else(|| self.next_request()));
        self
    }

    /// Handles all batches, and asserts that the engine then sends a request of any kind.
    #[track_caller]
    pub(crate) fn expect_any_after_batches(&mut self) -> &mut Self {
        loop {
            match self.next() {
                Output::Deliver(_) => self.handled(),
                Output::Send { call, request } => {
                    self.sent = Some((call, request));
                    return self;
                }
                output => panic!("expected a request, got {output:?}"),
            };
        }
    }

    #[track_caller]
    pub(crate) fn assert_limit(&self, limit: u32) -> &Self {
        let query = self.sent().request().uri().query().unwrap_or_default();
        let wanted = format!("limit={limit}");
        assert!(query.split('&').any(|pair| pair == wanted), "{query}");
        self
    }

    /// Returns the request that was sent last.
    pub(crate) fn sent(&self) -> &TransportRequest {
        &self.sent.as_ref().expect("a request").1
    }

    /// Returns the call of the request that was sent last.
    fn call(&self) -> Call {
        self.sent.as_ref().expect("a request").0
    }

    /// Returns the host of the request that was sent last.
    pub(crate) fn host(&self) -> String {
        self.sent().request().uri().host().unwrap().to_owned()
    }

    /// Passes the response to the last request. The time that the engine waits is counted from
    /// here.
    pub(crate) fn reply(&mut self, result: Response) -> &mut Self {
        self.reply_to(self.call(), result)
    }

    /// Passes a response to this call, which may not be in flight.
    pub(crate) fn reply_to(&mut self, call: Call, result: Response) -> &mut Self {
        self.waited = Duration::ZERO;
        self.input(Input::Response { call, result });
        self
    }

    /// Returns the time that the engine has waited since the last response.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }

    #[track_caller]
    pub(crate) fn assert_waited(&self, least: f64, most: f64) -> &Self {
        let waited = self.waited.as_secs_f64();
        assert!(
            (least..=most + 0.002).contains(&waited),
            "waited {waited} s, expected {least} to {most}"
        );
        self
    }

    /// Asserts that the engine delivers a batch with these ids, and handles it.
    #[track_caller]
    pub(crate) fn expect_batch(&mut self, ids: &[&str]) -> &mut Self {
        self.expect_unhandled_batch(ids).handled()
    }

    /// Asserts that the engine delivers a batch with these ids, and does not handle it.
    #[track_caller]
    pub(crate) fn expect_unhandled_batch(&mut self, ids: &[&str]) -> &mut Self {
        let batch = loop {
            match self.next() {
                Output::Deliver(batch) => break batch,
                Output::Send { call, request } => self.unexpected.push_back((call, request)),
                output => panic!("expected a batch of {ids:?}, got {output:?}"),
            }
        };
        let delivered: Vec<&str> = batch
            .iter()
            .map(|event| event.id().unwrap_or("-"))
            .collect();
        assert_eq!(delivered, ids);
        self
    }

    pub(crate) fn handled(&mut self) -> &mut Self {
        self.input(Input::BatchHandled);
        self
    }

    /// Asserts that the engine requests a newer token than the last one.
    #[track_caller]
    pub(crate) fn expect_refresh(&mut self) -> &mut Self {
        let output = self.next();
        let Output::GetToken { rejected } = output else {
            panic!("expected a refresh, got {output:?}");
        };
        assert_eq!(rejected, Some(AccessToken::new(self.token).unwrap()));
        self
    }

    /// Gives the token source another token from now on.
    pub(crate) fn use_token(&mut self, token: &'static str) -> &mut Self {
        self.token = token;
        self
    }

    pub(crate) fn give_newer_token(&mut self, token: &'static str) -> &mut Self {
        self.token = token;
        self.give_token();
        self
    }

    /// Asserts that the engine requests a token, and fails that request.
    #[track_caller]
    pub(crate) fn fail_next_token(&mut self, error: TokenError) -> &mut Self {
        let output = self.engine.poll_output(self.now);
        assert!(matches!(output, Output::GetToken { .. }), "{output:?}");
        self.fail_token(error)
    }

    pub(crate) fn fail_token(&mut self, error: TokenError) -> &mut Self {
        self.waited = Duration::ZERO;
        self.input(Input::Token(Err(error)));
        self
    }

    #[track_caller]
    pub(crate) fn expect_stop(&mut self, kind: ErrorKind) -> &mut Self {
        let output = self.next();
        let Output::Stop(error) = output else {
            panic!("expected a stop, got {output:?}");
        };
        assert_eq!(error.kind(), kind, "{error}");
        assert!(matches!(self.next(), Output::Idle));
        self
    }

    /// Asserts that the query is complete.
    #[track_caller]
    pub(crate) fn expect_finish(&mut self) -> &mut Self {
        let output = self.next();
        assert!(matches!(output, Output::Finish), "{output:?}");
        assert_eq!(self.engine.status().to_string(), "stopped");
        assert!(matches!(self.next(), Output::Idle));
        self
    }

    /// Asserts that the engine waits for an input.
    #[track_caller]
    pub(crate) fn expect_idle(&mut self) -> &mut Self {
        let output = self.next();
        assert!(matches!(output, Output::Idle), "{output:?}");
        self
    }

    #[track_caller]
    pub(crate) fn assert_position(&self, position: &str) -> &Self {
        assert_eq!(self.engine.resume_at().to_string(), position);
        self
    }

    /// Returns the end of the wait after a failure, from the status.
    #[track_caller]
    pub(crate) fn until(&mut self) -> SystemTime {
        self.retrying().1
    }

    /// Returns the error because of which the engine waits, from the status.
    #[track_caller]
    pub(crate) fn failure(&mut self) -> Error {
        self.retrying().0
    }

    #[track_caller]
    fn retrying(&mut self) -> (Error, SystemTime) {
        match self.status() {
            Status::Retrying { because, until, .. } => (because, until),
            status => panic!("it does not wait: {status}"),
        }
    }

    /// Returns the status at any moment.
    pub(crate) fn current_status(&self) -> Status {
        self.engine.status()
    }

    /// Returns the next output without handling it.
    fn peek(&mut self) -> &Output {
        let output = self.next();
        self.output.insert(output)
    }

    /// Returns `true` if the engine requests a newer token next.
    pub(crate) fn is_refresh_due(&mut self) -> bool {
        self.unexpected.is_empty() && matches!(self.peek(), Output::GetToken { rejected: Some(_) })
    }

    /// Returns `true` if the engine stops next.
    pub(crate) fn stops(&mut self) -> bool {
        self.unexpected.is_empty() && matches!(self.peek(), Output::Stop(_))
    }

    /// Returns the time on the wall clock.
    pub(crate) fn wall(&self) -> SystemTime {
        self.now.wall
    }

    /// Asserts that the stream is complete up to this time, or that no time is proven.
    #[track_caller]
    pub(crate) fn assert_complete_until(&self, time: impl Into<Option<SystemTime>>) -> &Self {
        assert_eq!(self.engine.complete_until(), time.into());
        self
    }

    pub(crate) fn positions_are_honored(&self) -> bool {
        self.engine.positions_are_honored()
    }

    /// Asserts that the request that was sent last is a poll at this position.
    #[track_caller]
    pub(crate) fn assert_polls_at(&self, position: &str) -> &Self {
        let uri = self.sent().request().uri();
        assert_eq!(uri.path(), "/subscribe");
        let query = uri.query().unwrap_or_default();
        let wanted = format!("stream_position={position}");
        assert!(query.split('&').any(|pair| pair == wanted), "{query}");
        self
    }

    /// Asserts that the engine stops next, and returns its error.
    #[track_caller]
    pub(crate) fn stopped(&mut self) -> Error {
        match self.next() {
            Output::Stop(error) => error,
            output => panic!("expected a stop, got {output:?}"),
        }
    }

    /// Asserts that the engine waits for a time, and returns its status.
    #[track_caller]
    pub(crate) fn status(&mut self) -> Status {
        let output = self.engine.poll_output(self.now);
        assert!(matches!(output, Output::WaitUntil(_)), "{output:?}");
        self.engine.status()
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a response is a result")]
fn response(status: u16, headers: &[(&str, &str)], body: impl Into<bytes::Bytes>) -> Response {
    let mut response = http::Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    Ok(response.body(body.into()).unwrap())
}

/// Returns a page with these events. The next position is given as JSON, and the id `-` stands for
/// an event without an id.
pub(crate) fn page(next: &str, ids: &[&str]) -> Response {
    let entries: Vec<String> = ids
        .iter()
        .map(|id| match *id {
            "-" => r#"{"event_type":"ITEM_CREATE"}"#.to_owned(),
            id => format!(r#"{{"event_id":"{id}"}}"#),
        })
        .collect();
    body(&format!(
        r#"{{"chunk_size":{},"next_stream_position":{next},"entries":[{}]}}"#,
        ids.len(),
        entries.join(",")
    ))
}

/// Returns a list of `servers` servers, each for 7 polls and 10 minutes.
pub(crate) fn server_list(servers: usize) -> Response {
    let entries: Vec<String> = (1..=servers)
        .map(|n| {
            format!(
                r#"{{"type":"realtime_server","url":"http://{n}.realtime.services.box.net/subscribe?channel=c&stream_type=all","ttl":"10","max_retries":"7","retry_timeout":610}}"#
            )
        })
        .collect();
    body(&format!(
        r#"{{"chunk_size":{servers},"entries":[{}]}}"#,
        entries.join(",")
    ))
}

pub(crate) fn signal(message: &str) -> Response {
    body(&format!(r#"{{"message":"{message}"}}"#))
}

/// Returns a 200 with this body.
pub(crate) fn body(text: &str) -> Response {
    response(200, &[], text.to_owned())
}

/// Returns this status, with an error in Box's form from 400 on.
pub(crate) fn status(status: u16) -> Response {
    let body = match status {
        400.. => format!(r#"{{"type":"error","status":{status}}}"#),
        _ => String::new(),
    };
    response(status, &[], body)
}

pub(crate) fn status_with(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    response(status, headers, body.to_owned())
}

pub(crate) fn failed(kind: TransportErrorKind) -> Response {
    Err(TransportError::new(kind))
}
