//! Conversion of JSON values into Rust types, in which a value of an unexpected shape is `None`.
//!
//! Each member of an object is read separately, so a member of an unexpected shape does not affect
//! the others. serde's derived implementations would reject the complete object. If a name occurs
//! more than once in an object, the last one counts. Start from [`FromJson`], and from the macro
//! `record!` for structs.

use std::borrow::Cow;

use jiff::Timestamp;

use super::EventType;
use super::cursor::JsonCursor;

/// A type that can be read from a JSON value.
pub(super) trait FromJson: Sized {
    /// Reads the value, and moves the cursor past it. Returns `None` if the value is `null` or has
    /// another shape.
    fn from_json(value: &mut JsonCursor<'_>) -> Option<Self>;
}

/// A number becomes the text of its digits, because Box writes ids as strings and as numbers.
impl FromJson for String {
    fn from_json(value: &mut JsonCursor<'_>) -> Option<Self> {
        text(value).map(Cow::into_owned)
    }
}

impl FromJson for u64 {
    fn from_json(value: &mut JsonCursor<'_>) -> Option<Self> {
        text(value)?.parse().ok()
    }
}

impl FromJson for bool {
    fn from_json(value: &mut JsonCursor<'_>) -> Option<Self> {
        value.value().parse().ok()
    }
}

impl FromJson for Timestamp {
    fn from_json(value: &mut JsonCursor<'_>) -> Option<Self> {
        value.string()?.parse().ok()
    }
}

impl FromJson for EventType {
    fn from_json(value: &mut JsonCursor<'_>) -> Option<Self> {
        let name = value.string()?;
        (!name.is_empty()).then(|| name.as_ref().into())
    }
}

impl<T: FromJson> FromJson for Vec<T> {
    fn from_json(value: &mut JsonCursor<'_>) -> Option<Self> {
        let mut items = Some(Self::new());
        value.items(|item| match (&mut items, T::from_json(item)) {
            (Some(items), Some(item)) => items.push(item),
            _ => items = None,
        })?;
        items
    }
}

/// Returns the text of a string, or the digits of a number.
pub(super) fn text<'a>(value: &mut JsonCursor<'a>) -> Option<Cow<'a, str>> {
    match value.peek() {
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(value.value())),
        _ => value.string(),
    }
}

/// A struct that is read from the members of a JSON object. The macro `record!` declares one.
pub(super) trait Record: Default {
    /// Reads one member, and moves the cursor past its value. A later member of the same name
    /// replaces it.
    fn set(&mut self, name: &str, value: &mut JsonCursor<'_>);
}

impl<T: Record> FromJson for T {
    fn from_json(value: &mut JsonCursor<'_>) -> Option<Self> {
        let mut record = Self::default();
        value.members(|name, value| record.set(name, value))?;
        Some(record)
    }
}

/// Declares a struct of optional fields, each with the name of its member in the JSON object.
macro_rules! record {
    (
        $(#[$about:meta])*
        $visibility:vis struct $record:ident {
            $($(#[$field_about:meta])* $name:literal => $field_visibility:vis $field:ident: Option<$type:ty>,)*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        $visibility struct $record {
            $($(#[$field_about])* $field_visibility $field: Option<$type>,)*
        }

        impl $crate::event::from_json::Record for $record {
            fn set(&mut self, name: &str, value: &mut $crate::event::cursor::JsonCursor<'_>) {
                match name {
                    $($name => self.$field = $crate::event::from_json::FromJson::from_json(value),)*
                    _ => value.skip(),
                }
            }
        }
    };
}
pub(super) use record;
