//! A credential as it is written.

use serde::{Deserialize, Serialize};

use super::{Access, Credential, Secret};
use crate::auth::AccessToken;
use crate::clock;

#[derive(Serialize, Deserialize)]
pub(super) struct Wire {
    refresh_token: Secret,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_token: Option<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_token_issued_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_token_expires_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exchanging_since: Option<String>,
}

impl From<Credential> for Wire {
    fn from(credential: Credential) -> Self {
        let access = credential.access.as_ref();
        Self {
            refresh_token: credential.refresh,
            access_token: access.map(|access| Secret::new(access.token.text().to_owned())),
            access_token_issued_at: access.map(|access| clock::to_rfc3339(access.issued)),
            access_token_expires_at: access.map(|access| clock::to_rfc3339(access.until)),
            exchanging_since: credential.exchanging_since.map(clock::to_rfc3339),
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
        let time = |text: &Option<String>| text.as_deref().and_then(clock::from_rfc3339);
        let access = || {
            Some(Access {
                token: AccessToken::new(wire.access_token.as_ref()?.text()).ok()?,
                issued: time(&wire.access_token_issued_at)?,
                until: time(&wire.access_token_expires_at)?,
            })
        };
        Ok(Self {
            access: access(),
            exchanging_since: time(&wire.exchanging_since),
            refresh: wire.refresh_token,
        })
    }
}
