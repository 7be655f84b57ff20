//! Reading what is there, whatever stands beside it.
//!
//! Each member of an object is read for itself, so one of an unexpected shape costs itself and nothing else. Where an
//! object has a name twice, the last one counts.

use std::borrow::Cow;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::EventType;
use super::walk::Walk;

/// What can be read from a JSON value.
pub(super) trait Read: Sized {
    /// Goes past the value. `None` where it is `null` or of another shape.
    fn read(value: &mut Walk<'_>) -> Option<Self>;
}

/// A number counts by its digits: Box writes ids both ways.
impl Read for String {
    fn read(value: &mut Walk<'_>) -> Option<Self> {
        text(value).map(Cow::into_owned)
    }
}

impl Read for u64 {
    fn read(value: &mut Walk<'_>) -> Option<Self> {
        text(value)?.parse().ok()
    }
}

impl Read for bool {
    fn read(value: &mut Walk<'_>) -> Option<Self> {
        value.value().parse().ok()
    }
}

impl Read for OffsetDateTime {
    fn read(value: &mut Walk<'_>) -> Option<Self> {
        Self::parse(&value.string()?, &Rfc3339).ok()
    }
}

impl Read for EventType {
    fn read(value: &mut Walk<'_>) -> Option<Self> {
        let name = value.string()?;
        (!name.is_empty()).then(|| name.as_ref().into())
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(value: &mut Walk<'_>) -> Option<Self> {
        let mut items = Some(Self::new());
        value.items(|item| match (&mut items, T::read(item)) {
            (Some(items), Some(item)) => items.push(item),
            _ => items = None,
        })?;
        items
    }
}

fn text<'a>(value: &mut Walk<'a>) -> Option<Cow<'a, str>> {
    match value.peek() {
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(value.value())),
        _ => value.string(),
    }
}

/// A struct that is filled from the members of a JSON object; `record!` declares one.
pub(super) trait Record: Default {
    /// Takes up one member, and goes past its value. A later one of the same name replaces it.
    fn set(&mut self, name: &str, value: &mut Walk<'_>);
}

/// Reads a JSON object into such a struct.
pub(super) fn object<T: Record>(value: &mut Walk<'_>) -> Option<T> {
    let mut record = T::default();
    value.members(|name, value| record.set(name, value))?;
    Some(record)
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

        impl $crate::event::read::Record for $record {
            fn set(&mut self, name: &str, value: &mut $crate::event::walk::Walk<'_>) {
                match name {
                    $($name => self.$field = $crate::event::read::Read::read(value),)*
                    _ => value.skip(),
                }
            }
        }

        impl $crate::event::read::Read for $record {
            fn read(value: &mut $crate::event::walk::Walk<'_>) -> Option<Self> {
                $crate::event::read::object(value)
            }
        }
    };
}
pub(super) use record;
