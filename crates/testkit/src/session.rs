use std::time::{Duration, Instant};

use crate::access::hashed;
use crate::counters::{Meter, SlidingWindow};
use crate::emulator::{Call, Emulator};
use crate::{Answer, Request};

/// What is known of one caller: a token, on behalf of one user. Issued tokens that follow each other are one caller.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) account: String,
    /// The key, with a hash in place of a made-up token.
    pub(crate) shown: String,
    pub(crate) meter: Meter,
    /// The API calls that count towards the limit.
    calls: SlidingWindow,
    /// How far into the log the caller was sent events.
    pub(crate) sent: u64,
    /// The stretch of the log that the page before this one held.
    pub(crate) previous_page: Option<(u64, u64)>,
}

impl Session {
    fn new(account: String, shown: String) -> Self {
        Self {
            account,
            shown,
            meter: Meter::default(),
            calls: SlidingWindow::new(Duration::from_secs(60)),
            sent: 0,
            previous_page: None,
        }
    }
}

impl Emulator {
    /// The key of the caller's session, which is begun if need be. `None` where no accepted token came with the request.
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
        // If the account is another, the token was given to that one meanwhile.
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

    /// Lets an API call through, or says why not.
    pub(crate) fn admit<'a>(&mut self, call: &'a Call<'_>) -> Result<&'a str, Answer> {
        let with_body = !self.settings.empty_unauthorized;
        let caller = call
            .caller
            .as_deref()
            .ok_or_else(|| Answer::unauthorized(with_body))?;
        let session = self
            .sessions
            .get_mut(caller)
            .ok_or_else(|| Answer::unauthorized(with_body))?;
        if let Some(limit) = self.settings.calls_per_minute {
            if let Some(wait) = session.calls.wait(limit, call.now) {
                let seconds = wait.as_millis().div_ceil(1000).max(1);
                return Err(Answer::rate_limited(&seconds.to_string()));
            }
            session.calls.record(call.now);
        }
        Ok(caller)
    }
}
