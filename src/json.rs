//! JSON from elsewhere: responses, and files that people edit.
//!
//! Such JSON may begin with a byte order mark, which `serde_json` rejects. [`read`] and [`object`]
//! skip it. This module does not write JSON.

use serde::Deserialize;

/// Decodes a text, after its byte order mark if it has one.
pub(crate) fn read<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(without_mark(text))
}

/// Returns the text without its byte order mark if it is an object. Serde would also decode an
/// array into a struct.
pub(crate) fn object(text: &[u8]) -> Option<&[u8]> {
    let text = without_mark(text);
    text.trim_ascii_start().starts_with(b"{").then_some(text)
}

/// Returns the text without a byte order mark, which some programs write before UTF-8.
fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text)
}
