use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::{Application, Emulator, Request};

/// Box lets a code live for 30 seconds.
const CODE_LIFETIME: Duration = Duration::from_secs(30);

/// The lengths of Box's own.
const ACCESS_TOKEN_LENGTH: usize = 32;
const REFRESH_TOKEN_LENGTH: usize = 64;

/// The token endpoint's clients, and what they were issued.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    pub(crate) applications: BTreeMap<String, Application>,
    /// Those that are over stay, lest they be taken for made-up ones.
    access: HashMap<String, AccessToken>,
    pub(crate) refresh: Authorizations,
    pub(crate) codes: Authorizations,
    /// The client id and `jti` of each JWT that was accepted.
    pub(crate) assertions: HashSet<(String, String)>,
}

/// An access token that was issued.
#[derive(Debug)]
pub(crate) struct AccessToken {
    /// Counts from 0: a name for logs, which a token must not get into.
    pub(crate) number: u64,
    pub(crate) subject: Subject,
    expires: Instant,
}

/// For whom a token was issued, and to which application.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) client_id: String,
    pub(crate) account: String,
}

impl Subject {
    /// The session's key, which all tokens of this subject share.
    pub(crate) fn caller(&self) -> String {
        format!("{} by {}", self.account, self.client_id)
    }
}

/// Secrets that can be exchanged once for an access token.
#[derive(Debug, Default)]
pub(crate) struct Authorizations(HashMap<String, (Subject, Instant)>);

/// Why a secret is not exchanged.
pub(crate) enum Useless {
    /// Occurs when it was never issued to this client, or has been used.
    Unknown,
    /// Occurs when it was not used in time.
    Expired,
}

impl Authorizations {
    /// Uses a secret up.
    pub(crate) fn redeem(
        &mut self,
        secret: &str,
        client_id: &str,
        now: Instant,
    ) -> Result<Subject, Useless> {
        let (subject, expires) = self
            .0
            .get(secret)
            .filter(|(subject, _)| subject.client_id == client_id)
            .ok_or(Useless::Unknown)?;
        if *expires <= now {
            return Err(Useless::Expired);
        }
        let subject = subject.clone();
        self.0.remove(secret);
        Ok(subject)
    }
}

impl Tokens {
    pub(crate) fn access_token(&self, token: &str) -> Option<&AccessToken> {
        self.access.get(token)
    }
}

impl Emulator {
    /// Registers an application at the token endpoint, or replaces it. What was issued to it stays.
    pub fn register(&mut self, application: Application) {
        self.tokens
            .applications
            .insert(application.client_id.clone(), application);
    }

    /// Changes an application: its keys, say, or whether the admin authorizes it.
    ///
    /// # Panics
    ///
    /// Where no application has that client id.
    #[track_caller]
    pub fn change_application(&mut self, client_id: &str, change: impl FnOnce(&mut Application)) {
        let Some(mut application) = self.tokens.applications.remove(client_id) else {
            panic!("no application has the client id {client_id}")
        };
        change(&mut application);
        self.register(application);
    }

    /// A refresh token, as the application has it from a user who authorized it.
    pub fn grant_refresh_token(&mut self, client_id: &str, user_id: &str, now: Instant) -> String {
        let subject = Subject {
            client_id: client_id.into(),
            account: user_id.into(),
        };
        self.new_refresh_token(subject, now)
    }

    /// An authorization code, as the application has it from a user who authorized it. It expires in 30 seconds.
    pub fn grant_authorization_code(
        &mut self,
        client_id: &str,
        user_id: &str,
        now: Instant,
    ) -> String {
        let subject = Subject {
            client_id: client_id.into(),
            account: user_id.into(),
        };
        let code = self.secret(ACCESS_TOKEN_LENGTH);
        self.tokens
            .codes
            .0
            .insert(code.clone(), (subject, now + CODE_LIFETIME));
        code
    }

    pub(crate) fn new_refresh_token(&mut self, subject: Subject, now: Instant) -> String {
        let token = self.secret(REFRESH_TOKEN_LENGTH);
        let expires = now + Duration::from_millis(self.settings.refresh_token_lifetime_ms);
        self.tokens
            .refresh
            .0
            .insert(token.clone(), (subject, expires));
        token
    }

    /// A new access token and its number.
    pub(crate) fn new_access_token(&mut self, subject: Subject, now: Instant) -> (String, u64) {
        let token = self.secret(ACCESS_TOKEN_LENGTH);
        let number = self.tokens.access.len() as u64;
        let issued = AccessToken {
            number,
            subject,
            expires: now + Duration::from_millis(self.settings.token_lifetime_ms),
        };
        self.tokens.access.insert(token.clone(), issued);
        (token, number)
    }

    /// Whether an issued access token is no longer good.
    pub(crate) fn is_over(&self, token: &str, issued: &AccessToken, now: Instant) -> bool {
        issued.expires <= now || self.settings.revoked_tokens.contains(token)
    }

    /// Counts an API call whose access token is no longer good.
    pub(crate) fn note_expired(&mut self, request: &Request, now: Instant) {
        let over = request.bearer_token().and_then(|token| {
            let issued = self.tokens.access_token(token)?;
            self.is_over(token, issued, now).then_some(issued.number)
        });
        if let Some(number) = over {
            self.traffic.record_expired(number);
        }
    }

    fn secret(&mut self, length: usize) -> String {
        (0..length).map(|_| self.rng.alphanumeric()).collect()
    }
}
