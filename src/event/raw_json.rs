use std::error::Error;
use std::fmt;

use bytes::Bytes;
use serde::Deserialize;

use super::cursor::{JsonCursor, as_str};
use super::from_json::FromJson;

/// A JSON value as Box sent it, for what has no fixed shape.
///
/// Cloning one is cheap: it shares the memory of the event that it was taken from, and keeps it allocated (see
/// [`Event::into_owned`](super::Event::into_owned)). Two are equal when their texts are.
#[derive(Clone, PartialEq, Eq)]
pub struct RawJson {
    text: Bytes,
}

impl RawJson {
    pub(super) fn new(text: Bytes) -> Self {
        Self { text }
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        as_str(&self.text)
    }

    /// The member `name`, where this is an object that has it; a `null` is a member like any other. Where the name
    /// occurs more than once, the last one counts.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<RawJson> {
        let value = JsonCursor::over(&self.text, self.as_str()).member(name);
        value.map(|mut value| RawJson::new(value.raw()))
    }

    /// Reads the value as one of this crate's types.
    pub(super) fn read_as<T: FromJson>(&self) -> Option<T> {
        T::from_json(&mut JsonCursor::over(&self.text, self.as_str()))
    }

    /// Decodes the value into a type of the caller's choice.
    ///
    /// # Errors
    ///
    /// When the value is not what `T` expects, or is nested more than 127 deep where `T` wants all of it.
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

/// Shows the text, cut after 200 characters.
impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.as_str();
        match text.char_indices().nth(200) {
            Some((end, _)) => write!(f, "RawJson({}…)", &text[..end]),
            None => write!(f, "RawJson({text})"),
        }
    }
}

/// A [`RawJson`] is not what the caller wanted to decode. The [`source`](Error::source) says where and why.
#[derive(Debug)]
pub struct DecodeError(serde_json::Error);

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this part of an event has another shape than asked for")
    }
}

impl Error for DecodeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}
