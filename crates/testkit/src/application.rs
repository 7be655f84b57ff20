use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// A client of the token endpoint, as Box's consoles know it: whoever shows its secret is issued access tokens.
///
/// In JSON only the first three fields are needed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// Its name, as `client_id` in a token request and as `iss` in a JWT.
    pub client_id: String,
    /// What goes with the name as `client_secret`.
    pub client_secret: String,
    /// The enterprise whose service account it has.
    pub enterprise_id: String,
    /// The public keys that its JWTs are checked with, in PEM, by their `kid`. Default: none.
    #[serde(default)]
    pub public_keys: BTreeMap<String, String>,
    /// The users that it may have tokens for without asking them; `null` for any. Default: any.
    #[serde(default)]
    pub users: Option<BTreeSet<String>>,
    /// The grants that it may use. Default: all.
    #[serde(default = "all_grants")]
    pub grants: BTreeSet<Grant>,
    /// Whether the enterprise's admin has authorized it. Without, it gets no tokens; those it has stay good. Default: yes.
    #[serde(default = "authorized")]
    pub authorized: bool,
}

/// In exchange for what an access token is issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// `authorization_code`: what a user's browser brought back.
    AuthorizationCode,
    /// `client_credentials`: the client's secret alone.
    ClientCredentials,
    /// `urn:ietf:params:oauth:grant-type:jwt-bearer`: an assertion that the client has signed.
    JwtBearer,
    /// `refresh_token`: what came with the access token before.
    RefreshToken,
}

fn all_grants() -> BTreeSet<Grant> {
    Grant::ALL.into()
}

fn authorized() -> bool {
    true
}

impl Application {
    /// An authorized application without keys, for all users and grants.
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

    /// Adds a public key: PEM, as `openssl pkey -pubout` writes it.
    #[must_use]
    pub fn public_key(mut self, kid: &str, pem: &str) -> Self {
        self.public_keys.insert(kid.into(), pem.into());
        self
    }

    /// The account of the enterprise's service account.
    pub(crate) fn service_account(&self) -> String {
        format!("enterprise {}", self.enterprise_id)
    }

    /// The account of a subject, if the application may have tokens for it.
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
    /// All that the token endpoint knows.
    pub const ALL: [Self; 4] = [
        Self::AuthorizationCode,
        Self::ClientCredentials,
        Self::JwtBearer,
        Self::RefreshToken,
    ];

    /// The `grant_type` of a token request.
    #[must_use]
    pub fn grant_type(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::ClientCredentials => "client_credentials",
            Self::JwtBearer => "urn:ietf:params:oauth:grant-type:jwt-bearer",
            Self::RefreshToken => "refresh_token",
        }
    }

    pub(crate) fn of_type(grant_type: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|grant| grant.grant_type() == grant_type)
    }
}
