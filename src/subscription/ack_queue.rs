//! The queue of delivered batches, and the watermark up to which they are acknowledged.
//!
//! Batches may be acknowledged in any order, but a checkpoint can only stand before the first batch
//! that is not. [`AckQueue`] therefore keeps the entries after that batch, and moves its
//! [`Watermark`] over them once it is acknowledged. It also collects the ids of a history, until
//! they are stored. It has no store and no lock; the [`Ledger`](super::ledger::Ledger) has both.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use crate::batch::Batch;
use crate::checkpoint::{NewIds, Since};
use crate::dedup::{HASH_BYTES, Window, hash_bytes};
use crate::event::Event;
use crate::position::{SlicePoint, StartAt};
use crate::stream::Reached;

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
    /// The ids of the history up to the end that are not stored yet.
    tail: Tail,
    /// The entries after the end, in order. The first of them is a batch that is not acknowledged.
    after: VecDeque<Entry>,
    /// The first batch that was dropped without an acknowledgement.
    dropped: Option<u64>,
}

/// A point between two deliveries.
#[derive(Clone)]
pub(super) struct Watermark {
    /// The position from which a subscription resumes here.
    pub(super) resume_at: StartAt,
    /// The position within a slice of the history.
    pub(super) slice: Option<SlicePoint>,
    /// The number of batches before it.
    pub(super) batches: u64,
    /// The time at which the subscription had last caught up. `None` if it has not since the start.
    pub(super) caught_up_at: Option<SystemTime>,
    /// The time up to which every event lies before it. `None` if none is proven since the start.
    pub(super) complete_until: Option<SystemTime>,
    /// The state of a stream that began with the history.
    pub(super) since: Option<Since>,
    /// The ids of the history before it.
    ids: Ids,
}

/// A range of a history's ids, by their numbers in the order of delivery.
///
/// The numbers only grow. Once the ids are forgotten, the range is empty, and the next one begins
/// at its end. So the ids of a write that ends late are not taken for those that came after.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Ids {
    from: u64,
    to: u64,
}

/// The hashes of the latest ids, from the one with the number `first`.
#[derive(Clone)]
struct Tail {
    first: u64,
    bytes: Vec<u8>,
}

/// A batch, or a position without events, which is acknowledged from the start. An entry holds back
/// those after it until it is acknowledged.
struct Entry {
    end: Watermark,
    ids: Vec<u128>,
    /// `true` if the ids belong to the history.
    collects_ids: bool,
    is_acknowledged: bool,
}

