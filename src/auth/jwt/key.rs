//! The application's private key.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use pkcs8::der::pem::PemLabel as _;
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef, SecretDocument};

use super::JwtAlgorithm;
use crate::auth::TokenError;
use crate::auth::secret::Secret;
use crate::error::{Error, ErrorKind};

/// PKCS#1, as `openssl genrsa` once wrote keys.
const PKCS1: &str = "RSA PRIVATE KEY";

/// An RSA key, which the cryptographic library holds and zeroes.
pub(super) struct SigningKey(KeyPair);

impl SigningKey {
    /// Reads a key as PEM.
    pub(super) fn read(pem: &Secret, passphrase: Option<&Secret>) -> Result<Self, Error> {
        let refused = |why: &str| Error::new(ErrorKind::Config, why);
        let (label, document) = SecretDocument::from_pem(pem.text())
            .map_err(|_| refused("the private key is not PEM"))?;
        let pair = match label {
            EncryptedPrivateKeyInfoRef::PEM_LABEL => {
                let passphrase = passphrase.ok_or_else(|| {
                    refused("the private key is encrypted, and there is no passphrase")
                })?;
                let decrypted = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes())
                    .and_then(|encrypted| encrypted.decrypt(passphrase.text()))
                    .map_err(|_| {
                        refused(
                            "the private key can't be decrypted; is the passphrase the right one?",
                        )
                    })?;
                KeyPair::from_pkcs8(decrypted.as_bytes())
            }
            PrivateKeyInfoRef::PEM_LABEL => KeyPair::from_pkcs8(document.as_bytes()),
            PKCS1 => KeyPair::from_der(document.as_bytes()),
            _ => return Err(refused("the private key is not of a kind that is known")),
        };
        pair.map(Self)
            .map_err(|_| refused("the private key is not one of RSA with 2,048 bits or more"))
    }

    pub(super) fn sign(
        &self,
        algorithm: JwtAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, TokenError> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0
            .sign(
                algorithm.encoding(),
                &SystemRandom::new(),
                message,
                &mut signature,
            )
            .map_err(|_| TokenError::permanent("the assertion can't be signed with this key"))?;
        Ok(signature)
    }
}
