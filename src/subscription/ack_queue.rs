//! The queue of delivered batches, and the watermark up to which they are acknowledged.
//!
//! Batches may be acknowledged in any order, but a checkpoint can only stand before the first batch
//! that is not. [`AckQueue`] therefore keeps the entries behind that batch, and moves its
//! [`Watermark`] over them once it is acknowledged. It has no store and no lock; the
//! [`Ledger`](super::ledger::Ledger) has both.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use crate::batch::Batch;
use crate::dedup::Window;
use crate::event::Event;
use crate::position::StartAt;

/// The interval at which `caught_up_at` alone is saved while nothing happens. One save an hour is
/// enough, because the time is only compared with the weeks that Box keeps events.
const TIME_SAVED_EVERY: Duration = Duration::from_secs(60 * 60);

/// The batches that were delivered, and the watermark of those that are acknowledged without a
/// hole.
pub(super) struct AckQueue {
    /// The end of what is acknowledged.
    end: Watermark,
    /// The window of ids up to the end.
    window: Window,
    /// The entries behind the end, in order. The first of them is a batch that is not acknowledged.
    after: VecDeque<Entry>,
    /// The first batch that was dropped without an acknowledgement.
    dropped: Option<u64>,
}

/// A point between two deliveries.
#[derive(Clone)]
pub(super) struct Watermark {
    /// The position from which a subscription resumes here.
    pub(super) resume_at: StartAt,
    /// The number of batches before it.
    pub(super) batches: u64,
    /// The time at which the subscription had last caught up. `None`: not since the start.
    pub(super) caught_up_at: Option<SystemTime>,
    /// The time up to which every event lies before it. `None`: not proven since the start.
    pub(super) complete_until: Option<SystemTime>,
}

/// A batch, or a position without events, which is acknowledged from the start. An entry holds back
/// those behind it until it is acknowledged.
struct Entry {
    end: Watermark,
    ids: Vec<u128>,
    is_acknowledged: bool,
}

impl AckQueue {
    /// Creates an empty queue. `window` is the one that the engine starts with.
    pub(super) fn new(start: Watermark, window: Window) -> Self {
        Self {
            end: start,
            window,
            after: VecDeque::new(),
            dropped: None,
        }
    }

    pub(super) fn end(&self) -> &Watermark {
        &self.end
    }

    pub(super) fn window(&self) -> &Window {
        &self.window
    }

    /// Returns the end of what was delivered.
    fn last(&self) -> &Watermark {
        self.after.back().map_or(&self.end, |entry| &entry.end)
    }

    /// Returns the number of batches that were delivered.
    pub(super) fn delivered(&self) -> u64 {
        self.last().batches
    }

    /// Returns the number of the first batch that was dropped without an acknowledgement.
    pub(super) fn dropped(&self) -> Option<u64> {
        self.dropped
    }

    /// Adds a batch that is about to be delivered, and returns its number.
    pub(super) fn deliver(&mut self, batch: &Batch, now: SystemTime) -> u64 {
        // Until the subscription has caught up, a checkpoint has the time of its start.
        self.end.caught_up_at.get_or_insert(now);
        let end = Watermark {
            resume_at: batch.resume_at(),
            batches: self.delivered() + 1,
            caught_up_at: self.last().caught_up_at,
            complete_until: self.last().complete_until,
        };
        let number = end.batches;
        let ids = batch.iter().filter_map(Event::id);
        self.after.push_back(Entry {
            end,
            ids: ids.map(|id| self.window.hash(id)).collect(),
            is_acknowledged: false,
        });
        number
    }

    /// Records the position of the engine, which is behind everything delivered, the time at which
    /// it had last caught up, and the time up to which it is complete.
    pub(super) fn advance(
        &mut self,
        resume_at: &StartAt,
        caught_up_at: Option<SystemTime>,
        complete_until: Option<SystemTime>,
    ) {
        let end = Watermark {
            resume_at: resume_at.clone(),
            batches: self.delivered(),
            caught_up_at: caught_up_at.or(self.last().caught_up_at),
            complete_until,
        };
        match self.after.back_mut() {
            None => self.end = end,
            Some(last) if last.is_acknowledged || last.end.resume_at == end.resume_at => {
                last.end = end;
            }
            Some(_) => self.after.push_back(Entry {
                end,
                ids: Vec::new(),
                is_acknowledged: true,
            }),
        }
    }

    /// Returns the end of a batch. Returns `None` if a batch before it is not acknowledged.
    pub(super) fn end_of(&self, number: u64) -> Option<Watermark> {
        let first = self.after.front()?;
        (first.end.batches == number).then(|| first.end.clone())
    }

    /// Returns the window of ids up to the end of the first batch that is not acknowledged.
    pub(super) fn window_of_first(&self) -> Window {
        let mut window = self.window.clone();
        if let Some(entry) = self.after.front() {
            window.insert_page(&entry.ids);
        }
        window
    }

    /// Returns `true` if no delivered batch waits for an acknowledgement.
    pub(super) fn is_settled(&self) -> bool {
        self.after.is_empty()
    }

    /// Acknowledges a batch, and moves the end over all entries that are acknowledged without a
    /// hole.
    pub(super) fn acknowledge(&mut self, number: u64) {
        let mut after = self.after.iter_mut();
        if let Some(batch) = after.find(|entry| entry.end.batches == number) {
            batch.is_acknowledged = true;
        }
        while self
            .after
            .front()
            .is_some_and(|first| first.is_acknowledged)
            && let Some(entry) = self.after.pop_front()
        {
            self.window.insert_page(&entry.ids);
            self.end = entry.end;
        }
    }

    /// Records that the batch was dropped, so nobody can acknowledge it.
    pub(super) fn abandon(&mut self, number: u64) {
        self.dropped = Some(self.dropped.map_or(number, |other| other.min(number)));
    }
}

impl Watermark {
    /// Returns `true` if this watermark should be saved over the stored one.
    pub(super) fn is_worth_saving_over(&self, stored: &Watermark) -> bool {
        let moved = (&self.resume_at, self.batches) != (&stored.resume_at, stored.batches);
        let at_another_time = match (self.caught_up_at, stored.caught_up_at) {
            (Some(now), Some(stored)) => {
                // An earlier time counts too: a stored time in the future would hide a gap until
                // then.
                let apart = now.duration_since(stored);
                apart.unwrap_or_else(|error| error.duration()) >= TIME_SAVED_EVERY
            }
            (now, stored) => now != stored,
        };
        moved || at_another_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(position: u32) -> StartAt {
        position.to_string().parse().unwrap()
    }

    #[test]
    fn pages_without_events_take_no_room_behind_a_batch() {
        let start = Watermark {
            resume_at: StartAt::Oldest,
            batches: 0,
            caught_up_at: None,
            complete_until: None,
        };
        let window = Window::new(10, &mut fastrand::Rng::with_seed(1));
        let mut queue = AckQueue::new(start, window);
        let batch = Batch::new(Vec::new(), at(1));
        let number = queue.deliver(&batch, SystemTime::UNIX_EPOCH);
        for position in 1..1_000 {
            queue.advance(&at(position), None, None);
        }
        assert!(queue.after.len() <= 2);
        queue.acknowledge(number);
        assert_eq!(queue.end().resume_at, at(999));
    }
}
