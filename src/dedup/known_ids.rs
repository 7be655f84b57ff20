//! The ids of millions of events, which remove the repeats of a history.
//!
//! A [`Window`] holds the ids of the latest pages. A stream that reads a year of history gets some
//! of these events again as live events, after millions of others. [`KnownIds`] remembers their ids
//! until then. Above a limit, it forgets the oldest ids, many at once. It does not know when the
//! ids are no longer needed.

use std::collections::VecDeque;
use std::mem;

use super::{HASH_BYTES, Hash, Window};

/// The most ids in the open window. Above that, it becomes a chunk.
const OPEN: usize = 4_096;

/// The average number of ids between two starts in a chunk's directory.
const IDS_PER_START: usize = 8;

/// The keyed hashes of the ids of many events, in the order of arrival.
///
/// The latest are in a small window. The others are in chunks of sorted hashes, and each lookup
/// searches all of them. Chunks of the same size are merged, up to an eighth of the limit, so that
/// there are few. An id takes under 16 bytes: 12 for its hash, and the rest for the index or for
/// the directory.
#[derive(Debug)]
pub(crate) struct KnownIds {
    limit: usize,
    /// The latest ids.
    open: Window,
    /// The other ids, oldest chunk first.
    chunks: VecDeque<Chunk>,
    /// The number of ids in the chunks.
    in_chunks: usize,
    /// The number of ids that were forgotten.
    forgotten: u64,
}

/// Hashes in order, with a directory: a search reads one place of it, and then a few hashes.
#[derive(Debug)]
pub(super) struct Chunk {
    hashes: Box<[Hash]>,
    /// The place of the first hash of each part. The parts divide the hashes by their upper bits.
    starts: Box<[u32]>,
    /// The number of lower bits that the parts ignore.
    shift: u32,
    /// The number of merges that have made the chunk.
    merges: u32,
}

impl KnownIds {
    /// Creates an empty set of at most `limit` ids, or of one if the limit is 0.
    pub(crate) fn new(limit: usize) -> Self {
        let limit = limit.max(1);
        Self {
            limit,
            open: open_window(limit),
            chunks: VecDeque::new(),
            in_chunks: 0,
            forgotten: 0,
        }
    }

    /// Restores the ids from [`HASH_BYTES`] each, oldest first. The latest are kept, up to the
    /// limit.
    pub(crate) fn restored(limit: usize, ids: &[u8]) -> Self {
        let mut known = Self::new(limit);
        let (ids, _) = ids.as_chunks::<HASH_BYTES>();
        let (left_out, kept) = ids.split_at(ids.len().saturating_sub(known.limit));
        known.forgotten = left_out.len() as u64;
        for ids in kept.chunks(largest_chunk(known.limit)) {
            let hashes: Vec<Hash> = ids.iter().map(|id| Hash::from_bytes(*id)).collect();
            known.push(Chunk::of(hashes, u32::MAX));
        }
        known
    }

