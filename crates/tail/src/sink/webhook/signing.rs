//! [`SigningSecrets`]: the secrets with which webhooks are signed.
//!
//! A secret is `whsec_`, followed by 24 to 64 bytes in base64. Several of them, with white space
//! between them, give several signatures: a receiver can then change from one secret to the next.
//! No error and no `Debug` shows a secret.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

const PREFIX: &str = "whsec_";

/// One or more secrets.
pub(crate) struct SigningSecrets(Vec<Vec<u8>>);

impl FromStr for SigningSecrets {
    /// The reason, without a part of the secret.
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let keys = text.split_whitespace().map(key);
        let keys: Vec<_> = keys.collect::<Option<_>>().unwrap_or_default();
        if keys.is_empty() {
            return Err("not a signing secret: whsec_ and 24 to 64 bytes in base64");
        }
        Ok(Self(keys))
    }
}

impl SigningSecrets {
    /// Creates a random secret, and returns it with its text.
    pub(crate) fn random() -> Result<(Self, String), getrandom::Error> {
        let mut key = [0; 24];
        getrandom::fill(&mut key)?;
        let text = format!("{PREFIX}{}", STANDARD.encode(key));
        Ok((Self(vec![key.into()]), text))
    }

    /// Returns the header `webhook-signature`: a signature by each secret.
    pub(super) fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let signed = format!("{id}.{timestamp}.{body}");
        let signature = |key: &Vec<u8>| {
            let mac = Hmac::<Sha256>::new_from_slice(key);
            let mut mac = mac.expect("HMAC accepts keys of any length");
            mac.update(signed.as_bytes());
            format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
        };
        let signatures: Vec<String> = self.0.iter().map(signature).collect();
        signatures.join(" ")
    }
}

/// Reads one secret.
fn key(text: &str) -> Option<Vec<u8>> {
    let key = STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?;
    (24..=64).contains(&key.len()).then_some(key)
}
