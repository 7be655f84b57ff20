//! The traditional format of encrypted keys, which OpenSSL wrote before 3.0 and macOS still writes.
//!
//! Its key derivation is one round of MD5, which is weak. Box's own guide produces such keys,
//! though, and refusing one would protect nobody: the file exists already. This module only reads
//! the format. Start at [`decrypt`]. See
//! <https://docs.openssl.org/3.0/man3/PEM_read_bio_PrivateKey/>.

use aes::{Aes128, Aes192, Aes256};
use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt as _, KeyInit, KeyIvInit as _};
use des::TdesEde3;
use md5::{Digest as _, Md5};
use pkcs8::SecretDocument;
use zeroize::{Zeroize as _, Zeroizing};

use super::key::{CONVERT, WRONG_PASSPHRASE};
use crate::error::Error;
use crate::redact::quote;

/// The longest key of a supported cipher, in bytes: that of AES-256.
const MAX_KEY: usize = 32;

/// The bytes that each round of the key derivation yields: an MD5 digest.
const ROUND: usize = 16;

/// The part of the initialization vector that salts the key derivation, in bytes.
const SALT: usize = 8;

/// Decrypts a key. `encryption` is the value of `DEK-Info`: a cipher, and its initialization vector
/// in hexadecimal digits.
pub(super) fn decrypt(
    encrypted: &[u8],
    encryption: &str,
    passphrase: &str,
) -> Result<SecretDocument, Error> {
    let (cipher, iv) = encryption.split_once(',').unwrap_or((encryption, ""));
    let unknown = || {
        Error::config(format!(
            "the private key is traditional PEM, encrypted with {}, which this library does not know; {CONVERT}",
            quote(cipher)
        ))
    };
    let with = match cipher {
        "DES-EDE3-CBC" => with_cipher::<TdesEde3>,
        "AES-128-CBC" => with_cipher::<Aes128>,
        "AES-192-CBC" => with_cipher::<Aes192>,
        "AES-256-CBC" => with_cipher::<Aes256>,
        _ => return Err(unknown()),
    };
    let iv = bytes(iv).ok_or_else(unknown)?;
    with(encrypted, &iv, passphrase.as_bytes()).unwrap_or_else(|| Err(unknown()))
}

/// Decrypts a key with the cipher `C`. Returns `None` if the initialization vector has the wrong
/// length for the cipher.
fn with_cipher<C: BlockCipherDecrypt + KeyInit>(
    encrypted: &[u8],
    iv: &[u8],
    passphrase: &[u8],
) -> Option<Result<SecretDocument, Error>> {
    let key = derive_key(passphrase, iv.get(..SALT)?);
    let decryptor = Decryptor::<C>::new_from_slices(&key[..C::key_size()], iv).ok()?;
    let mut buffer = Zeroizing::new(encrypted.to_vec());
    let decrypted = decryptor.decrypt_padded::<Pkcs7>(&mut buffer).ok();
    // With about one wrong passphrase in 256, the padding is valid by chance, and the decrypted
    // bytes are not DER.
    let key = decrypted.and_then(|key| SecretDocument::try_from(key).ok());
    Some(key.ok_or_else(|| Error::config(WRONG_PASSPHRASE)))
}

/// Derives a key by OpenSSL's `EVP_BytesToKey`, with MD5 and an iteration count of 1.
fn derive_key(passphrase: &[u8], salt: &[u8]) -> Zeroizing<[u8; MAX_KEY]> {
    let mut key = Zeroizing::new([0; MAX_KEY]);
    for end in (ROUND..=MAX_KEY).step_by(ROUND) {
        let start = end - ROUND;
        let mut round = Md5::new();
        round.update(&key[start.saturating_sub(ROUND)..start]);
        round.update(passphrase);
        round.update(salt);
        let mut digest = round.finalize();
        key[start..end].copy_from_slice(&digest);
        digest.zeroize();
    }
    key
}

/// Decodes hexadecimal digits.
fn bytes(hexadecimal: &str) -> Option<Vec<u8>> {
    let pairs = hexadecimal.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}
