//! JSON values that are kept as text: [`RawJson`], and the error of decoding one.
//!
//! Some fields of an event have no fixed shape, or are read by few programs. They are kept as
//! slices of the page that Box sent, and are decoded on request.

use std::error::Error;
use std::fmt;

use bytes::Bytes;
use serde::Deserialize;

use super::cursor::{JsonCursor, as_str};
use super::from_json::FromJson;

/// A JSON value as Box sent it, for fields that have no fixed shape.
///
/// Cloning is cheap: a clone shares the memory of its event, and keeps it allocated (see
/// [`Event::into_owned`](super::Event::into_owned)). Two values are equal if their texts are equal.
#[derive(Clone, PartialEq, Eq)]
pub struct RawJson {
    text: Bytes,
}

impl RawJson {
    pub(super) fn new(text: Bytes) -> Self {
        Self { text }
    }

    /// Returns the JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        as_str(&self.text)
    }

    /// Returns the member `name` if this is an object that has it. A `null` is a member like any
    /// other. If the name occurs more than once, the last one counts.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<RawJson> {
        let value = JsonCursor::over(&self.text, self.as_str()).member(name);
        value.map(|mut value| RawJson::new(value.raw()))
    }

    /// Reads the value as one of this crate's types.
    pub(super) fn read_as<T: FromJson>(&self) -> Option<T> {
        T::from_json(&mut JsonCursor::over(&self.text, self.as_str()))
    }

    /// Decodes the value into a type of your choice.
    ///
    /// # Errors
    ///
    /// Returns [`DecodeError`] if the value has another shape than `T`, or if `T` reads values that
    /// are nested more than 127 levels deep.
    pub fn decode<'a, T: Deserialize<'a>>(&'a self) -> Result<T, DecodeError> {
        serde_json::from_str(self.as_str()).map_err(DecodeError)
    }
}

impl FromJson for RawJson {
    fn from_json(value: &mut JsonCursor<'_>) -> Option<Self> {
        if value.peek() == b'n' {
            value.skip();
            return None;
        }
        Some(Self::new(value.raw()))
    }
}

impl fmt::Display for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Shows the text, truncated to 200 characters.
impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.as_str();
        match text.char_indices().nth(200) {
            Some((end, _)) => write!(f, "RawJson({}…)", &text[..end]),
            None => write!(f, "RawJson({text})"),
        }
    }
}

/// The error of [`RawJson::decode`]: the value has another shape than the requested type. The
/// [`source`](Error::source) gives the place and the reason.
#[derive(Debug)]
pub struct DecodeError(serde_json::Error);

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this part of an event does not have the shape of the requested type")
    }
}

impl Error for DecodeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}
