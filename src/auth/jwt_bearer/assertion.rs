//! The assertion: a JSON web token that the application signs.
//!
//! Box accepts it in exchange for an access token. Each request gets an assertion of its own,
//! because Box accepts each one once.

use std::time::{Duration, SystemTime};

use aws_lc_rs::signature::{self, RsaEncoding};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use zeroize::Zeroizing;

use super::JwtBearer;
use crate::auth::TokenError;

/// The life of an assertion, 30 s: half of the 60 s that Box permits, so that clocks may differ by
/// 30 s either way.
const LIFE: Duration = Duration::from_secs(30);

/// The audience of an assertion: Box's own URL of its token endpoint, even if the client reaches it
/// by another origin.
const AUDIENCE: &str = "https://api.box.com/oauth2/token";

/// The algorithm that signs assertions. Box accepts all three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JwtAlgorithm {
    /// RSA PKCS#1 v1.5 with SHA-256. The default.
    #[default]
    Rs256,
    /// RSA PKCS#1 v1.5 with SHA-384.
    Rs384,
    /// RSA PKCS#1 v1.5 with SHA-512.
    Rs512,
}

impl JwtAlgorithm {
    /// Returns the algorithm's name in an assertion, and its encoding in the cryptographic library.
    fn named(self) -> (&'static str, &'static dyn RsaEncoding) {
        match self {
            Self::Rs256 => ("RS256", &signature::RSA_PKCS1_SHA256),
            Self::Rs384 => ("RS384", &signature::RSA_PKCS1_SHA384),
            Self::Rs512 => ("RS512", &signature::RSA_PKCS1_SHA512),
        }
    }
}

impl JwtBearer {
    /// Returns an assertion that is issued `now`, by Box's clock.
    ///
    /// See <https://developer.box.com/guides/authentication/jwt/without-sdk/>.
    pub(super) fn assertion(&self, now: SystemTime) -> Result<Zeroizing<String>, TokenError> {
        let subject = self.subject.as_ref().expect("`tokens` checked the subject");
        let mut id = [0; 32];
        aws_lc_rs::rand::fill(&mut id)
            .map_err(|_| TokenError::transient("the operating system has no random numbers"))?;
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
