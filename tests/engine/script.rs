//! A conversation with the engine: what it must ask, and what it is told. Time passes only where the engine waits.

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

/// The engine, at some point of the conversation.
pub(crate) struct Script {
    engine: LongPoll,
    now: Moment,
    waited: Duration,
    token: &'static str,
    token_takes: Duration,
    asked: Option<(Call, TransportRequest)>,
    /// What was looked at ahead of its turn.
    output: Option<Output>,
}

impl Script {
    /// An engine with the defaults.
    pub(crate) fn start(at: &str) -> Self {
        Self::with(LongPollClient::builder(), at)
    }

    /// An engine with some settings.
    pub(crate) fn with(builder: LongPollClientBuilder, at: &str) -> Self {
        Self::of(builder.config().unwrap(), at.parse().expect("a start"), 7)
    }

    /// An engine with the defaults, by another chance.
    pub(crate) fn by_chance(seed: u64, at: &str) -> Self {
        let config = LongPollClient::builder().config().unwrap();
        Self::of(config, at.parse().expect("a start"), seed)
    }

    /// An engine of an enterprise's events as they happen.
    pub(crate) fn streaming(streaming: AdminLogsStreaming, at: &str) -> Self {
        Self::streaming_by(7, streaming, at)
    }

    /// The same by another chance.
    pub(crate) fn streaming_by(seed: u64, streaming: AdminLogsStreaming, at: &str) -> Self {
        let config = LongPollClient::builder().config().unwrap();
        let config = config.enterprise(streaming).unwrap();
        Self::of(config, at.parse().expect("a start"), seed)
    }

    /// An engine of an enterprise's past.
    pub(crate) fn query(query: AdminLogs) -> Self {
        Self::query_from(StartAt::Oldest, query)
    }

    /// The same from another start.
    pub(crate) fn query_from(start: StartAt, query: AdminLogs) -> Self {
        let config = LongPollClient::builder().config().unwrap();
        Self::of(config.admin_logs(query).unwrap(), start, 7)
    }

    /// An engine that does not know whether the realtime servers honor positions. The others know it.
    pub(crate) fn knowing_nothing(at: &str) -> Self {
        let mut script = Self::start(at);
        let config = LongPollClient::builder().config().unwrap();
        let start = at.parse().expect("a start");
        script.engine = LongPoll::new(Arc::new(config), start, 7, script.now);
        script
    }

    fn of(config: Config, start: StartAt, seed: u64) -> Self {
        let now = Moment::read_clocks();
        let mut engine = LongPoll::new(Arc::new(config), start, seed, now);
        engine.assume_positions_are_honored();
        Self {
            engine,
            now,
            waited: Duration::ZERO,
            token: "token-1",
            token_takes: Duration::ZERO,
            asked: None,
            output: None,
        }
    }

    /// An engine that is listening at position 100, to the first of so many servers.
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

    /// The next thing that the engine wants apart from tokens and time.
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

    /// The token source is slow from now on.
    pub(crate) fn token_takes(&mut self, time: Duration) -> &mut Self {
        self.token_takes = time;
        self
    }

    /// Lets time pass while the engine waits for an answer or for its consumer.
    pub(crate) fn pass(&mut self, time: Duration) -> &mut Self {
        self.now.monotonic += time;
        self.now.wall += time;
        self
    }

    /// The machine sleeps: the monotonic clock stands still meanwhile.
    pub(crate) fn sleep(&mut self, time: Duration) -> &mut Self {
        self.now.wall += time;
        self
    }

    pub(crate) fn set_clock_back(&mut self, by: Duration) -> &mut Self {
        self.now.wall -= by;
        self
    }

    pub(crate) fn tick_now(&mut self) -> &mut Self {
        self.waited = Duration::ZERO;
        self.input(Input::CheckClocks);
        self
    }

    pub(crate) fn tick_after(&mut self, time: Duration) -> &mut Self {
        self.pass(time).tick_now()
    }

    #[track_caller]
    fn expect_request(&mut self, expected: Call, method: &Method, path: &str) -> String {
        let request = self.expect_any().asked().request();
        let uri = request.uri().clone();
        assert_eq!(request.method(), method, "{uri}");
        assert_eq!(uri.path(), path, "{uri}");
        assert_eq!(self.call(), expected);
        uri.query().unwrap_or_default().to_owned()
    }

    /// A page is asked for, from that position.
    #[track_caller]
    pub(crate) fn expect_fetch(&mut self, from: &str) -> &mut Self {
        let query = self.expect_request(Call::Fetch, &Method::GET, "/2.0/events");
        let wanted = format!("stream_position={from}");
        assert!(query.split('&').any(|pair| pair == wanted), "{query}");
        self
    }

    /// The servers are asked for.
    #[track_caller]
    pub(crate) fn expect_list(&mut self) -> &mut Self {
        self.expect_request(Call::List, &Method::OPTIONS, "/2.0/events");
        self
    }

    /// A poll is held, at that position, for nine seconds so far.
    #[track_caller]
    pub(crate) fn expect_listen(&mut self, at: &str) -> &mut Self {
        let query = self.expect_request(Call::Listen, &Method::GET, "/subscribe");
        assert_eq!(
            query,
            format!("channel=c&stream_type=all&stream_position={at}")
        );
        self.pass(Duration::from_secs(9))
    }

    /// A poll is held, after the servers were listed anew or not.
    #[track_caller]
    pub(crate) fn expect_list_or_listen(&mut self) -> &mut Self {
        if self.expect_any().asked().request().method() == Method::OPTIONS {
            self.reply(server_list(1)).expect_any();
        }
        assert_eq!(self.asked().request().uri().path(), "/subscribe");
        self
    }

