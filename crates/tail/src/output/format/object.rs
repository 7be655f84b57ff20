//! [`Object`]: a JSON object whose members keep the order in which they were set.
//!
//! The schemas for logs have many optional members, so an object is built member by member.

use std::collections::BTreeSet;

use box_longpoll::event::RawJson;
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// A JSON object that is being built.
#[derive(Default)]
pub(super) struct Object {
    members: Vec<(&'static str, Box<RawValue>)>,
}

impl Object {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Adds a member.
    pub(super) fn set(&mut self, name: &'static str, value: impl Serialize) {
        let value = to_raw_value(&value).expect("texts, numbers and objects are valid JSON");
        self.members.push((name, value));
    }

    /// Adds a member if there is a value.
    pub(super) fn set_some(&mut self, name: &'static str, value: Option<impl Serialize>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// Adds an object if it has members.
    pub(super) fn set_object(&mut self, name: &'static str, object: Object) {
        if !object.members.is_empty() {
            self.set(name, object);
        }
    }

    /// Adds a list of texts if there are any.
    pub(super) fn set_texts(&mut self, name: &'static str, texts: BTreeSet<&str>) {
        if !texts.is_empty() {
            self.set(name, texts);
        }
    }

    /// Adds a part of an event, as Box sent it.
    pub(super) fn set_raw(&mut self, name: &'static str, json: Option<&RawJson>) {
        let json = json.map(RawJson::as_str).map(serde_json::from_str);
        self.set_some(name, json.and_then(Result::<&RawValue, _>::ok));
    }

    /// Returns the object on one line.
    pub(super) fn line(&self) -> String {
        let json = to_raw_value(self).expect("the members are valid JSON");
        super::on_one_line(json.get())
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.members.len()))?;
        for (name, value) in &self.members {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
