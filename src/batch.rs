//! The new events of one page.
//!
//! Streams and subscriptions deliver a [`Batch`], so that a program can commit a page at a time. A
//! batch does not acknowledge itself: [`Delivery`](crate::Delivery) does that for subscriptions.

use std::ops::Deref;

use crate::event::Event;
use crate::position::{SlicePoint, StartAt};
use crate::transport::ReceivedBody;

/// The events of one page, without the repeats and without those that do not match the client's
/// [filter](crate::LongPollClient::filtered), in the order of the stream. A batch is never empty.
#[derive(Clone, Debug)]
pub struct Batch {
    events: Vec<Event>,
    end: StartAt,
    /// The end of the batch within a slice of a history.
    slice: Option<SlicePoint>,
    /// The page as it came over the network, if the batch is from a slice of a history.
    page: Option<ReceivedBody>,
}

impl Batch {
    pub(crate) fn new(events: Vec<Event>, end: StartAt) -> Self {
        Self {
            events,
            end,
            slice: None,
            page: None,
        }
    }

    /// Removes the events for which `keep` returns `false`. The batch may then be empty, and must
    /// not be delivered.
    pub(crate) fn retain(mut self, keep: impl FnMut(&Event) -> bool) -> Self {
        self.events.retain(keep);
        self
    }

    /// Attaches the end of the batch within a slice of a history.
    pub(crate) fn with_slice(self, slice: Option<SlicePoint>) -> Self {
        Self { slice, ..self }
    }

    pub(crate) fn slice(&self) -> Option<&SlicePoint> {
        self.slice.as_ref()
    }

    /// Attaches the page from which the batch was read.
    pub(crate) fn with_page(self, page: Option<ReceivedBody>) -> Self {
        Self { page, ..self }
    }

    /// Returns the page from which the batch was read, and drops the batch.
    pub(crate) fn into_page(self) -> Option<ReceivedBody> {
        self.page
    }

    /// Returns the events and drops the rest of the batch.
    #[must_use]
    pub fn into_events(self) -> Vec<Event> {
        self.events
    }

    /// Returns the position to resume from once all these events are handled.
    ///
    /// Store it with `to_string` and read it back with `parse`.
    #[must_use]
    pub fn resume_at(&self) -> StartAt {
        self.end.clone()
    }
}

/// Gives access to the events, of which there is at least one.
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
