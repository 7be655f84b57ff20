//! The ids of a program's records, as a set that takes little memory.
//!
//! An audit looks up millions of ids in it, and never changes it.

use super::known_ids::Chunk;
use super::{Hash, Window};

/// Ids as keyed hashes of 96 bits, sorted. An id takes 13 bytes on average.
pub(crate) struct IdSet {
    /// The key of the hashes. The window stays empty.
    key: Window,
    hashes: Chunk,
}

impl IdSet {
    pub(crate) fn new(
        ids: impl IntoIterator<Item = impl AsRef<str>>,
        rng: &mut fastrand::Rng,
    ) -> Self {
        let key = Window::new(0, rng);
        let hashes = ids.into_iter().map(|id| Hash::from(key.hash(id.as_ref())));
        let hashes = Chunk::of(hashes.collect(), 0);
        Self { key, hashes }
    }

    /// Returns `true` if the set holds `id`.
    pub(crate) fn contains(&self, id: &str) -> bool {
        self.hashes.contains(self.key.hash(id).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_holds_the_named_ids_and_no_others() {
        for count in [0, 1, 7, 8, 100_000] {
            let mut rng = fastrand::Rng::with_seed(count);
            let set = IdSet::new((0..count).map(|n| n.to_string()), &mut rng);
            for n in 0..count {
                assert!(set.contains(&n.to_string()), "{n} of {count}");
            }
            for n in count..2 * count + 10 {
                assert!(!set.contains(&n.to_string()), "{n} of {count}");
            }
        }
    }
}
