//! Reading what is there, whatever stands beside it.
//!
//! Each member of an object is read for itself, so one of an unexpected shape costs itself and nothing else. Where an
//! object has a name twice, the last one counts.

use std::borrow::Cow;

use jiff::Timestamp;

use super::EventType;
use super::cursor::JsonCursor;

/// What can be read from a JSON value.
pub(super) trait FromJson: Sized {
    /// Goes past the value. `None` where it is `null` or of another shape.
    fn from_json(value: &mut JsonCursor<'_>) -> Option<Self>;
}

/// A number counts by its digits: Box writes ids both ways.
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

fn text<'a>(value: &mut JsonCursor<'a>) -> Option<Cow<'a, str>> {
    match value.peek() {
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(value.value())),
        _ => value.string(),
    }
}

/// A struct that is filled from the members of a JSON object; `record!` declares one.
pub(super) trait Record: Default {
    /// Takes up one member, and goes past its value. A later one of the same name replaces it.
    fn set(&mut self, name: &str, value: &mut JsonCursor<'_>);
}

impl<T: Record> FromJson for T {
    fn from_json(value: &mut JsonCursor<'_>) -> Option<Self> {
        let mut record = Self::default();
        value.members(|name, value| record.set(name, value))?;
        Some(record)
    }
}

/// Declares a struct of optional fields, and how each is read from the member of a JSON object.
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
