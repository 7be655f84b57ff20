//! The JSON of a credential.
//!
//! [`CredentialWire`] has the fields of the file. Only `refresh_token` is required, so a person can
//! write one.

use serde::{Deserialize, Serialize};

use super::{Access, Credential, Secret};
use crate::auth::AccessToken;
use crate::clock;

/// The fields of a stored credential. Times are RFC 3339.
#[derive(Serialize, Deserialize)]
pub(super) struct CredentialWire {
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

impl From<Credential> for CredentialWire {
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

impl TryFrom<CredentialWire> for Credential {
    type Error = &'static str;

    /// Reads a credential. An access token that is malformed, or whose times are missing, counts as
    /// none.
    fn try_from(wire: CredentialWire) -> Result<Self, Self::Error> {
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
