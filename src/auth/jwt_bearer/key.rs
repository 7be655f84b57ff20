//! The application's private key.
//!
//! [`SigningKey::read`] takes each PEM format of an RSA key that Box's console or its guides
//! produce, encrypted or not. The error for any other format names it and the command that converts
//! it. It contains nothing of the key.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RsaEncoding;
use pkcs8::der::asn1::OctetStringRef;
use pkcs8::der::{self, Decode as _, ErrorKind as DerErrorKind, Reader as _, SliceReader};
use pkcs8::pkcs5::Error as EncryptionError;
use pkcs8::{
    AlgorithmIdentifierRef, EncryptedPrivateKeyInfoRef, ObjectIdentifier, PrivateKeyInfoRef,
    SecretDocument,
};

use super::pem::Block;
use super::traditional;
use crate::auth::TokenError;
use crate::auth::secret::Secret;
use crate::error::Error;

/// The command that converts any key that OpenSSL can read into a format that this library can
/// read.
pub(super) const CONVERT: &str = "convert it with `openssl pkcs8 -topk8 -in OLD -out NEW`; for an obsolete cipher, OpenSSL 3 needs `-provider legacy -provider default` after it";

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// An RSA key. The cryptographic library holds it, and zeroes it when it is dropped.
pub(super) struct SigningKey(KeyPair);

impl SigningKey {
    /// Reads a key from PEM. An empty passphrase counts as none.
    pub(super) fn read(text: &Secret, passphrase: Option<&Secret>) -> Result<Self, Error> {
        let passphrase = passphrase
            .map(Secret::text)
            .filter(|passphrase| !passphrase.is_empty());
        let block = Block::find(text.text())?;
        match (block.label, block.encryption) {
            ("ENCRYPTED PRIVATE KEY", _) => {
                Self::of_pkcs8(decrypt(&block.content, passphrase)?.as_bytes())
            }
            ("PRIVATE KEY", _) => Self::of_pkcs8(&block.content),
            ("RSA PRIVATE KEY", Some(encryption)) => {
                let passphrase = passphrase.ok_or_else(|| Error::config(NO_PASSPHRASE))?;
                let key = traditional::decrypt(&block.content, encryption, passphrase)?;
                Self::of_pkcs1(key.as_bytes())
            }
            ("RSA PRIVATE KEY", None) => Self::of_pkcs1(&block.content),
            (label, _) => Err(Error::config(format!("the private key {}", not_rsa(label)))),
        }
    }

    /// Reads a decrypted key in PKCS#8.
    fn of_pkcs8(key: &[u8]) -> Result<Self, Error> {
        let info = PrivateKeyInfoRef::try_from(key).map_err(|_| Error::config(DAMAGED))?;
        let other = match info.algorithm.oid {
            RSA => {
                let key = KeyPair::from_pkcs8(key).map(Self);
                return key.map_err(|_| Error::config(NOT_USABLE));
            }
            RSA_PSS => "is for RSA-PSS alone".to_owned(),
            EC => "is an EC key".to_owned(),
            oid => format!("is not an RSA key, but one of the algorithm {oid}"),
        };
        Err(Error::config(format!(
            "the private key {other}; {MAKE_RSA}"
        )))
    }

    /// Reads a decrypted key in PKCS#1, the traditional format.
    fn of_pkcs1(key: &[u8]) -> Result<Self, Error> {
        KeyPair::from_der(key)
            .map(Self)
            .map_err(|_| Error::config(NOT_USABLE))
    }

    /// Signs a message.
    pub(super) fn sign(
        &self,
        encoding: &'static dyn RsaEncoding,
        message: &[u8],
    ) -> Result<Vec<u8>, TokenError> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        let random = SystemRandom::new();
        match self.0.sign(encoding, &random, message, &mut signature) {
            Ok(()) => Ok(signature),
            Err(_) => Err(TokenError::permanent(
                "the assertion can't be signed with this key",
            )),
        }
    }
}

const MAKE_RSA: &str =
    "Box accepts RSA keys, such as one from `openssl genrsa -des3 -out NEW 2048`";
const DAMAGED: &str =
    "the private key is damaged: its PEM does not contain the kind of key that it names";
const NOT_USABLE: &str = "the private key is not an RSA key of 2,048 to 8,192 bits, or is damaged";
const NO_PASSPHRASE: &str = "the private key is encrypted, and there is no passphrase";
pub(super) const WRONG_PASSPHRASE: &str =
    "the private key can't be decrypted; is the passphrase the right one?";

/// Decrypts a key in PKCS#8.
fn decrypt(document: &[u8], passphrase: Option<&str>) -> Result<SecretDocument, Error> {
    let unknown = |oid: ObjectIdentifier| {
        Error::config(format!(
            "the private key is PKCS#8, encrypted with {oid}, which this library does not know; {CONVERT}"
        ))
    };
    let encrypted = EncryptedPrivateKeyInfoRef::try_from(document).map_err(|error| {
        let part = match error {
            pkcs8::Error::Asn1(error) => match error.kind() {
                DerErrorKind::OidUnknown { oid } => Some(oid),
                _ => None,
            },
            _ => None,
        };
        encryption(document).map_or_else(
            |_| Error::config(DAMAGED),
            |scheme| unknown(part.unwrap_or(scheme)),
        )
    })?;
    let passphrase = passphrase.ok_or_else(|| Error::config(NO_PASSPHRASE))?;
    encrypted.decrypt(passphrase).map_err(|error| match error {
        // With about one wrong passphrase in 256, the padding is valid by chance, and the decrypted
        // bytes are not DER.
        pkcs8::Error::EncryptedPrivateKey(EncryptionError::DecryptFailed)
        | pkcs8::Error::Asn1(_) => Error::config(WRONG_PASSPHRASE),
        _ => unknown(encrypted.encryption_algorithm.oid()),
    })
}

/// Returns the algorithm that encrypts a PKCS#8 document, even if this library does not support it.
fn encryption(document: &[u8]) -> der::Result<ObjectIdentifier> {
    SliceReader::new(document)?.sequence(|reader| {
        let algorithm = AlgorithmIdentifierRef::decode(reader)?;
        <&OctetStringRef>::decode(reader)?;
        Ok(algorithm.oid)
    })
}

/// Returns the end of the sentence "the private key …", for a PEM block that has no readable RSA
/// key.
fn not_rsa(label: &str) -> String {
    match label {
        "OPENSSH PRIVATE KEY" => {
            "is in OpenSSH's format; convert a copy with `ssh-keygen -p -m PKCS8 -f COPY`"
                .to_owned()
        }
        "EC PRIVATE KEY" => format!("is an EC key; {MAKE_RSA}"),
        "DSA PRIVATE KEY" => format!("is a DSA key; {MAKE_RSA}"),
        "PUBLIC KEY" | "RSA PUBLIC KEY" => {
            "is a public key; the private key that belongs to it is needed".to_owned()
        }
        "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => {
            "is a certificate; the private key that belongs to it is needed".to_owned()
        }
        _ => "is of an unknown kind".to_owned(),
    }
}
