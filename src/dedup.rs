//! Which events were handed out already.

#[cfg(test)]
mod tests;

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

/// The most that a window can hold.
pub(crate) const MAX_WINDOW: usize = NONE as usize;

/// No place.
const NONE: u16 = u16::MAX;

/// How long a chain may be on average.
const LOAD: usize = 3;

/// The ids of the latest events, oldest out first, never cleared.
///
/// Ids are kept as keyed hashes of 96 bits: at that width no two of a window collide by chance, in a billion events once in
/// 10^16 times, and without the key nobody can make them. With the index an id takes 15 bytes, since a process may hold ten
/// thousand windows.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    capacity: usize,
    key: u128,
    /// In the order of arrival, from `oldest` on and round.
    hashes: Vec<Hash>,
    oldest: usize,
    /// Where the chain of each bucket begins, newest first.
    heads: Vec<u16>,
    /// For each place, the next older one of its chain.
    older: Vec<u16>,
}

/// Twelve bytes; as a number it would be aligned to sixteen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hash([u32; 3]);

impl From<u128> for Hash {
    #[expect(clippy::cast_possible_truncation, reason = "the rest is left out")]
    fn from(hash: u128) -> Self {
        Self([hash as u32, (hash >> 32) as u32, (hash >> 64) as u32])
    }
}

impl From<Hash> for u128 {
    fn from(Hash([low, middle, high]): Hash) -> Self {
        Self::from(low) | Self::from(middle) << 32 | Self::from(high) << 64
    }
}

impl Window {
    pub(crate) fn new(capacity: usize, rng: &mut fastrand::Rng) -> Self {
        Self::restored(capacity, rng.u128(..), &[])
    }

    /// A window as it was when its ids were taken. It has room for all of them, up to [`MAX_WINDOW`].
    pub(crate) fn restored(capacity: usize, key: u128, hashes: &[u128]) -> Self {
        let mut window = Self {
            capacity: capacity.min(MAX_WINDOW),
            key,
            hashes: Vec::new(),
            oldest: 0,
            heads: Vec::new(),
            older: Vec::new(),
        };
        window.insert_page(hashes);
        window
    }

    pub(crate) fn key(&self) -> u128 {
        self.key
    }

    /// The latest ids' hashes, so many at most, oldest first.
    pub(crate) fn latest(&self, at_most: usize) -> Vec<u128> {
        let (newer, older) = self.hashes.split_at(self.oldest);
        let left_out = self.hashes.len().saturating_sub(at_most);
        let oldest_first = older.iter().chain(newer).skip(left_out);
        oldest_first.map(|hash| u128::from(*hash)).collect()
    }

    /// Makes room for a page of so many events, so that no page pushes its own beginning out.
    pub(crate) fn hold_at_least(&mut self, events: usize) {
        let capacity = events.min(MAX_WINDOW);
        if capacity > self.capacity {
            self.hashes.rotate_left(self.oldest);
            self.oldest = 0;
            self.capacity = capacity;
            self.index(self.heads.len());
        }
    }

    /// Remembers the ids of a page, none of which pushes out another.
    pub(crate) fn insert_page(&mut self, hashes: &[u128]) {
        self.hold_at_least(hashes.len());
        for hash in hashes {
            self.insert_hash(*hash);
        }
    }

    /// Remembers `id`, and says whether it is seen for the first time, as far as the window reaches.
    pub(crate) fn insert(&mut self, id: &str) -> bool {
        self.insert_hash(self.hash(id))
    }

    pub(crate) fn hash(&self, id: &str) -> u128 {
        // The key's first half is its upper one.
        let key = self.key.rotate_left(64).to_le_bytes();
        let mut hasher = SipHasher13::new_with_key(&key);
        hasher.write(id.as_bytes());
        hasher.finish128().as_u128()
    }

    pub(crate) fn insert_hash(&mut self, hash: u128) -> bool {
        let hash = Hash::from(hash);
        if self.contains(hash) {
            return false;
        }
        if self.hashes.len() < self.capacity {
            self.make_room();
            self.hashes.push(hash);
            self.older.push(NONE);
            self.link(self.hashes.len() - 1);
        } else {
            self.unlink_oldest();
            self.hashes[self.oldest] = hash;
            self.link(self.oldest);
            self.oldest = (self.oldest + 1) % self.capacity;
        }
        true
    }

    fn contains(&self, hash: Hash) -> bool {
        let Some(mut place) = self.heads.get(self.bucket(hash)).copied() else {
            return false;
        };
        while place != NONE {
            if self.hashes[usize::from(place)] == hash {
                return true;
            }
            place = self.older[usize::from(place)];
        }
        false
    }

    /// The number of buckets is a power of two.
    fn bucket(&self, hash: Hash) -> usize {
        hash.0[0] as usize & self.heads.len().saturating_sub(1)
    }

    /// For one more. Never beyond the capacity, which most windows come to fill.
    fn make_room(&mut self) {
        let held = self.hashes.len();
        if held == self.hashes.capacity() {
            let more = held.max(16).min(self.capacity - held);
            self.hashes.reserve_exact(more);
            self.older.reserve_exact(more);
        }
        if held >= self.heads.len() * LOAD {
            self.index(self.heads.len().max(8) * 2);
        }
    }

    /// Makes the chains anew.
    fn index(&mut self, buckets: usize) {
        self.heads = vec![NONE; buckets];
        for place in 0..self.hashes.len() {
            self.link(place);
        }
    }

    /// Puts a place in front of its chain.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a place is below MAX_WINDOW"
    )]
    fn link(&mut self, place: usize) {
        let bucket = self.bucket(self.hashes[place]);
        self.older[place] = self.heads[bucket];
        self.heads[bucket] = place as u16;
    }

    /// Takes the oldest place off its chain, of which it is the end.
    fn unlink_oldest(&mut self) {
        let bucket = self.bucket(self.hashes[self.oldest]);
        let mut place = usize::from(self.heads[bucket]);
        if place == self.oldest {
            self.heads[bucket] = NONE;
            return;
        }
        loop {
            let older = usize::from(self.older[place]);
            if older == self.oldest {
                self.older[place] = NONE;
                return;
            }
            place = older;
        }
    }
}