    /// Forgets all ids.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.limit);
    }

    /// Returns the number of ids.
    pub(crate) fn len(&self) -> usize {
        self.in_chunks + self.open.hashes.len()
    }

    /// Returns the number of ids that were forgotten because of the limit.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Returns `true` if the set holds the id with this hash.
    pub(crate) fn contains(&self, hash: u128) -> bool {
        let hash = Hash::from(hash);
        self.open.contains(hash) || self.chunks.iter().any(|chunk| chunk.contains(hash))
    }

    /// Remembers the id with this hash. Returns `true` if the set does not hold it yet.
    pub(crate) fn insert(&mut self, hash: u128) -> bool {
        if self.contains(hash) {
            return false;
        }
        self.open.insert_hash(hash);
        if self.open.hashes.len() == self.open.capacity {
            let full = mem::replace(&mut self.open, open_window(self.limit));
            self.push(Chunk::of(full.hashes, 0));
            self.merge();
        }
        while self.len() > self.limit
            && let Some(oldest) = self.chunks.pop_front()
        {
            self.in_chunks -= oldest.hashes.len();
            self.forgotten += oldest.hashes.len() as u64;
        }
        true
    }

    fn push(&mut self, chunk: Chunk) {
        self.in_chunks += chunk.hashes.len();
        self.chunks.push_back(chunk);
    }

    /// Merges the latest chunks as long as two have the same size and fit into one.
    fn merge(&mut self) {
        while let [.., before, last] = self.chunks.make_contiguous()
            && before.merges == last.merges
            && before.hashes.len() + last.hashes.len() <= largest_chunk(self.limit)
        {
            let mut hashes = Vec::with_capacity(before.hashes.len() + last.hashes.len());
            hashes.extend_from_slice(&before.hashes);
            hashes.extend_from_slice(&last.hashes);
            let merges = last.merges + 1;
            self.chunks.truncate(self.chunks.len() - 2);
            self.chunks.push_back(Chunk::of(hashes, merges));
        }
    }
}

/// Returns the most ids of a chunk. When the limit is reached, this many are forgotten at once.
fn largest_chunk(limit: usize) -> usize {
    (limit / 8).max(1)
}

/// Returns a window that becomes a chunk when it is full. Doubling its size leads to the largest
/// chunk. It needs no key, because it is given hashes.
fn open_window(limit: usize) -> Window {
    let mut capacity = largest_chunk(limit);
    while capacity > OPEN {
        capacity /= 2;
    }
    Window::restored(capacity, 0, &[])
}

impl Chunk {
    pub(super) fn of(mut hashes: Vec<Hash>, merges: u32) -> Self {
        // This sort merges runs that are in order already.
        hashes.sort();
        let parts = (hashes.len() / IDS_PER_START).next_power_of_two();
        let shift = u32::BITS - parts.ilog2();
        let first_of = |part: usize| {
            let place = hashes.partition_point(|hash| part_of(*hash, shift) < part);
            u32::try_from(place).unwrap_or(u32::MAX)
        };
        Self {
            starts: (0..=parts).map(first_of).collect(),
            hashes: hashes.into(),
            shift,
            merges,
        }
    }

    pub(super) fn contains(&self, hash: Hash) -> bool {
        let part = part_of(hash, self.shift);
        let [start, end] = [part, part + 1].map(|part| self.starts[part] as usize);
        self.hashes[start..end].binary_search(&hash).is_ok()
    }
}