impl AckQueue {
    /// Creates an empty queue. `window` is the one that the engine starts with.
    pub(super) fn new(start: Watermark, window: Window) -> Self {
        let tail = Tail {
            first: start.ids.to,
            bytes: Vec::new(),
        };
        Self {
            end: start,
            window,
            tail,
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
        let ids = batch.iter().filter_map(Event::id);
        let ids: Vec<u128> = ids.map(|id| self.window.hash(id)).collect();
        let last = self.last();
        let collects_ids = last.since.is_some_and(Since::collects_ids);
        let mut end = Watermark {
            resume_at: batch.resume_at(),
            slice: batch.slice().cloned(),
            batches: last.batches + 1,
            ..last.clone()
        };
        if collects_ids {
            end.ids.to += ids.len() as u64;
        }
        let number = end.batches;
        self.after.push_back(Entry {
            end,
            ids,
            collects_ids,
            is_acknowledged: false,
        });
        number
    }

    /// Records the end of all that the engine has handled: its position, which comes after
    /// everything delivered, the time at which it had last caught up, and its history.
    pub(super) fn advance(&mut self, reached: Reached) {
        let last = self.last();
        let caught_up_at = reached.caught_up_at.or(last.caught_up_at);
        let since = reached.since;
        let keeps_ids = since.is_some_and(|since| !since.has_forgotten(caught_up_at));
        let end = Watermark {
            resume_at: reached.resume_at,
            slice: reached.slice,
            batches: last.batches,
            caught_up_at,
            complete_until: reached.complete_until,
            since,
            ids: Ids {
                from: if keeps_ids {
                    last.ids.from
                } else {
                    last.ids.to
                },
                to: last.ids.to,
            },
        };
        match self.after.back_mut() {
            None => {
                self.end = end;
                self.tail.cut_before(self.end.ids.from);
            }
            Some(last) if last.is_acknowledged || last.end.resume_at == end.resume_at => {
                last.end = end;
            }
            Some(_) => self.after.push_back(Entry {
                end,
                ids: Vec::new(),
                collects_ids: false,
                is_acknowledged: true,
            }),
        }
    }

    /// Returns the end of a batch. Returns `None` if a batch before it is not acknowledged.
    pub(super) fn end_of(&self, number: u64) -> Option<Watermark> {
        let first = self.after.front()?;
        (first.end.batches == number).then(|| first.end.clone())
    }

    /// Returns the window of ids up to the end of the first batch that is not acknowledged, and the
    /// ids of the history up to there that are not stored yet.
    pub(super) fn ids_of_first(&self) -> (Window, NewIds) {
        let Some(entry) = self.after.front() else {
            return (self.window.clone(), self.new_ids());
        };
        let (mut window, mut tail) = (self.window.clone(), self.tail.clone());
        window.insert_page(&entry.ids);
        tail.take(entry);
        (window, tail.after(entry.end.ids.from))
    }

    /// Returns the ids of the history up to the end that are not stored yet.
    pub(super) fn new_ids(&self) -> NewIds {
        self.tail.clone().after(self.end.ids.from)
    }

    /// Records that a checkpoint with this watermark is stored, so its ids are too.
    pub(super) fn stored(&mut self, end: &Watermark) {
        self.tail.cut_before(end.ids.to);
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
            self.tail.take(&entry);
            self.end = entry.end;
        }
    }

    /// Records that the batch was dropped, so nobody can acknowledge it.
    pub(super) fn abandon(&mut self, number: u64) {
        self.dropped = Some(self.dropped.map_or(number, |other| other.min(number)));
    }
}

impl Tail {
    /// Adds the ids of the next entry, or drops all if the ids are forgotten at its end.
    fn take(&mut self, entry: &Entry) {
        if entry.collects_ids {
            let bytes = entry.ids.iter().copied().flat_map(hash_bytes);
            self.bytes.extend(bytes);
        }
        self.cut_before(entry.end.ids.from);
    }

    /// Drops the ids before the one with this number.
    fn cut_before(&mut self, number: u64) {
        let count = number.saturating_sub(self.first);
        let bytes = usize::try_from(count).unwrap_or(usize::MAX);
        let bytes = bytes.saturating_mul(HASH_BYTES).min(self.bytes.len());
        self.bytes.drain(..bytes);
        self.first = self.first.max(number);
    }

    /// Returns the ids for a checkpoint whose first id has the number `from`.
    fn after(self, from: u64) -> NewIds {
        NewIds::new(self.first - from, self.bytes)
    }
}

impl Watermark {
    /// Returns the watermark at the start of a subscription.
    pub(super) fn at_start(reached: Reached) -> Self {
        Self {
            resume_at: reached.resume_at,
            slice: reached.slice,
            batches: 0,
            caught_up_at: reached.caught_up_at,
            complete_until: reached.complete_until,
            since: reached.since,
            ids: Ids::default(),
        }
    }

    /// Returns the watermark with the number of ids that are stored before it.
    pub(super) fn with_stored_ids(mut self, count: u64) -> Self {
        self.ids.to = count;
        self
    }

