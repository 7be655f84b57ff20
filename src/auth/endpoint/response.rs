//! The responses of the token endpoint.
//!
//! [`read`] decides between a token, a refusal by Box, and a response that came from something else
//! on the way. The distinction matters for refresh tokens: after a response that did not come from
//! Box, the old token may or may not have been exchanged. Texts from the server are cleaned of
//! secrets before they are kept.

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

/// The life of a token if the response has none, 60 minutes: the usual life of Box's tokens.
const USUAL_LIFE: Duration = Duration::from_secs(60 * 60);

/// The least life of a token, 1 s. A shorter one would make the client request tokens without a
/// pause.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);

/// The greatest life of a token, 24 hours. The client refreshes the token after that time even if
/// the response claims more.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// The outcome of a request, and the `Date` of the response.
pub(in crate::auth) type TokenResponse = (Result<Granted, TokenFailure>, Option<SystemTime>);

/// A response with a token.
pub(in crate::auth) struct Granted {
    pub(in crate::auth) access: AccessToken,
    pub(in crate::auth) life: Duration,
    /// The next refresh token, in a response to the refresh token grant.
    pub(in crate::auth) refresh: Option<Secret>,
}

/// The reason why a request brought no token.
pub(in crate::auth) enum TokenFailure {
    /// The request did not reach Box.
    NotSent(TokenError),
    /// Box may have acted on the request: there was no response, or the response did not come from
    /// Box.
    OutcomeUnknown(TokenError),
    /// Box rejected the request, and did not act on it.
    Refused(Refusal),
}

/// An error response of OAuth 2.0, RFC 6749, section 5.2.
pub(in crate::auth) struct Refusal {
    /// The `error` field, such as `invalid_grant`.
    pub(in crate::auth) code: String,
    /// The `error_description` field, without secrets and escaped.
    pub(in crate::auth) description: Option<String>,
}

impl Refusal {
    /// Returns the error whose text is this sentence, followed by Box's words in parentheses.
    pub(in crate::auth) fn to_error(&self, kind: TokenErrorKind, sentence: &str) -> TokenError {
        let said = match &self.description {
            Some(description) => format!("{}: {description}", self.code),
            None => self.code.clone(),
        };
        TokenError::new(kind, format!("{sentence} ({said})"))
    }
}

impl From<TokenFailure> for TokenError {
    fn from(failure: TokenFailure) -> Self {
        let refusal = match failure {
            TokenFailure::NotSent(error) | TokenFailure::OutcomeUnknown(error) => return error,
            TokenFailure::Refused(refusal) => refusal,
        };
        let (kind, sentence) = match &*refusal.code {
            "invalid_client" => (
                TokenErrorKind::InvalidClient,
                "Box does not accept the client id and secret: compare them with those in the developer console",
            ),
            "unauthorized_client" => (
                TokenErrorKind::NotAuthorized,
                "Box does not let this application have a token: an administrator has to authorize it, and to do so again after a change",
            ),
            "invalid_grant" => (TokenErrorKind::InvalidGrant, "Box refuses the grant"),
            _ => (
                TokenErrorKind::Permanent,
                "Box refuses the request: check in the developer console that the application is set up for this grant",
            ),
        };
        refusal.to_error(kind, sentence)
    }
}

/// The JSON of a response with a token.
#[derive(Deserialize)]
struct GrantedWire<'a> {
    #[serde(borrow)]
    access_token: Cow<'a, str>,
    /// The life in seconds, as a number or as a string with one.
    #[serde(default)]
    expires_in: Value,
    #[serde(borrow)]
    refresh_token: Option<Cow<'a, str>>,
}

/// The JSON of an error response.
#[derive(Deserialize)]
struct RefusedWire {
    error: Zeroizing<String>,
    error_description: Option<Zeroizing<String>>,
}

/// The error codes of OAuth and Box. A response with any other code comes from something on the
/// way, such as a proxy.
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

/// Reads a response, and zeroes its body. `form` is the request, whose secrets the server may echo.
pub(super) fn read(response: Response<Bytes>, form: &Form<'_>) -> Result<Granted, TokenFailure> {
    let (head, body) = response.into_parts();
    let granted = granted(&body).filter(|_| head.status.is_success());
    let refusal = refusal(&body, form).filter(|_| head.status.is_client_error());
    wipe(body);
    let failed = match (granted, refusal) {
        (Some(granted), _) => return Ok(granted),
        (None, Some(refusal)) if REFUSALS.contains(&&*refusal.code) => {
            return Err(TokenFailure::Refused(refusal));
        }
        (None, Some(refusal)) => {
            format!(
                "unexpected response from Box's token endpoint: error {}",
                refusal.code
            )
        }
        (None, None) if head.status.is_success() => {
            "unexpected response from Box's token endpoint: no access token".to_owned()
        }
        (None, None) => format!("Box's token endpoint responded {}", head.status.as_u16()),
    };
    let mut error = TokenError::transient(failed);
    error.retry_after = retry_after(&head.headers);
    Err(TokenFailure::OutcomeUnknown(error))
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

/// Zeroes a body, unless an HTTP library still holds a part of it.
fn wipe(body: Bytes) {
    if let Ok(mut body) = body.try_into_mut() {
        body.as_mut().zeroize();
    }
}

/// Returns the failure of a request that got no response. It distinguishes whether Box may have
/// acted on the request.
pub(super) fn without_response(error: TransportError) -> TokenFailure {
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
        _ => TokenFailure::OutcomeUnknown(TokenError::transient(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error of a transport that can't send has the transport's own reason, and stops the
    /// stream.
    #[test]
    fn error_names_the_cause_when_the_transport_cannot_send() {
        for kind in [
            TransportErrorKind::Runtime,
            TransportErrorKind::InvalidRequest,
        ] {
            let error = TransportError::with_source(kind, "no proxy for this scheme");
            let error = TokenError::from(without_response(error)).into_error();
            let text = error.display_chain().to_string();
            assert!(text.ends_with(": no proxy for this scheme"), "{text}");
            assert_eq!(error.kind(), ErrorKind::Runtime);
        }
    }
}
