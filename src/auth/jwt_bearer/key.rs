//! The application's private key.

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

/// Writes any key that OpenSSL can read in a form that this library can.
pub(super) const CONVERT: &str = "convert it with `openssl pkcs8 -topk8 -in OLD -out NEW`; for a cipher that is broken by now, OpenSSL 3 needs `-provider legacy -provider default` after it";

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// An RSA key, which the cryptographic library holds and zeroes.
pub(super) struct SigningKey(KeyPair);

impl SigningKey {
    /// Reads a key as PEM, in the formats that hold an RSA key.
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

    fn of_pkcs8(key: &[u8]) -> Result<Self, Error> {
        let info = PrivateKeyInfoRef::try_from(key).map_err(|_| Error::config(DAMAGED))?;
        let other = match info.algorithm.oid {
            RSA => {
                let key = KeyPair::from_pkcs8(key).map(Self);
                return key.map_err(|_| Error::config(NOT_USABLE));
            }
            RSA_PSS => "is for RSA-PSS alone".to_owned(),
            EC => "is an EC key".to_owned(),
            oid => format!("is not an RSA key, but one of algorithm {oid}"),
        };
        Err(Error::config(format!(
            "the private key {other}; {MAKE_RSA}"
        )))
    }

    fn of_pkcs1(key: &[u8]) -> Result<Self, Error> {
        KeyPair::from_der(key)
            .map(Self)
            .map_err(|_| Error::config(NOT_USABLE))
    }

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

const MAKE_RSA: &str = "Box takes RSA keys, such as `openssl genrsa -des3 -out NEW 2048` makes";
const DAMAGED: &str = "the private key is damaged: its PEM has something else in it than it says";
const NOT_USABLE: &str =
    "the private key is not one of RSA with 2,048 to 8,192 bits, or is damaged";
const NO_PASSPHRASE: &str = "the private key is encrypted, and there is no passphrase";
pub(super) const WRONG_PASSPHRASE: &str =
    "the private key can't be decrypted; is the passphrase the right one?";

/// Decrypts PKCS#8.
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
            |whole| unknown(part.unwrap_or(whole)),
        )
    })?;
    let passphrase = passphrase.ok_or_else(|| Error::config(NO_PASSPHRASE))?;
    encrypted.decrypt(passphrase).map_err(|error| match error {
        // One wrong passphrase in 256 leaves something that looks padded, but is no DER.
        pkcs8::Error::EncryptedPrivateKey(EncryptionError::DecryptFailed)
        | pkcs8::Error::Asn1(_) => Error::config(WRONG_PASSPHRASE),
        _ => unknown(encrypted.encryption_algorithm.oid()),
    })
}

/// The algorithm by which PKCS#8 is encrypted, known or not.
fn encryption(document: &[u8]) -> der::Result<ObjectIdentifier> {
    SliceReader::new(document)?.sequence(|reader| {
        let algorithm = AlgorithmIdentifierRef::decode(reader)?;
        <&OctetStringRef>::decode(reader)?;
        Ok(algorithm.oid)
    })
}

/// Names a block of PEM that holds no RSA key in a format that can be read.
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
        _ => "is not of a kind that is known".to_owned(),
    }
}