    /// Returns `true` if this watermark should be saved over the stored one.
    pub(super) fn is_worth_saving_over(&self, stored: &Watermark) -> bool {
        let moved = self.point() != stored.point();
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

    /// Returns everything but the time.
    fn point(&self) -> (&StartAt, Option<&SlicePoint>, u64, Option<Since>, Ids) {
        let slice = self.slice.as_ref();
        (&self.resume_at, slice, self.batches, self.since, self.ids)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn at(position: u32) -> StartAt {
        position.to_string().parse().unwrap()
    }

    fn reached(resume_at: StartAt, since: Option<Since>) -> Reached {
        Reached {
            resume_at,
            slice: None,
            caught_up_at: None,
            complete_until: None,
            since,
        }
    }

    fn queue_at(start: Watermark) -> AckQueue {
        AckQueue::new(start, Window::new(10, &mut fastrand::Rng::with_seed(1)))
    }

    #[test]
    fn pages_without_events_take_no_room_behind_a_batch() {
        let mut queue = queue_at(Watermark::at_start(reached(StartAt::Oldest, None)));
        let batch = Batch::new(Vec::new(), at(1));
        let number = queue.deliver(&batch, SystemTime::UNIX_EPOCH);
        for position in 1..1_000 {
            queue.advance(reached(at(position), None));
        }
        assert!(queue.after.len() <= 2);
        queue.acknowledge(number);
        assert_eq!(queue.end().resume_at, at(999));
    }

    fn second(second: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second.into())
    }

    /// Returns the state of a stream that began with the history.
    fn since(forget_ids_at: Option<i64>) -> Since {
        Since {
            from: Timestamp::UNIX_EPOCH,
            forget_ids_at: forget_ids_at.map(|at| Timestamp::from_second(at).unwrap()),
            history_began_at: None,
        }
    }

    /// A queue of a stream that collects ids, whose batches have consecutive events.
    struct History {
        queue: AckQueue,
        events: u32,
    }

    impl History {
        fn new(stored: u64) -> Self {
            let start = Watermark::at_start(reached(StartAt::Oldest, Some(since(None))));
            Self {
                queue: queue_at(start.with_stored_ids(stored)),
                events: 0,
            }
        }

        /// Delivers a batch of the next events, and returns its number.
        fn deliver(&mut self, count: u32) -> u64 {
            let ids = self.events..self.events + count;
            self.events = ids.end;
            let event = |id| serde_json::from_str(&format!(r#"{{"event_id":"{id}"}}"#)).unwrap();
            let batch = Batch::new(ids.map(event).collect(), at(self.events));
            self.queue.deliver(&batch, second(0))
        }

        /// Moves past everything delivered.
        fn advance(&mut self, since: Option<Since>, caught_up_at: Option<SystemTime>) {
            let end = self.queue.last().resume_at.clone();
            self.queue.advance(Reached {
                caught_up_at,
                ..reached(end, since)
            });
        }

        /// Returns the new ids of a checkpoint after the ids with these numbers, where `after` ids
        /// come before them.
        fn ids(&self, after: u64, numbers: std::ops::Range<u32>) -> NewIds {
            let hashes = numbers.map(|id| self.queue.window.hash(&id.to_string()));
            NewIds::new(after, hashes.flat_map(hash_bytes).collect())
        }
    }

    #[test]
    fn ids_are_new_until_a_checkpoint_with_them_is_stored() {
        let mut history = History::new(7);
        assert_eq!(history.queue.new_ids(), history.ids(7, 0..0));
        let (first, second) = (history.deliver(3), history.deliver(2));
        assert_eq!(history.queue.new_ids(), history.ids(7, 0..0));

        // A batch that waits for another brings nothing yet.
        history.queue.acknowledge(second);
        assert_eq!(history.queue.new_ids(), history.ids(7, 0..0));
        history.queue.acknowledge(first);
        assert_eq!(history.queue.new_ids(), history.ids(7, 0..5));

        // A write of these is in flight while another batch is acknowledged.
        let written = history.queue.end().clone();
        let third = history.deliver(1);
        history.queue.acknowledge(third);
        assert_eq!(history.queue.new_ids(), history.ids(7, 0..6));
        history.queue.stored(&written);
        assert_eq!(history.queue.new_ids(), history.ids(12, 5..6));
        history.queue.stored(&written);
        assert_eq!(history.queue.new_ids(), history.ids(12, 5..6));
        let end = history.queue.end().clone();
        history.queue.stored(&end);
        assert_eq!(history.queue.new_ids(), history.ids(13, 0..0));
    }

    #[test]
    fn checkpoint_after_the_first_batch_has_its_ids_alone() {
        let mut history = History::new(0);
        let (first, _) = (history.deliver(3), history.deliver(2));
        let (window, ids) = history.queue.ids_of_first();
        assert_eq!((window.latest(9).len(), ids), (3, history.ids(0, 0..3)));
        let end = history.queue.end_of(first).unwrap();
        history.queue.acknowledge(first);
        history.queue.stored(&end);
        assert_eq!(history.queue.ids_of_first().1, history.ids(3, 3..5));
        assert_eq!(history.queue.new_ids(), history.ids(3, 0..0));
    }

    #[test]
    fn ids_delivered_after_catching_up_are_not_collected() {
        let mut history = History::new(0);
        let before = history.deliver(2);
        // The batch that catches up was delivered while ids were collected.
        history.advance(Some(since(Some(100))), Some(second(50)));
        let after = history.deliver(1);
        history.queue.acknowledge(after);
        history.queue.acknowledge(before);
        assert_eq!(history.queue.new_ids(), history.ids(0, 0..2));
        history.advance(Some(since(Some(100))), Some(second(99)));
        assert_eq!(history.queue.new_ids(), history.ids(0, 0..2));
    }

    #[test]
    fn forgotten_ids_are_counted_no_more() {
        let mut history = History::new(40);
        let number = history.deliver(2);
        history.advance(Some(since(Some(100))), Some(second(50)));
        history.queue.acknowledge(number);
        let in_flight = history.queue.end().clone();
        assert_eq!(history.queue.new_ids(), history.ids(40, 0..2));
        history.advance(Some(since(Some(100))), Some(second(100)));
        assert_eq!(history.queue.new_ids(), history.ids(0, 0..0));
        assert!(history.queue.end().is_worth_saving_over(&in_flight));

        // A write from before ends after the next ids have come.
        history.advance(Some(since(None)), Some(second(100)));
        let number = history.deliver(3);
        history.queue.acknowledge(number);
        history.queue.stored(&in_flight);
        assert_eq!(history.queue.new_ids(), history.ids(0, 2..5));
    }

    #[test]
    fn ids_are_forgotten_behind_a_batch_that_is_not_acknowledged() {
        let mut history = History::new(40);
        let first = history.deliver(2);
        history.advance(Some(since(Some(100))), Some(second(50)));
        let second_number = history.deliver(1);
        history.advance(Some(since(Some(100))), Some(second(100)));
        let (_, ids) = history.queue.ids_of_first();
        assert_eq!(ids, history.ids(40, 0..2));
        history.queue.acknowledge(first);
        let (_, ids) = history.queue.ids_of_first();
        assert_eq!(ids, history.ids(0, 0..0));
        assert_eq!(history.queue.new_ids(), history.ids(40, 0..2));
        history.queue.acknowledge(second_number);
        assert_eq!(history.queue.new_ids(), history.ids(0, 0..0));
    }

    #[test]
    fn change_of_the_history_alone_is_worth_saving() {
        let mut history = History::new(0);
        history.advance(Some(since(None)), Some(second(10)));
        let stored = history.queue.end().clone();
        history.advance(Some(since(None)), Some(second(11)));
        assert!(!history.queue.end().is_worth_saving_over(&stored));
        history.advance(Some(since(Some(100))), Some(second(12)));
        assert!(history.queue.end().is_worth_saving_over(&stored));
    }

    #[test]
    fn stream_without_a_history_collects_no_ids() {
        let mut history = History::new(0);
        history.advance(None, Some(second(10)));
        let number = history.deliver(3);
        assert_eq!(history.queue.ids_of_first().1, history.ids(0, 0..0));
        history.queue.acknowledge(number);
        assert_eq!(history.queue.new_ids(), history.ids(0, 0..0));
    }
}
