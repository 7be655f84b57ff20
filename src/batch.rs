//! A page of events, without the repeats.

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

    /// The events.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// How many events there are; at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// The events, one after the other.
    pub fn iter(&self) -> std::slice::Iter<'_, Event> {
        self.events.iter()
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
