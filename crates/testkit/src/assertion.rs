//! The claims of a JWT assertion: Box's rules for each of them.
//!
//! An application logs in with an assertion that it has signed. The signature is verified in `jws`.
//! The texts of the refusals are Box's. Start from [`redeem`].

use std::time::Instant;

use serde::Deserialize;
use serde_json::Value;

use crate::token_api::Refusal;
use crate::{Emulator, Request, jws};

/// The audience of assertions for Box. A client may keep it, or use the emulator's own URL.
const AUDIENCE: &str = "https://api.box.com/oauth2/token";

/// Box's limit for the time from now to `exp`, in seconds.
const MAX_SECONDS_AHEAD: i64 = 60;

const NO_ASSERTION: Refusal =
    Refusal::invalid_request("Missing parameter: \"assertion\" is required");
const ISS: Refusal =
    Refusal::invalid_grant("Please check the 'iss' claim. The client id specified is invalid.");
const AUD: Refusal = Refusal::invalid_grant("Please check the 'aud' claim.");
const SUB_TYPE: Refusal = Refusal::invalid_grant("Please check the 'box_sub_type' claim.");
const SUB: Refusal =
    Refusal::invalid_grant("Please check the 'sub' claim. The 'sub' specified is invalid.");
const JTI: Refusal =
    Refusal::invalid_grant("Please check the 'jti' claim. A unique 'jti' value is required.");
const EXP: Refusal = Refusal::invalid_grant("Please check the 'exp' claim. Should be an integer.");
const EXPIRED: Refusal = Refusal::invalid_grant(
    "Current date/time MUST be before the expiration date/time listed in the 'exp' claim",
);
const TOO_FAR_AHEAD: Refusal = Refusal::invalid_grant(
    "Please check the 'exp' claim. The 'exp' value exceeds the maximum value of 60 seconds beyond the issue time.",
);
const IAT: Refusal = Refusal::invalid_grant("Please check the 'iat' claim.");
const NBF: Refusal = Refusal::invalid_grant("Please check the 'nbf' claim.");

/// Checks a client's signed JWT, marks it as used, and returns the account for which it requests a
/// token.
pub(crate) fn redeem(
    emulator: &mut Emulator,
    client_id: &str,
    request: &Request,
    now: Instant,
) -> Result<String, Refusal> {
    let application = emulator.tokens.applications.get(client_id).ok_or(ISS)?;
    let assertion = request.form("assertion").ok_or(NO_ASSERTION)?;
    let payload = jws::open(&assertion, &application.public_keys)?;
    let claims: Claims =
        serde_json::from_slice(&payload).map_err(|_| Refusal::UNREADABLE_ASSERTION)?;
    if claims.iss != client_id {
        return Err(ISS);
    }
    claims.check_audience(&format!("{}/oauth2/token", request.own_origin()))?;
    let (kind, sub) = (claims.box_sub_type.as_str(), claims.sub.as_str());
    let kind = kind.filter(|kind| ["enterprise", "user"].contains(kind));
    let account = application
        .account_of(kind.ok_or(SUB_TYPE)?, sub.ok_or(SUB)?)
        .ok_or(SUB)?;
    claims.check_dates(emulator.unix(now))?;
    let jti = claims.jti.as_str().ok_or(JTI)?;
    let is_new = (16..=128).contains(&jti.len())
        && emulator
            .tokens
            .assertions
            .insert((client_id.into(), jti.into()));
    if is_new { Ok(account) } else { Err(JTI) }
}

/// The claims of a JWT. A claim may be any JSON value, so that each wrong one gets a refusal of its
/// own.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Claims {
    iss: Value,
    sub: Value,
    box_sub_type: Value,
    aud: Value,
    jti: Value,
    exp: Value,
    iat: Value,
    nbf: Value,
}

impl Claims {
    /// Checks `aud`, which may be one audience or a list. `own` is the emulator's token URL.
    fn check_audience(&self, own: &str) -> Result<(), Refusal> {
        let is_valid = |audience: &Value| audience == AUDIENCE || audience == own;
        match &self.aud {
            Value::Array(audiences) if audiences.iter().any(is_valid) => Ok(()),
            audience if is_valid(audience) => Ok(()),
            _ => Err(AUD),
        }
    }

    /// Checks `exp`, `iat` and `nbf` at `now`, in seconds since 1970.
    fn check_dates(&self, now: i64) -> Result<(), Refusal> {
        let exp = self.exp.as_i64().ok_or(EXP)?;
        if exp <= now {
            return Err(EXPIRED);
        }
        if exp.saturating_sub(now) > MAX_SECONDS_AHEAD {
            return Err(TOO_FAR_AHEAD);
        }
        for (claim, refusal) in [(&self.iat, IAT), (&self.nbf, NBF)] {
            if !claim.is_null() && claim.as_i64().is_none_or(|moment| moment > now) {
                return Err(refusal);
            }
        }
        Ok(())
    }
}
