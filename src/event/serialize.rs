//! serde for [`Event`]: an event can be stored in any format, and read back.
//!
//! Text formats get the event's JSON object, so that people and other programs can read it. Binary
//! formats get the exact JSON text in one field. Text formats get that field too if an object could
//! not represent the event faithfully.

use std::fmt;

use bytes::Bytes;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeStruct, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::Event;

/// The name of the only field of an event that is written as JSON text.
const TEXT_FIELD: &str = "box_event_json";

/// The maximum nesting of an event that is written as an object, in levels. `serde_json` and other
/// libraries read up to 128 levels, and the rest is left for the value that contains the event.
const MAX_NESTING: usize = 64;

impl Event {
    /// Returns the event's object, if a structured format can hold it faithfully.
    fn structure(&self) -> Option<Value> {
        let object: Value = serde_json::from_str(self.raw()).ok()?;
        let fits = fits(&object, MAX_NESTING) && object.as_object()?.get(TEXT_FIELD).is_none();
        fits.then_some(object)
    }

    /// Creates an event from its exact JSON text.
    fn from_text<E: Error>(text: &str) -> Result<Self, E> {
        let json: &RawValue = serde_json::from_str(text).map_err(E::custom)?;
        Ok(Self::from_raw(&Bytes::copy_from_slice(
            json.get().as_bytes(),
        )))
    }
}

/// Returns `true` if the value is nested at most `levels` deep, and each number fits into an `f64`.
fn fits(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels > 0 && items.iter().all(|item| fits(item, levels - 1)),
        Value::Object(members) => {
            levels > 0 && members.values().all(|member| fits(member, levels - 1))
        }
        Value::Number(number) => number.as_f64().is_some(),
        _ => true,
    }
}

/// A JSON value that is written by serde's own methods. If any crate of the program enables
/// `serde_json`'s feature `arbitrary_precision`, a `Value` writes its numbers in a form that only
/// `serde_json` understands.
struct Plain<'a>(&'a Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Array(items) => serializer.collect_seq(items.iter().map(Plain)),
            Value::Object(members) => {
                serializer.collect_map(members.iter().map(|(name, member)| (name, Plain(member))))
            }
            Value::Number(number) => {
                if let Some(number) = number.as_u64() {
                    serializer.serialize_u64(number)
                } else if let Some(number) = number.as_i64() {
                    serializer.serialize_i64(number)
                } else {
                    number.as_f64().serialize(serializer)
                }
            }
            plain => plain.serialize(serializer),
        }
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable()
            && let Some(object) = self.structure()
        {
            return Plain(&object).serialize(serializer);
        }
        // This is a struct instead of a plain string, because a string does not work with
        // internally tagged enums and `flatten`.
        let mut fields = serializer.serialize_struct("Event", 1)?;
        fields.serialize_field(TEXT_FIELD, self.raw())?;
        fields.end()
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Both forms have to be accepted: serde's internal buffer reports that it is
        // human-readable, even if the actual format is binary.
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(EventVisitor)
        } else {
            deserializer.deserialize_struct("Event", &[TEXT_FIELD], EventVisitor)
        }
    }
}

/// Reads both forms of an event: the object, and the field with the exact text.
struct EventVisitor;

impl<'de> Visitor<'de> for EventVisitor {
    type Value = Event;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Box event")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Event, A::Error> {
        let members = Map::deserialize(MapAccessDeserializer::new(map))?;
        match members.get(TEXT_FIELD) {
            Some(Value::String(text)) => Event::from_text(text),
            Some(_) => Err(Error::custom(format_args!("{TEXT_FIELD} is not a string"))),
            None => serde_json::to_vec(&members)
                .map(|json| Event::from_raw(&json.into()))
                .map_err(Error::custom),
        }
    }

    /// Compact formats write a struct as the list of its fields.
    fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<Event, A::Error> {
        let text: Option<String> = fields.next_element()?;
        Event::from_text(&text.ok_or_else(|| Error::invalid_length(0, &self))?)
    }
}
