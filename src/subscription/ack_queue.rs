//! Which part of what was delivered is acknowledged, from the beginning on.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use crate::batch::Batch;
use crate::dedup::Window;
use crate::event::Event;
use crate::position::StartAt;

/// While nothing happens the time alone is saved, not with every poll: weeks are what it is compared with.
const TIME_SAVED_EVERY: Duration = Duration::from_secs(60 * 60);

/// What was delivered, and how much of it is acknowledged without a hole.
pub(super) struct AckQueue {
    /// The end of what is acknowledged.
    end: Watermark,
    /// The ids before the end.
    window: Window,
    /// What comes after it, in order. The first of these is a batch that is not acknowledged.
    after: VecDeque<Entry>,
    /// The first batch that was dropped.
    dropped: Option<u64>,
}

/// A place between what was handed out.
#[derive(Clone)]
pub(super) struct Watermark {
    pub(super) resume_at: StartAt,
    /// How many batches lie before it.
    pub(super) batches: u64,
    /// When nothing came after it.
    pub(super) caught_up_at: Option<SystemTime>,
}

/// What was handed out at once: a batch, or a position without events, which is acknowledged from the beginning. It holds back
/// what comes after it until it is acknowledged.
struct Entry {
    end: Watermark,
    ids: Vec<u128>,
    is_acknowledged: bool,
}

impl AckQueue {
    /// `window` is what the engine begins with.
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

    /// The end of what was handed out.
    fn last(&self) -> &Watermark {
        self.after.back().map_or(&self.end, |entry| &entry.end)
    }

    /// How many batches were delivered.
    pub(super) fn delivered(&self) -> u64 {
        self.last().batches
    }

    /// The first batch that was dropped.
    pub(super) fn dropped(&self) -> Option<u64> {
        self.dropped
    }

    /// Takes down a batch that is about to be delivered, and gives its number.
    pub(super) fn deliver(&mut self, batch: &Batch, now: SystemTime) -> u64 {
        // The first checkpoint is dated from the start of the subscription.
        self.end.caught_up_at.get_or_insert(now);
        let end = Watermark {
            resume_at: batch.resume_at(),
            batches: self.delivered() + 1,
            caught_up_at: self.last().caught_up_at,
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

    /// Takes down where the engine is, with all that was delivered behind it, and when it had caught up.
    pub(super) fn advance(&mut self, resume_at: &StartAt, caught_up_at: Option<SystemTime>) {
        let end = Watermark {
            resume_at: resume_at.clone(),
            batches: self.delivered(),
            caught_up_at: caught_up_at.or(self.last().caught_up_at),
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

    /// Returns the end of a batch. `None` if a batch before it is not acknowledged.
    pub(super) fn end_of(&self, number: u64) -> Option<Watermark> {
        let first = self.after.front()?;
        (first.end.batches == number).then(|| first.end.clone())
    }

    /// Returns the ids up to the end of the first batch that is not acknowledged.
    pub(super) fn window_of_first(&self) -> Window {
        let mut window = self.window.clone();
        if let Some(entry) = self.after.front() {
            window.insert_page(&entry.ids);
        }
        window
    }

    /// Returns `true` if nothing that was handed out waits for an acknowledgement.
    pub(super) fn is_settled(&self) -> bool {
        self.after.is_empty()
    }

    /// Moves the end behind the batch, if all before it are acknowledged.
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

    /// Records that nobody will acknowledge the batch.
    pub(super) fn abandon(&mut self, number: u64) {
        self.dropped = Some(self.dropped.map_or(number, |other| other.min(number)));
    }
}

impl Watermark {
    /// Whether it is worth a write, where the other is what the store has.
    pub(super) fn is_news_to(&self, stored: &Watermark) -> bool {
        let moved = (&self.resume_at, self.batches) != (&stored.resume_at, stored.batches);
        let at_another_time = match (self.caught_up_at, stored.caught_up_at) {
            (Some(now), Some(stored)) => {
                // Earlier counts as well: a time that lies ahead would hide a gap until it has come.
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
        };
        let window = Window::new(10, &mut fastrand::Rng::with_seed(1));
        let mut queue = AckQueue::new(start, window);
        let batch = Batch::new(Vec::new(), at(1));
        let number = queue.deliver(&batch, SystemTime::UNIX_EPOCH);
        for position in 1..1_000 {
            queue.advance(&at(position), None);
        }
        assert!(queue.after.len() <= 2);
        queue.acknowledge(number);
        assert_eq!(queue.end().resume_at, at(999));
    }
}
