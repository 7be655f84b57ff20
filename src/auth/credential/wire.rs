//! A credential as it is written.

use serde::{Deserialize, Serialize};

use super::{Credential, Secret};
use crate::auth::AccessToken;
use crate::timestamp;

#[derive(Serialize, Deserialize)]
pub(super) struct Wire {
    refresh_token: Secret,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_token: Option<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_token_expires_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exchanging_since: Option<String>,
}

impl From<Credential> for Wire {
    fn from(credential: Credential) -> Self {
        let (access_token, expires_at) = credential
            .access
            .map(|(token, until)| (Secret::new(token.text().to_owned()), until))
            .unzip();
        Self {
            refresh_token: credential.refresh,
            access_token,
            access_token_expires_at: expires_at.map(timestamp::written),
            exchanging_since: credential.exchanging_since.map(timestamp::written),
        }
    }
}

impl TryFrom<Wire> for Credential {
    type Error = &'static str;

    /// An access token that can't be used, or of which nobody knows how long, is as good as none.
    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        if wire.refresh_token.text().is_empty() {
            return Err("its refresh token is empty");
        }
        let access = wire
            .access_token
            .and_then(|token| AccessToken::new(token.text()).ok());
        let until = wire.access_token_expires_at;
        Ok(Self {
            refresh: wire.refresh_token,
            access: access.zip(until.as_deref().and_then(timestamp::read)),
            exchanging_since: wire.exchanging_since.as_deref().and_then(timestamp::read),
        })
    }
}
