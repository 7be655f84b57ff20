//! [`Template`]: the format of a line that the user has written, such as
//! `{created_at} {event_type}`.

use std::collections::HashMap;

use box_longpoll::Event;
use box_longpoll::event::User;
use serde_json::value::RawValue;

use super::escape::{escaped, escaped_json};

/// The text for a field that an event does not have.
const MISSING: &str = "-";

/// The format of a line: text, and fields of the event.
#[derive(Clone)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Clone)]
enum Part {
    Text(String),
    Field(Field),
}

/// A field in a template.
#[derive(Clone)]
enum Field {
    /// The name of the user who caused the event, or else the login or the id.
    User,
    /// The name of the item that the event is about, or else its id.
    Item,
    ItemId,
    ItemType,
    /// A member of the event's JSON, by the names on the way to it. A number selects an element of
    /// an array.
    Path(Vec<String>),
}

impl Template {
    /// Reads a template. The error names the place, as a column from 1.
    pub(super) fn parse(template: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut chars = template.chars().zip(1_u32..).peekable();
        while let Some((c, column)) = chars.next() {
            let is_doubled =
                matches!(c, '{' | '}') && chars.next_if(|(next, _)| *next == c).is_some();
            match c {
                _ if is_doubled => text.push(c),
                '{' => {
                    let mut name = String::new();
                    loop {
                        match chars.next() {
                            Some(('}', _)) => break,
                            Some((c, _)) if c != '{' => name.push(c),
                            _ => {
                                return Err(format!(
                                    "the field at column {column} has no closing brace (write {{{{ \
                                     for the character {{)"
                                ));
                            }
                        }
                    }
                    parts.push(Part::Text(std::mem::take(&mut text)));
                    parts.push(Part::Field(Field::parse(&name, column)?));
                }
                '}' => {
                    return Err(format!(
                        "the brace at column {column} closes no field (write }}}} for the \
                         character }})"
                    ));
                }
                '\n' | '\r' => {
                    return Err(format!(
                        "there is a line break at column {column}: an event is one line"
                    ));
                }
                _ => text.push(c),
            }
        }
        parts.push(Part::Text(text));
        Ok(Self { parts })
    }

    /// Returns the line for an event.
    pub(super) fn line(&self, event: &Event) -> String {
        let mut line = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => line += text,
                Part::Field(field) => line += &field.of(event).unwrap_or_else(|| MISSING.into()),
            }
        }
        line
    }
}

impl Field {
    fn parse(name: &str, column: u32) -> Result<Self, String> {
        Ok(match name {
            "" => return Err(format!("the field at column {column} has no name")),
            "user" => Self::User,
            "item" => Self::Item,
            "item_id" => Self::ItemId,
            "item_type" => Self::ItemType,
            _ => {
                let names: Vec<String> = name.split('.').map(str::to_owned).collect();
                if names.iter().any(String::is_empty) {
                    return Err(format!(
                        "the field {{{name}}} at column {column} has a dot without a name before or \
                         after it"
                    ));
                }
                Self::Path(names)
            }
        })
    }

    /// Returns the text of the field, if the event has it.
    fn of(&self, event: &Event) -> Option<String> {
        let text = match self {
            Self::User => event.created_by().and_then(name)?,
            Self::Item => event.source_name().or_else(|| event.source_id())?,
            Self::ItemId => event.source_id()?,
            Self::ItemType => event.source_type()?,
            Self::Path(names) => {
                let mut value = event.raw();
                for name in names {
                    value = member(value, name)?;
                }
                return shown(value);
            }
        };
        Some(escaped(&text))
    }
}

/// Returns the name of a user.
fn name(user: User) -> Option<String> {
    user.name.or(user.login).or(user.id)
}

/// Returns a member of an object, or an element of an array. If a name occurs more than once, the
/// last one counts.
fn member<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let value = if json.trim_start().starts_with('[') {
        let elements: Vec<&RawValue> = serde_json::from_str(json).ok()?;
        *elements.get(name.parse::<usize>().ok()?)?
    } else {
        let members: HashMap<String, &RawValue> = serde_json::from_str(json).ok()?;
        members.get(name).copied()?
    };
    Some(value.get())
}

/// Returns a value as text: a string without its quotes, and anything else as JSON. `null` counts
/// as missing.
fn shown(json: &str) -> Option<String> {
    match serde_json::from_str::<String>(json) {
        Ok(text) => Some(escaped(&text)),
        Err(_) if json == "null" => None,
        Err(_) => Some(escaped_json(json)),
    }
}
