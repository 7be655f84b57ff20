//! A page of events, without the repeats.

use std::ops::Deref;

use crate::event::Event;
use crate::position::StartAt;

/// Events that came together and were not handed out before, in the order of the stream. Never empty.
#[derive(Clone, Debug)]
pub struct Batch {
    events: Vec<Event>,
    end: StartAt,
}

impl Batch {
    pub(crate) fn new(events: Vec<Event>, end: StartAt) -> Self {
        Self { events, end }
    }

    /// The events, taken out.
    #[must_use]
    pub fn into_events(self) -> Vec<Event> {
        self.events
    }

    /// Returns where to resume once all these events are handled.
    ///
    /// Store it with `to_string` and read it back with `parse`.
    #[must_use]
    pub fn resume_at(&self) -> StartAt {
        self.end.clone()
    }
}

/// The events; at least one.
impl Deref for Batch {
    type Target = [Event];

    fn deref(&self) -> &[Event] {
        &self.events
    }
}

impl IntoIterator for Batch {
    type Item = Event;
    type IntoIter = std::vec::IntoIter<Event>;

    fn into_iter(self) -> Self::IntoIter {
        self.events.into_iter()
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = &'a Event;
    type IntoIter = std::slice::Iter<'a, Event>;

    fn into_iter(self) -> Self::IntoIter {
        self.events.iter()
    }
}
