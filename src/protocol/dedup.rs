//! Which events were handed out already.

use std::collections::{HashSet, VecDeque};

use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

/// The ids of the latest events, oldest out first, never cleared.
///
/// Ids are kept as keyed 128-bit hashes: at that width no two of a window collide by chance, and without the key nobody
/// can make them.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    capacity: usize,
    key: (u64, u64),
    known: HashSet<u128>,
    in_order: VecDeque<u128>,
}

impl Window {
    pub(crate) fn new(capacity: usize, rng: &mut fastrand::Rng) -> Self {
        Self {
            capacity,
            key: (rng.u64(..), rng.u64(..)),
            known: HashSet::new(),
            in_order: VecDeque::new(),
        }
    }

    /// A window as it was when its ids were taken, of which the latest are kept.
    pub(crate) fn restored(capacity: usize, key: (u64, u64), hashes: &[u128]) -> Self {
        let mut window = Self {
            capacity,
            key,
            known: HashSet::new(),
            in_order: VecDeque::new(),
        };
        for hash in hashes {
            window.insert_hash(*hash);
        }
        window
    }

    pub(crate) fn key(&self) -> (u64, u64) {
        self.key
    }

    /// The latest ids' hashes, so many at most, oldest first.
    pub(crate) fn latest(&self, at_most: usize) -> Vec<u128> {
        let left_out = self.in_order.len().saturating_sub(at_most);
        self.in_order.iter().skip(left_out).copied().collect()
    }

    /// Makes room for a page of so many events, so that no page pushes its own beginning out.
    pub(crate) fn hold_at_least(&mut self, events: usize) {
        self.capacity = self.capacity.max(events);
    }

    /// Remembers `id`, and says whether it is seen for the first time, as far as the window reaches.
    pub(crate) fn insert(&mut self, id: &str) -> bool {
        self.insert_hash(self.hash(id))
    }

    pub(crate) fn hash(&self, id: &str) -> u128 {
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        hasher.write(id.as_bytes());
        hasher.finish128().as_u128()
    }

    pub(crate) fn insert_hash(&mut self, hash: u128) -> bool {
        if !self.known.insert(hash) {
            return false;
        }
        self.in_order.push_back(hash);
        if self.in_order.len() > self.capacity
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_id_leaves_first_and_only_when_the_window_is_full() {
        let mut window = Window::new(3, &mut fastrand::Rng::with_seed(1));
        for id in ["a", "b", "c"] {
            assert!(window.insert(id));
        }
        assert!(!window.insert("a"), "still inside");
        assert!(window.insert("d"), "pushes a out");
        assert!(!window.insert("b"));
        assert!(window.insert("a"), "outside by now");
        assert_eq!(window.known.len(), 3);
    }

    #[test]
    fn a_restored_window_knows_what_the_one_before_it_knew() {
        let mut window = Window::new(3, &mut fastrand::Rng::with_seed(1));
        for id in ["a", "b", "c"] {
            window.insert(id);
        }
        let mut restored = Window::restored(3, window.key(), &window.latest(2));
        assert!(!restored.insert("b"));
        assert!(!restored.insert("c"));
        assert!(restored.insert("a"), "the oldest was left out");
    }
}
