use serde_json::json;

use crate::emulator::Call;
use crate::tokens::{Subject, Useless};
use crate::{Answer, Application, Emulator, Grant, Request, assertion};

/// Why the token endpoint gives no token. The texts are Box's where they are known.
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

    fn answer(self) -> Answer {
        let body = json!({"error": self.error, "error_description": self.description});
        Answer::json(400, body.to_string())
    }
}

impl Emulator {
    /// Answers `POST /oauth2/token`.
    pub(crate) fn token(&mut self, call: &Call<'_>) -> Answer {
        let answer = match self.granted(call) {
            Ok((grant, subject)) => self.issue(call, grant, subject),
            Err(refusal) => {
                self.journal.amend(call.record, |record| {
                    record.refusal = Some(refusal.error);
                });
                refusal.answer()
            }
        };
        answer.header("cache-control", "no-store")
    }

    /// For whom the request is to have a token.
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

    fn client(&self, request: &Request) -> Result<&Application, Refusal> {
        let secret = request.form("client_secret").unwrap_or_default();
        request
            .form("client_id")
            .and_then(|id| self.tokens.applications.get(id.as_ref()))
            .filter(|application| application.client_secret == secret)
            .ok_or(Refusal::WRONG_CLIENT)
    }

    fn issue(&mut self, call: &Call<'_>, grant: Grant, subject: Subject) -> Answer {
        self.is_id(&subject.account);
        let (token, number) = self.new_access_token(subject.clone(), call.now);
        self.journal.amend(call.record, |record| {
            record.token = Some(number);
            record.account = Some(subject.account.clone());
        });
        let mut body = json!({
            "access_token": token,
            // A token that lives for less than a second is not to look as if it were dead on arrival.
            "expires_in": (self.settings.token_lifetime_ms / 1000).max(1),
            "restricted_to": [],
            "token_type": "bearer",
        });
        if matches!(grant, Grant::AuthorizationCode | Grant::RefreshToken) {
            body["refresh_token"] = self.new_refresh_token(subject, call.now).into();
        }
        Answer::json(200, body.to_string())
    }
}

/// Whom the client's own credentials are used for: without a subject its service account.
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
