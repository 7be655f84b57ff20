//! Applications: the clients of the token endpoint.
//!
//! Box's developer console and admin console configure them; here a test does. Their tokens are in
//! `tokens`. Start from [`Application`].

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// A client of the token endpoint, as Box's consoles configure it. A program that knows its secret
/// can get access tokens.
///
/// In JSON, only the first three fields are required.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// The `client_id` of a token request, and the `iss` of a JWT.
    pub client_id: String,
    /// The `client_secret` of a token request.
    pub client_secret: String,
    /// The ID of the enterprise whose service account it uses.
    pub enterprise_id: String,
    /// The public keys that verify its JWTs, in PEM, by their `kid`. Default: none.
    #[serde(default)]
    pub public_keys: BTreeMap<String, String>,
    /// The users for which it may get tokens without their consent; `null` for any user. Default:
    /// any user.
    #[serde(default)]
    pub users: Option<BTreeSet<String>>,
    /// The grants that it may use. Default: all.
    #[serde(default = "all_grants")]
    pub grants: BTreeSet<Grant>,
    /// `true` if the enterprise's admin has authorized it. If not, it gets no new tokens, but its
    /// issued tokens stay valid. Default: `true`.
    #[serde(default = "authorized")]
    pub authorized: bool,
}

/// A grant: the proof in exchange for which an access token is issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// `authorization_code`: a code that a user's browser delivered to the application.
    AuthorizationCode,
    /// `client_credentials`: only the client's secret.
    ClientCredentials,
    /// `urn:ietf:params:oauth:grant-type:jwt-bearer`: an assertion that the client has signed.
    JwtBearer,
    /// `refresh_token`: the refresh token that was issued with the previous access token.
    RefreshToken,
}

fn all_grants() -> BTreeSet<Grant> {
    Grant::ALL.into()
}

fn authorized() -> bool {
    true
}

impl Application {
    /// Makes an authorized application without keys, for all users and grants.
    #[must_use]
    pub fn new(client_id: &str, client_secret: &str, enterprise_id: &str) -> Self {
        Self {
            client_id: client_id.into(),
            client_secret: client_secret.into(),
            enterprise_id: enterprise_id.into(),
            public_keys: BTreeMap::new(),
            users: None,
            grants: all_grants(),
            authorized: authorized(),
        }
    }

    /// Adds a public key in PEM, as `openssl pkey -pubout` writes it.
    #[must_use]
    pub fn public_key(mut self, kid: &str, pem: &str) -> Self {
        self.public_keys.insert(kid.into(), pem.into());
        self
    }

    /// Returns the account of the enterprise's service account.
    pub(crate) fn service_account(&self) -> String {
        format!("enterprise {}", self.enterprise_id)
    }

    /// Returns the account of a subject, if the application may get tokens for it.
    pub(crate) fn account_of(&self, kind: &str, id: &str) -> Option<String> {
        match kind {
            "enterprise" if id == self.enterprise_id => Some(self.service_account()),
            "user" if self.may_act_for(id) => Some(id.to_owned()),
            _ => None,
        }
    }

    fn may_act_for(&self, user: &str) -> bool {
        !user.is_empty() && self.users.as_ref().is_none_or(|users| users.contains(user))
    }
}

impl Grant {
    /// All grants of the token endpoint.
    pub const ALL: [Self; 4] = [
        Self::AuthorizationCode,
        Self::ClientCredentials,
        Self::JwtBearer,
        Self::RefreshToken,
    ];

    /// Returns the `grant_type` of a token request.
    #[must_use]
    pub fn grant_type(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::ClientCredentials => "client_credentials",
            Self::JwtBearer => "urn:ietf:params:oauth:grant-type:jwt-bearer",
            Self::RefreshToken => "refresh_token",
        }
    }

    /// Returns the grant with this `grant_type`.
    pub(crate) fn of_type(grant_type: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|grant| grant.grant_type() == grant_type)
    }
}