    /// Anything is asked.
    #[track_caller]
    pub(crate) fn expect_any(&mut self) -> &mut Self {
        let sent = match self.next() {
            Output::Send { call, request } => (call, request),
            output => panic!("expected a request, got {output:?}"),
        };
        self.asked = Some(sent);
        self
    }

    /// Anything is asked, once what is handed out before is handled.
    #[track_caller]
    pub(crate) fn expect_any_after_batches(&mut self) -> &mut Self {
        loop {
            match self.next() {
                Output::Deliver(_) => self.handled(),
                Output::Send { call, request } => {
                    self.asked = Some((call, request));
                    return self;
                }
                output => panic!("expected a request, got {output:?}"),
            };
        }
    }

    #[track_caller]
    pub(crate) fn assert_limit(&self, limit: u32) -> &Self {
        let query = self.asked().request().uri().query().unwrap_or_default();
        let wanted = format!("limit={limit}");
        assert!(query.split('&').any(|pair| pair == wanted), "{query}");
        self
    }

    /// The request that was asked last.
    pub(crate) fn asked(&self) -> &TransportRequest {
        &self.asked.as_ref().expect("a request").1
    }

    /// The call of the request that was sent last.
    fn call(&self) -> Call {
        self.asked.as_ref().expect("a request").0
    }

    /// The host that was asked last.
    pub(crate) fn host(&self) -> String {
        self.asked().request().uri().host().unwrap().to_owned()
    }

    /// Answers the request. What the engine waits is counted from here.
    pub(crate) fn reply(&mut self, result: Response) -> &mut Self {
        self.reply_to(self.call(), result)
    }

    /// Gives the engine a response to that call, which may not be in flight.
    pub(crate) fn reply_to(&mut self, call: Call, result: Response) -> &mut Self {
        self.waited = Duration::ZERO;
        self.input(Input::Response { call, result });
        self
    }

    /// How long the engine has waited since the last answer.
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

    /// A batch is handed out, and handled.
    #[track_caller]
    pub(crate) fn expect_batch(&mut self, ids: &[&str]) -> &mut Self {
        self.expect_unhandled_batch(ids).handled()
    }

    /// A batch is handed out, and kept.
    #[track_caller]
    pub(crate) fn expect_unhandled_batch(&mut self, ids: &[&str]) -> &mut Self {
        let output = self.next();
        let Output::Deliver(batch) = output else {
            panic!("expected a batch of {ids:?}, got {output:?}");
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

    /// A newer token than the last is asked for.
    #[track_caller]
    pub(crate) fn expect_refresh(&mut self) -> &mut Self {
        let output = self.next();
        let Output::GetToken { rejected } = output else {
            panic!("expected a refresh, got {output:?}");
        };
        assert_eq!(rejected, Some(AccessToken::new(self.token).unwrap()));
        self
    }

    /// The token source has another token from now on.
    pub(crate) fn use_token(&mut self, token: &'static str) -> &mut Self {
        self.token = token;
        self
    }

    pub(crate) fn give_newer_token(&mut self, token: &'static str) -> &mut Self {
        self.token = token;
        self.give_token();
        self
    }

    /// The token that is asked for next can't be had.
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

    /// The query is at its end.
    #[track_caller]
    pub(crate) fn expect_finish(&mut self) -> &mut Self {
        let output = self.next();
        assert!(matches!(output, Output::Finish), "{output:?}");
        assert_eq!(self.engine.status().to_string(), "stopped");
        assert!(matches!(self.next(), Output::Idle));
        self
    }

    /// Nothing goes on before the consumer asks.
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

    /// Until when the engine says that it waits after a failure.
    #[track_caller]
    pub(crate) fn until(&mut self) -> SystemTime {
        self.retrying().1
    }

    /// Why the engine says that it waits.
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

    /// What the engine is doing with the request that was asked last.
    pub(crate) fn doing(&self) -> Status {
        self.engine.status()
    }

    /// Looks at what comes next, which comes all the same.
    fn peek(&mut self) -> &Output {
        let output = self.next();
        self.output.insert(output)
    }

    /// Whether a newer token is wanted.
    pub(crate) fn is_refresh_due(&mut self) -> bool {
        matches!(self.peek(), Output::GetToken { rejected: Some(_) })
    }

    /// Whether the engine stops now.
    pub(crate) fn stops(&mut self) -> bool {
        matches!(self.peek(), Output::Stop(_))
    }

    pub(crate) fn positions_are_honored(&self) -> bool {
        self.engine.positions_are_honored()
    }

    /// The request that was asked last is a poll at that position.
    #[track_caller]
    pub(crate) fn assert_polls_at(&self, position: &str) -> &Self {
        let uri = self.asked().request().uri();
        assert_eq!(uri.path(), "/subscribe");
        let query = uri.query().unwrap_or_default();
        let wanted = format!("stream_position={position}");
        assert!(query.split('&').any(|pair| pair == wanted), "{query}");
        self
    }

    /// The error that the engine stops with.
    #[track_caller]
    pub(crate) fn stopped(&mut self) -> Error {
        match self.next() {
            Output::Stop(error) => error,
            output => panic!("expected a stop, got {output:?}"),
        }
    }

    /// What the engine is doing while it waits.
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

/// A page with such events; the next position is given as JSON.
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

/// A list of so many servers, of 7 polls and 10 minutes each.
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

/// 200 with that body.
pub(crate) fn body(text: &str) -> Response {
    response(200, &[], text.to_owned())
}

/// A status, and an error in Box's form if it is one.
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
