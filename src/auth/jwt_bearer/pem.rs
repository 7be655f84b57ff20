//! PEM in the forms that a private key comes in.
//!
//! A key passes through editors, consoles, environment variables and JSON before it arrives. On the way it gets spaces and
//! blank lines, and its line breaks become spaces or are spelled `\n`. None of that changes the key, so this reader ignores it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// One block of PEM.
pub(super) struct Block<'a> {
    pub(super) label: &'a str,
    /// The value of `DEK-Info`, by which the traditional format says how a key is encrypted.
    pub(super) encryption: Option<&'a str>,
    pub(super) content: Zeroizing<Vec<u8>>,
}

/// Why a text has no block of PEM that can be read.
pub(super) enum NoBlock {
    /// No line begins a block.
    Missing,
    /// The block has no end, or something else than base64 between its lines.
    Damaged,
}

impl<'a> Block<'a> {
    /// Reads the first private key, or else the first block. Other blocks, such as a certificate, may precede a key.
    pub(super) fn find(text: &'a str) -> Result<Self, NoBlock> {
        let (label, rest) = blocks(text)
            .find(|(label, _)| label.ends_with("PRIVATE KEY"))
            .or_else(|| blocks(text).next())
            .ok_or(NoBlock::Missing)?;
        let (body, _) = rest.split_once("-----END ").ok_or(NoBlock::Damaged)?;
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
            .map_err(|_| NoBlock::Damaged)?;
        Ok(Self {
            label,
            encryption,
            content,
        })
    }
}

/// The label of each block, and the text that follows it.
fn blocks(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.match_indices("-----BEGIN ")
        .filter_map(|(at, begin)| text[at + begin.len()..].split_once("-----"))
}

/// The text without white space and spelled-out line breaks, a word at a time.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split("\\n")
        .flat_map(|line| line.split("\\r"))
        .flat_map(str::split_whitespace)
}
