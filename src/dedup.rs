//! The window of event ids that removes repeats.
//!
//! Box may send an event more than once, on one page or on several. The window remembers the ids of
//! the latest events as keyed hashes, in a ring buffer with a hash index. [`KnownIds`] remembers
//! those of a history, and [`IdSet`] holds those of a program's records. None of them holds events,
//! or decides about repeats. The type to start from is [`Window`].

mod id_set;
mod known_ids;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

pub(crate) use self::id_set::IdSet;
pub(crate) use self::known_ids::KnownIds;

/// The bytes of an id's hash, where it is stored.
pub(crate) const HASH_BYTES: usize = size_of::<Hash>();

/// The most ids that a window can hold: 65,535.
pub(crate) const MAX_WINDOW: usize = NONE as usize;

/// The index that stands for no place. Indexes have 16 bits to save memory.
const NONE: u16 = u16::MAX;

/// The average length at which the chains are rebuilt with more buckets.
const LOAD: usize = 3;

/// The ids of the latest events. The oldest leaves first, and the window is never cleared.
///
/// Ids are kept as keyed hashes of 96 bits. At that width the chance of a collision in a window is
/// about 10^-16 over a billion events. Without the key nobody can construct a collision. An id
/// takes 15 bytes including the index, because a process may hold 10,000 windows.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// The most ids that the window holds. It grows with the largest page.
    capacity: usize,
    /// The key of the hashes.
    key: u128,
    /// The hashes, as a ring buffer in the order of arrival. The first is at `oldest`.
    hashes: Vec<Hash>,
    /// The place of the oldest hash.
    oldest: usize,
    /// The first place of each bucket's chain, which is the newest.
    heads: Vec<u16>,
    /// The next older place in the chain, for each place.
    older: Vec<u16>,
}

/// A hash of twelve bytes. A `u128` would take sixteen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Hash([u32; 3]);

/// Returns the bytes in which the hash of an id is stored, the lowest first.
pub(crate) fn hash_bytes(hash: u128) -> [u8; HASH_BYTES] {
    Hash::from(hash).to_bytes()
}

impl Hash {
    fn from_bytes(bytes: [u8; HASH_BYTES]) -> Self {
        let mut wide = [0; 16];
        wide[..HASH_BYTES].copy_from_slice(&bytes);
        u128::from_le_bytes(wide).into()
    }

    fn to_bytes(self) -> [u8; HASH_BYTES] {
        let mut bytes = [0; HASH_BYTES];
        bytes.copy_from_slice(&u128::from(self).to_le_bytes()[..HASH_BYTES]);
        bytes
    }
}

impl From<u128> for Hash {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the upper 32 bits are dropped"
    )]
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

    /// Restores a window from its latest ids. It has room for all of them, up to [`MAX_WINDOW`].
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

    /// Returns a window that does not hold these hashes.
    pub(crate) fn without(&self, hashes: &HashSet<u128>) -> Self {
        let dropped: HashSet<[u32; 3]> = hashes.iter().map(|hash| Hash::from(*hash).0).collect();
        let mut kept = self.latest(usize::MAX);
        kept.retain(|hash| !dropped.contains(&Hash::from(*hash).0));
        Self::restored(self.capacity, self.key, &kept)
    }

    /// Returns a seed for random numbers that have nothing to do with the hashes.
    pub(crate) fn seed(&self) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.key.to_le_bytes());
        hasher.write(b"seed");
        hasher.finish()
    }

    pub(crate) fn key(&self) -> u128 {
        self.key
    }

    /// Returns the hashes of the latest ids, at most `at_most`, oldest first.
    pub(crate) fn latest(&self, at_most: usize) -> Vec<u128> {
        let (newer, older) = self.hashes.split_at(self.oldest);
        let left_out = self.hashes.len().saturating_sub(at_most);
        let oldest_first = older.iter().chain(newer).skip(left_out);
        oldest_first.map(|hash| u128::from(*hash)).collect()
    }

    /// Makes room for a page with this many events, so that no page pushes out its own beginning.
    pub(crate) fn hold_at_least(&mut self, events: usize) {
        let capacity = events.min(MAX_WINDOW);
        if capacity > self.capacity {
            self.hashes.rotate_left(self.oldest);
            self.oldest = 0;
            self.capacity = capacity;
            self.index(self.heads.len());
        }
    }

    /// Remembers the ids of a page. None of them pushes out another.
    pub(crate) fn insert_page(&mut self, hashes: &[u128]) {
        self.hold_at_least(hashes.len());
        for hash in hashes {
            self.insert_hash(*hash);
        }
    }

    /// Remembers `id`. Returns `true` if the window does not hold it yet.
    pub(crate) fn insert(&mut self, id: &str) -> bool {
        self.insert_hash(self.hash(id))
    }

    /// Returns the keyed hash of an id.
    pub(crate) fn hash(&self, id: &str) -> u128 {
        // The key's first half is its upper one.
        let key = self.key.rotate_left(64).to_le_bytes();
        let mut hasher = SipHasher13::new_with_key(&key);
        hasher.write(id.as_bytes());
        hasher.finish128().as_u128()
    }

    /// Remembers the id with this hash. Returns `true` if the window does not hold it yet.
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

    /// Returns the bucket of a hash. The number of buckets is a power of two.
    fn bucket(&self, hash: Hash) -> usize {
        hash.0[0] as usize & self.heads.len().saturating_sub(1)
    }

    /// Makes room for one more id. It reserves no more than the capacity, because most windows
    /// become full.
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

    /// Rebuilds the chains.
    fn index(&mut self, buckets: usize) {
        self.heads = vec![NONE; buckets];
        for place in 0..self.hashes.len() {
            self.link(place);
        }
    }

    /// Puts a place at the front of its chain.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a place is below MAX_WINDOW"
    )]
    fn link(&mut self, place: usize) {
        let bucket = self.bucket(self.hashes[place]);
        self.older[place] = self.heads[bucket];
        self.heads[bucket] = place as u16;
    }

    /// Removes the oldest place from the end of its chain.
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
