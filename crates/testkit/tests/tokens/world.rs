//! An emulator with two applications and a virtual clock, and the requests that the tests share.

use std::time::{Duration, Instant};

use box_longpoll_testkit::{
    Application, Config, Emulator, FakeResponse, Reply, Request, RequestRecord, Settings,
};
use serde_json::Value;

/// The client ID of the application that most tests use.
pub(crate) const APP: &str = "app";
/// The client ID of an application of another enterprise.
pub(crate) const OTHER: &str = "other";
pub(crate) const SECRET: &str = "the secret";

/// An emulator with two applications and a virtual clock, which only the test moves.
pub(crate) struct World {
    pub(crate) emulator: Emulator,
    pub(crate) now: Instant,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    #[expect(clippy::disallowed_methods, reason = "some moment has to be the first")]
    pub(crate) fn with(settings: Settings) -> Self {
        let now = Instant::now();
        let mut emulator = Emulator::new(Config::from(settings), now);
        emulator.register(Application::new(APP, SECRET, "42"));
        emulator.register(Application::new(OTHER, SECRET, "43"));
        Self { emulator, now }
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    pub(crate) fn send(&mut self, request: &Request) -> Reply {
        self.emulator.respond(request, self.now)
    }

    #[track_caller]
    pub(crate) fn response(&mut self, request: &Request) -> FakeResponse {
        self.send(request).response().expect("a response at once")
    }

    /// Sends a token request of a client. Returns the JSON of the response, which is an error if it
    /// was refused.
    #[track_caller]
    pub(crate) fn log_in(&mut self, client: &str, form: &[(&str, &str)]) -> Result<Value, Value> {
        let response = self.response(&token_request(client, form));
        let body = serde_json::from_slice(&response.body).expect("a JSON body");
        match response.status {
            200 => Ok(body),
            400 => Err(body),
            status => panic!("the status is {status}"),
        }
    }

    /// Gets an access token for a service account or a user.
    #[track_caller]
    pub(crate) fn token_for(&mut self, kind: &str, id: &str) -> String {
        let form = [
            ("grant_type", "client_credentials"),
            ("box_subject_type", kind),
            ("box_subject_id", id),
        ];
        access_token(&self.log_in(APP, &form).expect("a token"))
    }

    #[track_caller]
    pub(crate) fn refresh(&mut self, refresh_token: &str) -> Result<Value, Value> {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
        ];
        self.log_in(APP, &form)
    }

    /// Makes an API call and returns its status.
    #[track_caller]
    pub(crate) fn call(&mut self, token: &str) -> u16 {
        self.response(&api_call(token)).status
    }

    /// Makes an API call and returns the account to which the emulator maps the token.
    #[track_caller]
    pub(crate) fn account_of(&mut self, token: &str) -> Option<String> {
        self.call(token);
        self.last_record().account
    }

    #[track_caller]
    pub(crate) fn last_record(&self) -> RequestRecord {
        let last = self.emulator.requests().next_back();
        last.expect("a request").clone()
    }
}

pub(crate) fn token_request(client: &str, form: &[(&str, &str)]) -> Request {
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.append_pair("client_id", client)
        .append_pair("client_secret", SECRET)
        .extend_pairs(form);
    Request::new("POST", "/oauth2/token").body(body.finish())
}

pub(crate) fn api_call(token: &str) -> Request {
    Request::get("/2.0/events").header("Authorization", &format!("Bearer {token}"))
}

#[track_caller]
pub(crate) fn access_token(response: &Value) -> String {
    text(response, "access_token")
}

#[track_caller]
pub(crate) fn refresh_token(response: &Value) -> String {
    text(response, "refresh_token")
}

#[track_caller]
fn text(response: &Value, name: &str) -> String {
    response[name].as_str().expect("a string").to_owned()
}

#[track_caller]
pub(crate) fn assert_refused(outcome: Result<Value, Value>, error: &str, description: &str) {
    let refusal = outcome.expect_err("a refusal");
    assert_eq!(
        (&refusal["error"], &refusal["error_description"]),
        (&error.into(), &description.into())
    );
}
