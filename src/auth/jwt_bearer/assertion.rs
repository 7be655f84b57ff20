//! What stands for the application: a JSON web token that it signs.

use std::time::{Duration, SystemTime};

use aws_lc_rs::signature::{self, RsaEncoding};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use zeroize::Zeroizing;

use super::SigningKey;
use crate::auth::{Subject, TokenError};

/// Half of what Box permits, so that clocks may differ by half a minute either way.
const LIFE: Duration = Duration::from_secs(30);

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
    fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
        }
    }

    pub(super) fn encoding(self) -> &'static dyn RsaEncoding {
        match self {
            Self::Rs256 => &signature::RSA_PKCS1_SHA256,
            Self::Rs384 => &signature::RSA_PKCS1_SHA384,
            Self::Rs512 => &signature::RSA_PKCS1_SHA512,
        }
    }
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    kid: &'a str,
}

/// See <https://developer.box.com/guides/authentication/jwt/without-sdk/>.
#[derive(Serialize)]
pub(super) struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    box_sub_type: &'static str,
    aud: &'a str,
    jti: String,
    exp: u64,
}

impl<'a> Claims<'a> {
    /// Of an assertion that is made `now`, by Box's clock.
    pub(super) fn new(
        client_id: &'a str,
        subject: &'a Subject,
        audience: &'a str,
        now: SystemTime,
    ) -> Result<Self, TokenError> {
        let mut id = [0; 32];
        aws_lc_rs::rand::fill(&mut id)
            .map_err(|_| TokenError::transient("this machine gives no random numbers"))?;
        let exp = (now + LIFE).duration_since(SystemTime::UNIX_EPOCH);
        Ok(Self {
            iss: client_id,
            sub: subject.id(),
            box_sub_type: subject.kind(),
            aud: audience,
            jti: URL_SAFE_NO_PAD.encode(id),
            exp: exp.unwrap_or_default().as_secs(),
        })
    }

    pub(super) fn signed(
        &self,
        key: &SigningKey,
        key_id: &str,
        algorithm: JwtAlgorithm,
    ) -> Result<Zeroizing<String>, TokenError> {
        let header = Header {
            alg: algorithm.name(),
            typ: "JWT",
            kid: key_id,
        };
        let message = format!("{}.{}", encoded(&header), encoded(self));
        let signature = URL_SAFE_NO_PAD.encode(key.sign(algorithm, message.as_bytes())?);
        Ok(Zeroizing::new(format!("{message}.{signature}")))
    }
}

fn encoded(part: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(part).expect("it has no map with odd keys"))
}
