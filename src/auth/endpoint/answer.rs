//! What the token endpoint says.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Response;
use serde::Deserialize;
use serde_json::Value;
use zeroize::{Zeroize as _, Zeroizing};

use super::Form;
use crate::auth::secret::Secret;
use crate::auth::{AccessToken, TokenError, TokenErrorKind};
use crate::error::{Error, ErrorKind};
use crate::json;
use crate::pacing::retry_after;
use crate::transport::{TransportError, TransportErrorKind};

/// What Box's tokens live, where an answer doesn't say.
const USUAL_LIFE: Duration = Duration::from_secs(60 * 60);

/// A second: what claims to live shorter would be asked for without a pause.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);

/// A day: what claims to live longer is asked for anew all the same.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// What came of a request, and the response's `Date`.
pub(in crate::auth) type Answered = (Result<Granted, TokenFailure>, Option<SystemTime>);

/// What Box gave.
pub(in crate::auth) struct Granted {
    pub(in crate::auth) access: AccessToken,
    pub(in crate::auth) life: Duration,
    pub(in crate::auth) refresh: Option<Secret>,
}

/// Why Box gave none.
pub(in crate::auth) enum TokenFailure {
    /// Box has seen nothing of the request.
    NotSent(TokenError),
    /// Box may have acted on the request.
    Unanswered(TokenError),
    /// Box has not acted on it, and says why.
    Refused(Refusal),
}

/// A refusal, in OAuth's words.
pub(in crate::auth) struct Refusal {
    pub(in crate::auth) code: String,
    /// What Box says about it, fit to be shown.
    pub(in crate::auth) description: Option<String>,
}

impl Refusal {
    /// What it means, and what to do.
    pub(in crate::auth) fn says(&self, kind: TokenErrorKind, sentence: &str) -> TokenError {
        let said = match &self.description {
            Some(description) => format!("{}: {description}", self.code),
            None => self.code.clone(),
        };
        TokenError::new(kind, format!("{sentence} ({said})"))
    }
}

impl From<TokenFailure> for TokenError {
    fn from(why: TokenFailure) -> Self {
        let refusal = match why {
            TokenFailure::NotSent(error) | TokenFailure::Unanswered(error) => return error,
            TokenFailure::Refused(refusal) => refusal,
        };
        let (kind, sentence) = match &*refusal.code {
            "invalid_client" => (
                TokenErrorKind::InvalidClient,
                "Box does not take the client id and secret; compare them with those in the developer console",
            ),
            "unauthorized_client" => (
                TokenErrorKind::NotAuthorized,
                "Box does not let this application have a token; an administrator has to authorize it, and to do so again after a change",
            ),
            "invalid_grant" => (TokenErrorKind::InvalidGrant, "Box refuses the grant"),
            _ => (
                TokenErrorKind::Permanent,
                "Box refuses such a request; look up whether the application is set up for this grant in the developer console",
            ),
        };
        refusal.says(kind, sentence)
    }
}

#[derive(Deserialize)]
struct GrantedWire<'a> {
    #[serde(borrow)]
    access_token: Cow<'a, str>,
    #[serde(default)]
    expires_in: Value,
    #[serde(borrow)]
    refresh_token: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct RefusedWire {
    error: Zeroizing<String>,
    error_description: Option<Zeroizing<String>>,
}

/// What OAuth and Box call a refusal. Another word is one of something on the way.
const REFUSALS: [&str; 8] = [
    "access_denied",
    "invalid_client",
    "invalid_credentials",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "unauthorized_client",
    "unsupported_grant_type",
];

pub(super) fn read(answer: Response<Bytes>, form: &Form<'_>) -> Result<Granted, TokenFailure> {
    let (head, body) = answer.into_parts();
    let granted = granted(&body).filter(|_| head.status.is_success());
    let refusal = refusal(&body, form).filter(|_| head.status.is_client_error());
    wipe(body);
    let failed = match (granted, refusal) {
        (Some(granted), _) => return Ok(granted),
        (None, Some(refusal)) if REFUSALS.contains(&&*refusal.code) => {
            return Err(TokenFailure::Refused(refusal));
        }
        (None, Some(refusal)) => {
            format!("what answers at Box's token endpoint says {}", refusal.code)
        }
        (None, None) if head.status.is_success() => {
            "what answers at Box's token endpoint gives no token".to_owned()
        }
        (None, None) => format!("Box's token endpoint answered {}", head.status.as_u16()),
    };
    let mut error = TokenError::transient(failed);
    error.retry_after = retry_after(&head.headers);
    Err(TokenFailure::Unanswered(error))
}

fn refusal(body: &[u8], form: &Form<'_>) -> Option<Refusal> {
    let refused: RefusedWire = json::read(body).ok()?;
    Some(Refusal {
        code: form.shown(&refused.error),
        description: refused.error_description.map(|text| form.shown(&text)),
    })
}

fn granted(body: &[u8]) -> Option<Granted> {
    let wire: GrantedWire<'_> = json::read(body).ok()?;
    let seconds = match &wire.expires_in {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let life = seconds
        .filter(|seconds| *seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    Some(Granted {
        access: AccessToken::new(&wire.access_token).ok()?,
        life: life
            .unwrap_or(USUAL_LIFE)
            .clamp(SHORTEST_LIFE, LONGEST_LIFE),
        refresh: wire
            .refresh_token
            .filter(|token| !token.is_empty())
            .map(|token| Secret::new(token.into_owned())),
    })
}

/// Zeroes an answer, where no library keeps a part of it.
fn wipe(body: Bytes) {
    if let Ok(mut body) = body.try_into_mut() {
        body.as_mut().zeroize();
    }
}

pub(super) fn unanswered(error: TransportError) -> TokenFailure {
    let kind = error.kind();
    let detail = "no response from Box's token endpoint";
    let error = Error::new(ErrorKind::Transport, detail).with_source(error);
    match kind {
        TransportErrorKind::Connect | TransportErrorKind::Tls => {
            TokenFailure::NotSent(TokenError::transient(error))
        }
        TransportErrorKind::Runtime | TransportErrorKind::InvalidRequest => {
            TokenFailure::NotSent(TokenError::new(TokenErrorKind::Runtime, error))
        }
        _ => TokenFailure::Unanswered(TokenError::transient(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transport_that_cannot_send_says_why() {
        for kind in [
            TransportErrorKind::Runtime,
            TransportErrorKind::InvalidRequest,
        ] {
            let error = TransportError::with_source(kind, "no proxy for this scheme");
            let error = TokenError::from(unanswered(error)).into_error();
            let text = error.display_chain().to_string();
            assert!(text.ends_with(": no proxy for this scheme"), "{text}");
            assert_eq!(error.kind(), ErrorKind::Runtime);
        }
    }
}
