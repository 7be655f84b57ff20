//! Reading JSON that came from elsewhere: responses, and files that people edit.

use serde::Deserialize;

/// Decodes a text, past a byte order mark.
pub(crate) fn read<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(without_mark(text))
}

/// The text of an object, past a byte order mark. Serde would take an array for a struct.
pub(crate) fn object(text: &[u8]) -> Option<&[u8]> {
    let text = without_mark(text);
    text.trim_ascii_start().starts_with(b"{").then_some(text)
}

/// The text without the byte order mark that some programs put before UTF-8, and that no JSON has.
fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text)
}
