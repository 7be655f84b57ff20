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
    delivered: u64,
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

/// What was handed out at once.
struct Entry {
    resume_at: StartAt,
    ids: Vec<u128>,
    caught_up_at: Option<SystemTime>,
    kind: Kind,
}

#[derive(PartialEq)]
enum Kind {
    /// The batch of that number, not acknowledged. It holds back what comes after it.
    Batch(u64),
    Acknowledged,
    /// A position without events.
    Moved,
}

impl AckQueue {
    /// `window` is what the engine begins with.
    pub(super) fn new(start: Watermark, window: Window) -> Self {
        Self {
            end: start,
            window,
            after: VecDeque::new(),
            delivered: 0,
            dropped: None,
        }
    }

    pub(super) fn end(&self) -> &Watermark {
        &self.end
    }

    pub(super) fn window(&self) -> &Window {
        &self.window
    }

    /// How many batches were delivered.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// The first batch that was dropped.
    pub(super) fn dropped(&self) -> Option<u64> {
        self.dropped
    }

    /// Takes down a batch that is about to be delivered, and gives its number.
    pub(super) fn deliver(&mut self, batch: &Batch, now: SystemTime) -> u64 {
        // The first checkpoint is dated from the start of the subscription.
        self.end.caught_up_at.get_or_insert(now);
        self.delivered += 1;
        let ids = batch.iter().filter_map(Event::id);
        let ids = ids.map(|id| self.window.hash(id)).collect();
        self.after.push_back(Entry {
            resume_at: batch.resume_at(),
            ids,
            caught_up_at: None,
            kind: Kind::Batch(self.delivered),
        });
        self.delivered
    }

    /// Takes down where the engine is, with all that was delivered behind it, and when it had caught up.
    pub(super) fn advance(&mut self, resume_at: &StartAt, caught_up_at: Option<SystemTime>) {
        let last = match self.after.back_mut() {
            Some(last) => {
                let here = last.kind == Kind::Moved || last.resume_at == *resume_at;
                here.then_some((&mut last.resume_at, &mut last.caught_up_at))
            }
            None => Some((&mut self.end.resume_at, &mut self.end.caught_up_at)),
        };
        if let Some((last_resume_at, last_caught_up_at)) = last {
            last_resume_at.clone_from(resume_at);
            *last_caught_up_at = caught_up_at.or(*last_caught_up_at);
        } else {
            self.after.push_back(Entry {
                resume_at: resume_at.clone(),
                ids: Vec::new(),
                caught_up_at,
                kind: Kind::Moved,
            });
        }
    }

    /// Returns the end of a batch. `None` if a batch before it is not acknowledged.
    pub(super) fn end_of(&self, number: u64) -> Option<Watermark> {
        let entry = self.after.front()?;
        (entry.kind == Kind::Batch(number)).then(|| Watermark {
            resume_at: entry.resume_at.clone(),
            batches: self.end.batches + 1,
            caught_up_at: entry.caught_up_at.or(self.end.caught_up_at),
        })
    }

    /// Returns the ids up to the end of the first batch that is not acknowledged.
    pub(super) fn window_of_first(&self) -> Window {
        let mut window = self.window.clone();
        if let Some(entry) = self.after.front() {
            window.hold_at_least(entry.ids.len());
            for hash in &entry.ids {
                window.insert_hash(*hash);
            }
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
        if let Some(entry) = after.find(|entry| entry.kind == Kind::Batch(number)) {
            entry.kind = Kind::Acknowledged;
        }
        while self.after.front().is_some_and(Entry::is_settled)
            && let Some(entry) = self.after.pop_front()
        {
            self.window.hold_at_least(entry.ids.len());
            for hash in entry.ids {
                self.window.insert_hash(hash);
            }
            self.end.resume_at = entry.resume_at;
            self.end.batches += u64::from(entry.kind == Kind::Acknowledged);
            self.end.caught_up_at = entry.caught_up_at.or(self.end.caught_up_at);
        }
    }

    /// Records that nobody will acknowledge the batch.
    pub(super) fn abandon(&mut self, number: u64) {
        self.dropped = Some(self.dropped.map_or(number, |other| other.min(number)));
    }
}

impl Entry {
    fn is_settled(&self) -> bool {
        match self.kind {
            Kind::Batch(_) => false,
            Kind::Acknowledged | Kind::Moved => true,
        }
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
