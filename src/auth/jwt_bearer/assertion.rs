//! What stands for the application: a JSON web token that it signs.

use std::time::{Duration, SystemTime};

use aws_lc_rs::signature::{self, RsaEncoding};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use zeroize::Zeroizing;

use super::JwtBearer;
use crate::auth::TokenError;

/// Half of what Box permits, so that clocks may differ by half a minute either way.
const LIFE: Duration = Duration::from_secs(30);

/// Where Box's token endpoint is to itself, whichever way leads to it.
const AUDIENCE: &str = "https://api.box.com/oauth2/token";

/// How assertions are signed. Box takes all three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JwtAlgorithm {
    /// RSA with SHA-256. The default.
    #[default]
    Rs256,
    /// RSA with SHA-384.
    Rs384,
    /// RSA with SHA-512.
    Rs512,
}

impl JwtAlgorithm {
    /// Its name in an assertion, and the library's.
    fn named(self) -> (&'static str, &'static dyn RsaEncoding) {
        match self {
            Self::Rs256 => ("RS256", &signature::RSA_PKCS1_SHA256),
            Self::Rs384 => ("RS384", &signature::RSA_PKCS1_SHA384),
            Self::Rs512 => ("RS512", &signature::RSA_PKCS1_SHA512),
        }
    }
}

impl JwtBearer {
    /// Returns an assertion that is made `now`, by Box's clock.
    ///
    /// See <https://developer.box.com/guides/authentication/jwt/without-sdk/>.
    pub(super) fn assertion(&self, now: SystemTime) -> Result<Zeroizing<String>, TokenError> {
        let subject = self.subject.as_ref().expect("it was checked");
        let mut id = [0; 32];
        aws_lc_rs::rand::fill(&mut id)
            .map_err(|_| TokenError::transient("this machine gives no random numbers"))?;
        let expires = (now + LIFE).duration_since(SystemTime::UNIX_EPOCH);
        let (algorithm, encoding) = self.algorithm.named();
        let header = json!({ "alg": algorithm, "typ": "JWT", "kid": self.key_id });
        let claims = json!({
            "iss": self.application.id,
            "sub": subject.id(),
            "box_sub_type": subject.kind(),
            "aud": AUDIENCE,
            "jti": URL_SAFE_NO_PAD.encode(id),
            "exp": expires.unwrap_or_default().as_secs(),
        });
        let [header, claims] =
            [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let message = format!("{header}.{claims}");
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(encoding, message.as_bytes())?);
        Ok(Zeroizing::new(format!("{message}.{signature}")))
    }
}