/// Returns the part that a hash belongs to, by the bits above `shift`.
fn part_of(hash: Hash, shift: u32) -> usize {
    hash.0[0].checked_shr(shift).unwrap_or(0) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn hash(rng: &mut fastrand::Rng) -> u128 {
        rng.u128(..) & ((1 << 96) - 1)
    }

    fn bytes(hashes: impl IntoIterator<Item = u128>) -> Vec<u8> {
        let ids = hashes.into_iter();
        ids.flat_map(|hash| Hash::from(hash).to_bytes()).collect()
    }

    #[test]
    fn ids_are_held_like_in_a_plain_set() {
        for seed in 0..4 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut known = KnownIds::new(400_000);
            let mut set = HashSet::new();
            let mut all = Vec::new();
            for n in 0..100_000 {
                let hash = match rng.u32(..4) {
                    0 if n > 0 => all[rng.usize(..all.len())],
                    _ => hash(&mut rng),
                };
                all.push(hash);
                assert_eq!(known.insert(hash), set.insert(hash));
                assert_eq!(known.len(), set.len());
            }
            assert!(all.iter().all(|hash| known.contains(*hash)));
            assert!((0..10_000).all(|_| !known.contains(hash(&mut rng))));
            assert_eq!(known.forgotten(), 0);
        }
    }

    #[test]
    fn hashes_that_differ_in_any_bit_are_distinct_in_a_chunk() {
        let hashes: Vec<u128> = (0..96).map(|bit| 1 << bit).collect();
        let known = KnownIds::restored(10_000, &bytes(hashes.iter().copied()));
        assert_eq!(known.chunks.len(), 1);
        for hash in hashes {
            assert!(known.contains(hash), "{hash:x}");
            assert!(!known.contains(hash | 0b11 << 40 | 0b101), "{hash:x}");
        }
        assert!(!known.contains(0));
    }

    #[test]
    fn oldest_ids_leave_above_the_limit_and_are_counted() {
        for limit in [0, 1, 2, 7, 8, 100, 5_000, 70_000] {
            let mut rng = fastrand::Rng::with_seed(1);
            let mut known = KnownIds::new(limit);
            let count = 3 * limit + 10;
            let hashes: Vec<u128> = (0..count).map(|_| hash(&mut rng)).collect();
            for hash in &hashes {
                assert!(known.insert(*hash));
                assert!(known.len() <= limit.max(1));
                assert!(known.contains(*hash), "the latest stays");
            }
            let left = usize::try_from(known.forgotten()).unwrap();
            assert_eq!(left + known.len(), count);
            assert!(known.len() >= limit - limit.div_ceil(8), "{limit}");
            for (n, hash) in hashes.iter().enumerate() {
                assert_eq!(known.contains(*hash), n >= left);
            }
        }
    }

    #[test]
    fn restored_ids_are_the_latest_and_grow_on() {
        let mut rng = fastrand::Rng::with_seed(1);
        let hashes: Vec<u128> = (0..30_000).map(|_| hash(&mut rng)).collect();
        let mut known = KnownIds::restored(20_000, &bytes(hashes.iter().copied()));
        assert_eq!((known.len(), known.forgotten()), (20_000, 10_000));
        for (n, hash) in hashes.iter().enumerate() {
            assert_eq!(known.contains(*hash), n >= 10_000);
        }
        for _ in 0..10_000 {
            known.insert(hash(&mut rng));
        }
        assert!(!known.contains(hashes[10_000]));
        assert!(known.contains(hashes[29_999]));
        assert!(known.len() >= 17_500);
        let torn = KnownIds::restored(10, &bytes([1, 2])[..23]);
        assert_eq!(torn.len(), 1);
    }

    /// Hashes have a key, but a file of them may hold anything.
    #[test]
    fn hashes_that_are_not_spread_are_found_too() {
        let hashes: Vec<u128> = (0..20_000).map(|n| n << 32).collect();
        let known = KnownIds::restored(1_000_000, &bytes(hashes.iter().copied()));
        assert!(hashes.iter().all(|hash| known.contains(*hash)));
        assert!(!known.contains(1));
    }

    fn bytes_held(known: &KnownIds) -> usize {
        let open = &known.open;
        let indexes = open.heads.capacity() + open.older.capacity();
        let chunks = known.chunks.iter().map(|chunk| {
            size_of_val(&*chunk.hashes) + size_of_val(&*chunk.starts) + size_of::<Chunk>()
        });
        open.hashes.capacity() * size_of::<Hash>() + indexes * 2 + chunks.sum::<usize>()
    }

    #[test]
    fn id_takes_at_most_20_bytes_at_any_size() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut known = KnownIds::new(2_000_000);
        for n in 1..=300_000 {
            known.insert(hash(&mut rng));
            if n >= 8_000 {
                assert!(bytes_held(&known) <= 20 * n, "{n}: {}", bytes_held(&known));
            }
        }
        assert!(bytes_held(&known) <= 16 * 300_000);
    }

    #[test]
    fn few_chunks_are_searched_at_any_size() {
        for limit in [100_000, 131_073, 200_001] {
            let mut rng = fastrand::Rng::with_seed(1);
            let mut known = KnownIds::new(limit);
            for _ in 0..3 * limit {
                known.insert(hash(&mut rng));
                assert!(known.chunks.len() <= 16, "{limit}: {}", known.chunks.len());
            }
        }
    }
}
