//! [`Receiver`]: a receiver of webhooks on this machine, with its own check of signatures.

use std::collections::VecDeque;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::program::PATIENCE;

/// The reaction to one request.
#[derive(Clone, Copy)]
pub(crate) enum Reaction {
    /// A response with this status.
    Status(u16),
    /// A response with this status and this `Retry-After`.
    Later(u16, &'static str),
    /// No response, on a connection that stays open.
    Silence,
    /// No response, on a connection that is closed.
    Close,
}
use Reaction::{Close, Later, Silence, Status};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) line: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// A running receiver. It acknowledges what nothing else was said about.
pub(crate) struct Receiver {
    url: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The reactions to the next requests.
    script: VecDeque<Reaction>,
    /// The text that makes the receiver refuse a request, and the status of the refusal.
    refused: Option<(&'static str, u16)>,
    requests: Vec<(Request, Reaction)>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        Self::start_on(([127, 0, 0, 1], 0).into())
    }

    pub(crate) fn start_on(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let receiver = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let receiver = receiver.clone();
                // A connection ends with an error if the program is killed.
                thread::spawn(move || receiver.serve(&stream));
            }
        });
        let url = format!("http://{address}/hook");
        Self { url, shared }
    }

    /// Returns an address of this machine on which nobody listens.
    pub(crate) fn free_address() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.local_addr().unwrap()
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Sets the reactions to the next requests.
    pub(crate) fn script(&self, reactions: impl IntoIterator<Item = Reaction>) {
        self.shared.state.lock().unwrap().script.extend(reactions);
    }

    /// Refuses each request whose body contains a text.
    pub(crate) fn refuse(&self, text: &'static str, status: u16) {
        self.shared.state.lock().unwrap().refused = Some((text, status));
    }

    /// Returns all requests.
    pub(crate) fn requests(&self) -> Vec<Request> {
        let state = self.shared.state.lock().unwrap();
        state
            .requests
            .iter()
            .map(|(request, _)| request.clone())
            .collect()
    }

    /// Returns the requests that were acknowledged.
    pub(crate) fn acknowledged(&self) -> Vec<Request> {
        let state = self.shared.state.lock().unwrap();
        let requests = state.requests.iter();
        requests
            .filter(|(_, reaction)| matches!(reaction, Status(200..300)))
            .map(|(request, _)| request.clone())
            .collect()
    }

    /// Waits until so many requests have arrived, and returns all of them.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Request> {
        let state = self.shared.state.lock().unwrap();
        let is_missing = |state: &mut State| state.requests.len() < count;
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, PATIENCE, is_missing);
        let (state, timeout) = waited.unwrap();
        assert!(!timeout.timed_out(), "{:?}", state.requests.len());
        drop(state);
        self.requests()
    }
}

impl Shared {
    /// Serves the requests on a connection.
    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        let mut input = BufReader::new(stream);
        let mut output = stream;
        loop {
            let request = Request::read(&mut input)?;
            let response = match self.react(request) {
                Status(status) => format!("{}\r\n", head(status)),
                Later(status, time) => format!("{}retry-after: {time}\r\n\r\n", head(status)),
                // This waits until the program closes the connection.
                Silence => return input.read_to_end(&mut Vec::new()).map(drop),
                Close => return Ok(()),
            };
            // One write is one packet. The program would wait for a second one.
            output.write_all(response.as_bytes())?;
        }
    }

    fn react(&self, request: Request) -> Reaction {
        let mut state = self.state.lock().unwrap();
        let refused = state
            .refused
            .filter(|(text, _)| request.body.contains(text));
        let reaction = match (refused, state.script.pop_front()) {
            (Some((_, status)), _) => Status(status),
            (None, reaction) => reaction.unwrap_or(Status(204)),
        };
        state.requests.push((request, reaction));
        self.changed.notify_all();
        reaction
    }
}

/// Returns the head of a response, but for its last line.
fn head(status: u16) -> String {
    let length = if status == 204 {
        ""
    } else {
        "content-length: 0\r\n"
    };
    format!("HTTP/1.1 {status} -\r\n{length}")
}

impl Request {
    fn read(input: &mut impl io::BufRead) -> io::Result<Self> {
        let mut lines = input.lines();
        let mut line = || {
            lines
                .next()
                .unwrap_or(Err(io::ErrorKind::UnexpectedEof.into()))
        };
        let first = line()?;
        let mut headers = Vec::new();
        loop {
            let header = line()?;
            let Some((name, value)) = header.split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut request = Self {
            line: first,
            headers,
            body: String::new(),
        };
        let length = request.header("content-length").unwrap_or("0");
        let length = length.parse().map_err(io::Error::other)?;
        let mut body = vec![0; length];
        input.read_exact(&mut body)?;
        request.body = String::from_utf8(body).map_err(io::Error::other)?;
        Ok(request)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let header = headers.find(|(header, _)| header == name);
        header.map(|(_, value)| &**value)
    }

    /// Returns the id of the webhook.
    #[track_caller]
    pub(crate) fn id(&self) -> &str {
        self.header("webhook-id").expect("it has an id")
    }

    /// Returns the time of the attempt, in seconds.
    #[track_caller]
    pub(crate) fn timestamp(&self) -> i64 {
        let timestamp = self.header("webhook-timestamp");
        timestamp.expect("it has a time").parse().unwrap()
    }

    /// Returns the ids of the events.
    #[track_caller]
    pub(crate) fn event_ids(&self) -> Vec<String> {
        let payloads: Value = serde_json::from_str(&self.body).expect("the body is JSON");
        let payloads = match payloads {
            Value::Array(payloads) => payloads,
            payload => vec![payload],
        };
        let id = |payload: &Value| payload["data"]["event_id"].as_str().unwrap().to_owned();
        payloads.iter().map(id).collect()
    }

    /// Returns `true` if one of the signatures is by this secret.
    pub(crate) fn is_signed_by(&self, secret: &str) -> bool {
        let Some(signatures) = self.header("webhook-signature") else {
            return false;
        };
        let signed = format!("{}.{}.{}", self.id(), self.timestamp(), self.body);
        let signature = signature(secret, &signed);
        signatures.split(' ').any(|one| one == signature)
    }
}

/// Returns the signature of Standard Webhooks for a text. The HMAC is that of RFC 2104, so that the
/// test does not share it with the program.
fn signature(secret: &str, signed: &str) -> String {
    let secret = secret.strip_prefix("whsec_").expect("it is a secret");
    let mut key = STANDARD.decode(secret).unwrap();
    key.resize(64, 0);
    let hash = |pad: u8, text: &[u8]| {
        let key: Vec<u8> = key.iter().map(|byte| byte ^ pad).collect();
        Sha256::digest([&key, text].concat())
    };
    let inner = hash(0x36, signed.as_bytes());
    format!("v1,{}", STANDARD.encode(hash(0x5c, &inner)))
}

#[test]
fn signature_is_the_one_in_the_tests_of_standard_webhooks() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let signed = r#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#;
    let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    assert_eq!(signature(secret, signed), expected);
}
