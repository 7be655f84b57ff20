//! Reading what is there, whatever stands beside it.
//!
//! Each member of an object is read for itself, so one of an unexpected shape costs itself and nothing else. Where an
//! object has a name twice, the last one counts. Values that nobody asks for are skipped without recursion, however
//! deep they are nested.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::EventType;

/// A JSON value, and the buffer in which it stands.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    buffer: &'a Bytes,
    json: &'a str,
}

impl<'a> Part<'a> {
    /// The value that fills `buffer`.
    pub(super) fn whole(buffer: &'a Bytes) -> Self {
        Self {
            buffer,
            json: as_str(buffer),
        }
    }

    pub(super) fn json(self) -> &'a str {
        self.json
    }

    /// The value's bytes, sharing the memory of the buffer.
    pub(super) fn to_bytes(self) -> Bytes {
        self.buffer.slice_ref(self.json.as_bytes())
    }

    pub(super) fn is_null(self) -> bool {
        self.json == "null"
    }

    /// Calls `each` with every member of an object, in its order; `None` for any other value.
    pub(super) fn members(self, each: impl FnMut(Cow<'a, str>, Part<'a>)) -> Option<()> {
        let buffer = self.buffer;
        serde_json::Deserializer::from_str(self.json)
            .deserialize_map(Members { buffer, each })
            .ok()
    }

    /// The member of that name.
    pub(super) fn member(self, wanted: &str) -> Option<Part<'a>> {
        let mut found = None;
        self.members(|name, value| {
            if name == wanted {
                found = Some(value);
            }
        });
        found
    }

    /// A string's text.
    pub(super) fn string(self) -> Option<Cow<'a, str>> {
        let text = self.json.strip_prefix('"')?.strip_suffix('"')?;
        if text.contains('\\') {
            let Text(decoded) = serde_json::from_str(self.json).ok()?;
            Some(decoded)
        } else {
            Some(Cow::Borrowed(text))
        }
    }

    /// A string's text, or a number's digits: Box writes ids both ways.
    fn text(self) -> Option<Cow<'a, str>> {
        if self
            .json
            .starts_with(|first: char| first == '-' || first.is_ascii_digit())
        {
            Some(Cow::Borrowed(self.json))
        } else {
            self.string()
        }
    }
}

/// The text of a buffer that holds JSON, which was checked to be UTF-8 when it was parsed the first time.
pub(super) fn as_str(buffer: &[u8]) -> &str {
    std::str::from_utf8(buffer).unwrap_or_default()
}

struct Members<'a, F> {
    buffer: &'a Bytes,
    each: F,
}

impl<'a, F: FnMut(Cow<'a, str>, Part<'a>)> Visitor<'a> for Members<'a, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(name)) = map.next_key()? {
            let value: &'a RawValue = map.next_value()?;
            let (buffer, json) = (self.buffer, value.get());
            (self.each)(name, Part { buffer, json });
        }
        Ok(())
    }
}

/// A string, in which an escaped half of a surrogate pair, which no Rust string can hold, is replaced by U+FFFD.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Asked for bytes, serde_json lets such halves through; asked for a string, it fails.
        deserializer.deserialize_bytes(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<Text<'de>, E> {
        Ok(Text(String::from_utf8_lossy(bytes)))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(
            String::from_utf8_lossy(bytes).into_owned(),
        )))
    }
}

/// What can be read from a JSON value; `None` where that value is missing, `null` or of another shape.
pub(super) trait Read: Sized {
    fn read(part: Part<'_>) -> Option<Self>;
}

impl Read for String {
    fn read(part: Part<'_>) -> Option<Self> {
        part.text().map(Cow::into_owned)
    }
}

impl Read for u64 {
    fn read(part: Part<'_>) -> Option<Self> {
        part.text()?.parse().ok()
    }
}

impl Read for OffsetDateTime {
    fn read(part: Part<'_>) -> Option<Self> {
        Self::parse(&part.string()?, &Rfc3339).ok()
    }
}

impl Read for EventType {
    fn read(part: Part<'_>) -> Option<Self> {
        let name = part.string()?;
        (!name.is_empty()).then(|| name.as_ref().into())
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(part: Part<'_>) -> Option<Self> {
        let items: Vec<&RawValue> = serde_json::from_str(part.json).ok()?;
        let buffer = part.buffer;
        items
            .into_iter()
            .map(|item| {
                let json = item.get();
                T::read(Part { buffer, json })
            })
            .collect()
    }
}

/// A struct that is filled from the members of a JSON object; `record!` declares one.
pub(super) trait Record: Default {
    /// Takes up one member. A later one of the same name replaces it.
    fn set(&mut self, name: &str, value: Part<'_>);
}

impl<T: Record> Read for T {
    fn read(part: Part<'_>) -> Option<Self> {
        let mut record = Self::default();
        part.members(|name, value| record.set(&name, value))?;
        Some(record)
    }
}

/// Declares a struct of optional fields, and how each is read from the member of a JSON object.
macro_rules! record {
    (
        $(#[$about:meta])*
        $visibility:vis struct $record:ident {
            $($(#[$field_about:meta])* $name:literal => pub $field:ident: Option<$type:ty>,)*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        $visibility struct $record {
            $($(#[$field_about])* pub $field: Option<$type>,)*
        }

        impl $crate::event::read::Record for $record {
            fn set(&mut self, name: &str, value: $crate::event::read::Part<'_>) {
                match name {
                    $($name => self.$field = $crate::event::read::Read::read(value),)*
                    _ => {}
                }
            }
        }
    };
}
pub(super) use record;
