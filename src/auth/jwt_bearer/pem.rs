//! PEM, as it arrives in configuration files.
//!
//! A key passes through editors, consoles, environment variables and JSON. On the way it gets
//! spaces and blank lines, and its line breaks become spaces or are spelled `\n`. None of that
//! changes the key, so this reader ignores it. It does not decode the key itself. Start at
//! [`Block::find`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::error::Error;

/// One block of PEM.
pub(super) struct Block<'a> {
    /// The words after `BEGIN`, such as `PRIVATE KEY`.
    pub(super) label: &'a str,
    /// The value of `DEK-Info`, which names the cipher in the traditional format.
    pub(super) encryption: Option<&'a str>,
    /// The decoded bytes.
    pub(super) content: Zeroizing<Vec<u8>>,
}

impl<'a> Block<'a> {
    /// Reads the first private key, or the first block if there is no private key. Other blocks,
    /// such as a certificate, may precede a key.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Config`](crate::ErrorKind::Config) if the text has no block, or if the
    /// block has no end or is not base64.
    pub(super) fn find(text: &'a str) -> Result<Self, Error> {
        let damaged =
            || Error::config("the private key is damaged: its PEM has no end, or is not base64");
        let (label, rest) = blocks(text)
            .find(|(label, _)| label.ends_with("PRIVATE KEY"))
            .or_else(|| blocks(text).next())
            .ok_or_else(|| Error::config(not_pem(text)))?;
        let (body, _) = rest.split_once("-----END ").ok_or_else(damaged)?;
        let mut encryption = None;
        let mut base64 = Zeroizing::new(String::with_capacity(body.len()));
        let mut words = words(body);
        while let Some(word) = words.next() {
            match word.strip_suffix(':') {
                Some(header) => {
                    let value = words.next();
                    if header == "DEK-Info" {
                        encryption = value;
                    }
                }
                None => base64.push_str(word),
            }
        }
        let mut content = Zeroizing::new(Vec::with_capacity(base64.len()));
        STANDARD
            .decode_vec(&*base64, &mut content)
            .map_err(|_| damaged())?;
        Ok(Self {
            label,
            encryption,
            content,
        })
    }
}

/// Returns the label of each block, and the text that follows it.
fn blocks(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.match_indices("-----BEGIN ")
        .filter_map(|(at, begin)| text[at + begin.len()..].split_once("-----"))
}

/// Returns the words between white space and spelled-out line breaks.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split("\\n")
        .flat_map(|line| line.split("\\r"))
        .flat_map(str::split_whitespace)
}

/// Returns the error's text for a key without a block of PEM, which names the format if it is
/// known.
fn not_pem(text: &str) -> &'static str {
    let text = text.trim_start();
    if text.starts_with("PuTTY-User-Key-File-") {
        "the private key is in PuTTY's format; convert it with `puttygen OLD -O private-openssh -o NEW`"
    } else if text.starts_with("ssh-") {
        "the private key is missing: this is a public key of SSH"
    } else {
        "the private key is not PEM, which begins with -----BEGIN; convert one in DER with `openssl pkcs8 -topk8 -inform DER -in OLD -out NEW`"
    }
}
