//! The store of applications, access tokens, refresh tokens and authorization codes.
//!
//! Tokens expire by the moments that the caller passes. Access tokens are numbered, because the
//! request log must not contain them. The rules of the token endpoint are in `token_api`. Start
//! from [`Tokens`].

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::{Application, Emulator, Request};

/// Box's lifetime of an authorization code.
const CODE_LIFETIME: Duration = Duration::from_secs(30);

/// The length of Box's access tokens and authorization codes, in characters.
const ACCESS_TOKEN_LENGTH: usize = 32;
/// The length of Box's refresh tokens, in characters.
const REFRESH_TOKEN_LENGTH: usize = 64;

/// The applications, and the tokens and codes that were issued to them.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    pub(crate) applications: BTreeMap<String, Application>,
    /// The issued access tokens. Expired ones are kept, because they would otherwise count as
    /// made-up tokens.
    access: HashMap<String, AccessToken>,
    pub(crate) refresh: Authorizations,
    pub(crate) codes: Authorizations,
    /// The client ID and `jti` of each accepted JWT.
    pub(crate) assertions: HashSet<(String, String)>,
}

/// An issued access token.
#[derive(Debug)]
pub(crate) struct AccessToken {
    /// The number of the token, from 0. It stands for the token in logs, which must not contain
    /// secrets.
    pub(crate) number: u64,
    pub(crate) subject: Subject,
    expires: Instant,
}

/// The account for which a token was issued, and the application that got it.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) client_id: String,
    pub(crate) account: String,
}

impl Subject {
    /// Returns the key of the session that all tokens of this subject share.
    pub(crate) fn caller(&self) -> String {
        format!("{} by {}", self.account, self.client_id)
    }
}

/// Secrets that can be exchanged for an access token once, with their subjects and expiry.
#[derive(Debug, Default)]
pub(crate) struct Authorizations(HashMap<String, (Subject, Instant)>);

/// The reason why a secret can't be exchanged.
pub(crate) enum Useless {
    /// Occurs when the secret was never issued to this client, or was already used.
    Unknown,
    /// Occurs when the secret has expired.
    Expired,
}

impl Authorizations {
    /// Uses up a secret and returns its subject.
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
    /// Registers an application at the token endpoint, or replaces it. Its issued tokens stay
    /// valid.
    pub fn register(&mut self, application: Application) {
        self.tokens
            .applications
            .insert(application.client_id.clone(), application);
    }

    /// Changes an application, for example its keys or its authorization by the admin.
    ///
    /// # Panics
    ///
    /// Panics if no application has that client ID.
    #[track_caller]
    pub fn change_application(&mut self, client_id: &str, change: impl FnOnce(&mut Application)) {
        let Some(mut application) = self.tokens.applications.remove(client_id) else {
            panic!("no application has the client ID {client_id}: register it first")
        };
        change(&mut application);
        self.register(application);
    }

    /// Issues a refresh token, as if the user had authorized the application.
    pub fn grant_refresh_token(&mut self, client_id: &str, user_id: &str, now: Instant) -> String {
        let subject = Subject {
            client_id: client_id.into(),
            account: user_id.into(),
        };
        self.new_refresh_token(subject, now)
    }

    /// Issues an authorization code, as if the user had authorized the application. The code
    /// expires after 30 s.
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

    /// Issues an access token. Returns it with its number.
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

    /// Returns `true` if an issued access token has expired or is revoked.
    pub(crate) fn is_over(&self, token: &str, issued: &AccessToken, now: Instant) -> bool {
        issued.expires <= now || self.settings.revoked_tokens.contains(token)
    }

    /// Counts an API call whose access token has expired or is revoked.
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
