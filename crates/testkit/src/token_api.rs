//! The token endpoint: `POST /oauth2/token` with Box's four grants and their refusals.
//!
//! A request with valid client credentials gets an access token for an account. The issued tokens
//! are stored in `tokens`, and JWTs are checked in `assertion`. Start from `Emulator::token`.

use serde_json::json;

use crate::emulator::Call;
use crate::tokens::{Subject, Useless};
use crate::{Application, Emulator, FakeResponse, Grant, Request, assertion};

/// The reason why the token endpoint issues no token. The texts are Box's if they are known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    error: &'static str,
    description: &'static str,
}

impl Refusal {
    pub(crate) const UNSUPPORTED_GRANT: Self =
        Self::new("unsupported_grant_type", "The grant type is not supported");
    pub(crate) const UNREADABLE_ASSERTION: Self =
        Self::invalid_grant("OAuth JWT signature is invalid.");
    const NO_GRANT_TYPE: Self =
        Self::invalid_request("Invalid grant_type parameter or parameter missing");
    const UNAUTHORIZED_GRANT: Self =
        Self::invalid_request("The grant type is unauthorized for this client_id");
    const WRONG_CLIENT: Self = Self::new("invalid_client", "The client credentials are invalid");
    const UNAUTHORIZED_CLIENT: Self = Self::new(
        "unauthorized_client",
        "This app is not authorized by the enterprise admin",
    );
    const UNKNOWN_CODE: Self =
        Self::invalid_grant("Auth code doesn't exist or is invalid for the client");
    const EXPIRED_CODE: Self = Self::invalid_grant("The authorization code has expired");
    const UNKNOWN_REFRESH_TOKEN: Self = Self::invalid_grant("Invalid refresh token");
    const EXPIRED_REFRESH_TOKEN: Self = Self::invalid_grant("Refresh token has expired");
    const WRONG_SUBJECT: Self = Self::invalid_grant("Grant credentials are invalid");

    pub(crate) const fn invalid_grant(description: &'static str) -> Self {
        Self::new("invalid_grant", description)
    }

    pub(crate) const fn invalid_request(description: &'static str) -> Self {
        Self::new("invalid_request", description)
    }

    const fn new(error: &'static str, description: &'static str) -> Self {
        Self { error, description }
    }

    /// Makes the 400 response of the refusal.
    fn response(self) -> FakeResponse {
        let body = json!({"error": self.error, "error_description": self.description});
        FakeResponse::json(400, body.to_string())
    }
}

impl Emulator {
    /// Responds to `POST /oauth2/token`.
    pub(crate) fn token(&mut self, call: &Call<'_>) -> FakeResponse {
        let response = match self.granted(call) {
            Ok((grant, subject)) => self.issue(call, grant, subject),
            Err(refusal) => {
                self.request_log.amend(call.record, |record| {
                    record.refusal = Some(refusal.error);
                });
                refusal.response()
            }
        };
        response.header("cache-control", "no-store")
    }

    /// Returns the grant of the request and the subject that gets a token. Uses up a code, refresh
    /// token or assertion.
    fn granted(&mut self, call: &Call<'_>) -> Result<(Grant, Subject), Refusal> {
        let request = call.request;
        let grant_type = request.form("grant_type").ok_or(Refusal::NO_GRANT_TYPE)?;
        let grant = Grant::of_type(&grant_type).ok_or(Refusal::UNSUPPORTED_GRANT)?;
        let application = self.client(request)?;
        if !application.grants.contains(&grant) {
            return Err(Refusal::UNAUTHORIZED_GRANT);
        }
        if !application.authorized {
            return Err(Refusal::UNAUTHORIZED_CLIENT);
        }
        let client_id = application.client_id.clone();
        let subject = match grant {
            Grant::ClientCredentials => Subject {
                account: subject_account(application, request)?,
                client_id,
            },
            Grant::JwtBearer => Subject {
                account: assertion::redeem(self, &client_id, request, call.now)?,
                client_id,
            },
            Grant::AuthorizationCode => {
                let code = request.form("code").unwrap_or_default();
                let subject = self.tokens.codes.redeem(&code, &client_id, call.now);
                subject.map_err(|useless| match useless {
                    Useless::Unknown => Refusal::UNKNOWN_CODE,
                    Useless::Expired => Refusal::EXPIRED_CODE,
                })?
            }
            Grant::RefreshToken => {
                let token = request.form("refresh_token").unwrap_or_default();
                let subject = self.tokens.refresh.redeem(&token, &client_id, call.now);
                subject.map_err(|useless| match useless {
                    Useless::Unknown => Refusal::UNKNOWN_REFRESH_TOKEN,
                    Useless::Expired => Refusal::EXPIRED_REFRESH_TOKEN,
                })?
            }
        };
        Ok((grant, subject))
    }

    /// Returns the application whose credentials the request contains.
    fn client(&self, request: &Request) -> Result<&Application, Refusal> {
        let secret = request.form("client_secret").unwrap_or_default();
        request
            .form("client_id")
            .and_then(|id| self.tokens.applications.get(id.as_ref()))
            .filter(|application| application.client_secret == secret)
            .ok_or(Refusal::WRONG_CLIENT)
    }

    /// Issues an access token, and a refresh token if the grant has one, and makes the response.
    fn issue(&mut self, call: &Call<'_>, grant: Grant, subject: Subject) -> FakeResponse {
        self.is_id(&subject.account);
        let (token, number) = self.new_access_token(subject.clone(), call.now);
        self.request_log.amend(call.record, |record| {
            record.token = Some(number);
            record.account = Some(subject.account.clone());
        });
        let mut body = json!({
            "access_token": token,
            // A client could treat a token with `expires_in` 0 as expired on arrival.
            "expires_in": (self.settings.token_lifetime_ms / 1000).max(1),
            "restricted_to": [],
            "token_type": "bearer",
        });
        if matches!(grant, Grant::AuthorizationCode | Grant::RefreshToken) {
            body["refresh_token"] = self.new_refresh_token(subject, call.now).into();
        }
        FakeResponse::json(200, body.to_string())
    }
}

/// Returns the account for a client-credentials request: its subject's, or the service account
/// without a subject.
fn subject_account(application: &Application, request: &Request) -> Result<String, Refusal> {
    let account = match (
        request.form("box_subject_type"),
        request.form("box_subject_id"),
    ) {
        (None, None) => Some(application.service_account()),
        (Some(kind), Some(id)) => application.account_of(&kind, &id),
        _ => None,
    };
    account.ok_or(Refusal::WRONG_SUBJECT)
}
