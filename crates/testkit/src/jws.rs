//! The signatures of JWTs: verification with the public keys of an application.
//!
//! Only the algorithms that Box accepts are known. The claims are checked in `assertion`. Without
//! the feature `jwt`, `no_jws` takes the place of this module. Start from [`open`].

use std::collections::BTreeMap;

use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RsaParameters, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;

use crate::token_api::Refusal;

const UNKNOWN_KEY: Refusal =
    Refusal::invalid_grant("\"kid\" invalid, unable to lookup correct key");
const WRONG_SIGNATURE: Refusal = Refusal::invalid_grant(
    "Signature verification error. The public key identified by \"kid\" must correspond to the private key used for signing.",
);

/// The protected header of a JWT.
#[derive(Deserialize)]
struct Header {
    alg: String,
    /// The ID of the key.
    kid: Option<String>,
}

/// Returns the signed claims as JSON, if one of the keys has signed them. `keys` maps a key's `kid`
/// to its PEM.
pub(crate) fn open(token: &str, keys: &BTreeMap<String, String>) -> Result<Vec<u8>, Refusal> {
    let (signed, signature) = token
        .rsplit_once('.')
        .ok_or(Refusal::UNREADABLE_ASSERTION)?;
    let (header, payload) = signed
        .split_once('.')
        .ok_or(Refusal::UNREADABLE_ASSERTION)?;
    let header: Header =
        serde_json::from_slice(&decode(header)?).map_err(|_| Refusal::UNREADABLE_ASSERTION)?;
    // Box's SDK for Node names no key, so any registered key may have signed.
    let named = |kid: &str| header.kid.as_deref().is_none_or(|name| name == kid);
    let keys: Vec<_> = keys
        .iter()
        .filter(|(kid, _)| named(kid))
        .filter_map(|(_, pem)| der(pem))
        .collect();
    if keys.is_empty() {
        return Err(UNKNOWN_KEY);
    }
    let algorithm = algorithm(&header.alg).ok_or(WRONG_SIGNATURE)?;
    let signature = decode(signature)?;
    let fits = |key| {
        UnparsedPublicKey::new(algorithm, key)
            .verify(signed.as_bytes(), &signature)
            .is_ok()
    };
    if keys.into_iter().any(fits) {
        decode(payload)
    } else {
        Err(WRONG_SIGNATURE)
    }
}

/// Decodes one part of a JWT.
fn decode(part: &str) -> Result<Vec<u8>, Refusal> {
    BASE64_URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| Refusal::UNREADABLE_ASSERTION)
}

/// Returns the algorithm with this name, if Box accepts it.
fn algorithm(name: &str) -> Option<&'static RsaParameters> {
    match name {
        "RS256" => Some(&RSA_PKCS1_2048_8192_SHA256),
        "RS384" => Some(&RSA_PKCS1_2048_8192_SHA384),
        "RS512" => Some(&RSA_PKCS1_2048_8192_SHA512),
        _ => None,
    }
}

/// Returns the DER content of a PEM, which is the text between its first and last line.
fn der(pem: &str) -> Option<Vec<u8>> {
    let lines = pem.lines().map(str::trim);
    let base64: String = lines.filter(|line| !line.starts_with('-')).collect();
    BASE64_STANDARD.decode(base64).ok()
}
