//! Sessions: the state of each caller, and its rate limit.
//!
//! A caller is a made-up token, or all tokens that were issued to an application for an account. It
//! keeps its session when it refreshes a token. Tokens are stored in `tokens`. Start from
//! [`Session`].

use std::time::{Duration, Instant};

use crate::access::hashed;
use crate::chronology::Span;
use crate::clock::end_of_month;
use crate::counters::{Meter, SlidingWindow};
use crate::emulator::{Call, Emulator};
use crate::{FakeResponse, Request};

/// The state of one caller: a token, on behalf of one user. Successive issued tokens are one
/// caller.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) account: String,
    /// The key of the session, with a hash in place of a made-up token.
    pub(crate) shown: String,
    pub(crate) meter: Meter,
    /// The API calls that count toward `calls_per_minute`, in a sliding window of 60 s.
    calls: SlidingWindow,
    month: Month,
    /// The number of events in the log up to the last one that the caller was sent.
    pub(crate) sent: u64,
    /// The previous page: the number of events before its start, and before its end.
    pub(crate) previous_page: Option<(u64, u64)>,
    /// The previous page of `admin_logs` in chronological order.
    pub(crate) previous_span: Option<Span>,
}

/// The API calls of a month that count toward `calls_per_month`.
#[derive(Debug, Default)]
struct Month {
    /// The end of the month, in seconds since 1970.
    end: i64,
    calls: usize,
}

impl Month {
    /// Returns the month that contains a time in seconds since 1970: this month, or a new one.
    fn at(&mut self, unix: i64) -> &mut Self {
        let end = end_of_month(unix);
        if self.end != end {
            *self = Self { end, calls: 0 };
        }
        self
    }
}

impl Session {
    fn new(account: String, shown: String) -> Self {
        Self {
            account,
            shown,
            meter: Meter::default(),
            calls: SlidingWindow::new(Duration::from_secs(60)),
            month: Month::default(),
            sent: 0,
            previous_page: None,
            previous_span: None,
        }
    }
}

impl Emulator {
    /// Returns the key of the caller's session, and starts the session if it is new. Returns `None`
    /// if the request has no accepted token.
    pub(crate) fn caller(&mut self, request: &Request, now: Instant) -> Option<String> {
        let token = request.bearer_token()?;
        let (mut key, mut account, made_up) = match self.tokens.access_token(token) {
            Some(issued) if self.is_over(token, issued, now) => return None,
            Some(issued) => (
                issued.subject.caller(),
                issued.subject.account.clone(),
                false,
            ),
            None if !self.settings.accepts(token) => return None,
            None => (
                token.to_owned(),
                self.settings.account_of(token).to_owned(),
                true,
            ),
        };
        if let Some(user) = request.header_value("as-user") {
            key = format!("{key} as {user}");
            user.clone_into(&mut account);
        }
        self.account(&account);
        if account != token {
            self.is_id(&account);
        }
        // If the account differs, the settings have assigned the token to another account.
        let known = self.sessions.get(&key);
        if known.is_none_or(|session| session.account != account) {
            let shown = match key.strip_prefix(token) {
                Some(rest) if made_up => format!("{}{rest}", hashed(token)),
                _ => key.clone(),
            };
            let session = Session::new(account, shown);
            self.sessions.insert(key.clone(), session);
        }
        Some(key)
    }

    /// Admits an API call and returns its caller. The error is a 401 or a 429.
    pub(crate) fn admit<'a>(&mut self, call: &'a Call<'_>) -> Result<&'a str, FakeResponse> {
        let with_body = !self.settings.empty_unauthorized;
        let unix = self.unix(call.now);
        let caller = call
            .caller
            .as_deref()
            .ok_or_else(|| FakeResponse::unauthorized(with_body))?;
        let session = self
            .sessions
            .get_mut(caller)
            .ok_or_else(|| FakeResponse::unauthorized(with_body))?;
        let month = session.month.at(unix);
        if self
            .settings
            .calls_per_month
            .is_some_and(|limit| month.calls >= limit)
        {
            let seconds = month.end.saturating_sub(unix);
            return Err(FakeResponse::rate_limited(&seconds.to_string()));
        }
        if let Some(limit) = self.settings.calls_per_minute {
            if let Some(wait) = session.calls.wait(limit, call.now) {
                let seconds = wait.as_millis().div_ceil(1000).max(1);
                return Err(FakeResponse::rate_limited(&seconds.to_string()));
            }
            session.calls.record(call.now);
        }
        month.calls += 1;
        Ok(caller)
    }
}
