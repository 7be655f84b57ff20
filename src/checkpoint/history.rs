//! The part of a checkpoint that a stream with a history needs.
//!
//! [`Since`] says how far the stream goes back, and until when it remembers the ids of its history.
//! There may be millions of these, so a checkpoint holds only their number. Each checkpoint comes
//! with the ids that are new as [`NewIds`], and a store keeps them beside it. [`joined`] puts them
//! together after a restart.

use std::fmt;
use std::time::SystemTime;

use jiff::Timestamp;

use crate::dedup::HASH_BYTES;

/// The most ids that are read after a restart, the latest of them. They take 120 MB.
pub(crate) const MAX_HISTORY_IDS: usize = 10_000_000;

/// The state of a stream that has begun with the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Since {
    /// Events that were created before this time are not wanted.
    pub(crate) from: Timestamp,
    /// The time after which the ids of the history are no longer needed. `None` while the stream
    /// delivers events whose ids it has to remember.
    pub(crate) forget_ids_at: Option<Timestamp>,
    /// The time at which reading the history began. `None` once the stream has reached the present.
    pub(crate) history_began_at: Option<Timestamp>,
}

impl Since {
    /// Returns `true` while the ids of delivered events are collected.
    pub(crate) fn collects_ids(self) -> bool {
        self.forget_ids_at.is_none()
    }

    /// Returns `true` if the ids are not needed by a stream that had last caught up at this time.
    pub(crate) fn has_forgotten(self, caught_up_at: Option<SystemTime>) -> bool {
        let caught_up_at = caught_up_at.and_then(|at| Timestamp::try_from(at).ok());
        let both = self.forget_ids_at.zip(caught_up_at);
        both.is_some_and(|(forget_at, caught_up_at)| caught_up_at >= forget_at)
    }
}

/// The ids to store beside a [`Checkpoint`](super::Checkpoint): see
/// [`Checkpoint::new_ids`](super::Checkpoint::new_ids).
#[derive(Clone, PartialEq, Eq)]
pub struct NewIds {
    after: u64,
    bytes: Vec<u8>,
}

impl NewIds {
    pub(crate) fn new(after: u64, bytes: Vec<u8>) -> Self {
        Self { after, bytes }
    }

    /// Returns the number of ids that came with earlier checkpoints and still count. The new ids
    /// follow them, and replace any ids that are stored after that number.
    #[must_use]
    pub fn after(&self) -> u64 {
        self.after
    }

    /// Returns the ids as hashes of 12 bytes each. They are never empty.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the number of ids up to the end of the new ones.
    pub(super) fn end(&self) -> u64 {
        self.after + (self.bytes.len() / HASH_BYTES) as u64
    }
}

impl fmt::Debug for NewIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewIds")
            .field("after", &self.after)
            .field("end", &self.end())
            .finish_non_exhaustive()
    }
}

/// Joins parts to the first `count` ids. Each part comes with the number of ids before it.
///
/// A save that failed may have stored more than the checkpoint counts. All ids after the count, or
/// after the beginning of a later part, are left out: their events may be unacknowledged, and a
/// subscription that knew the ids would lose the events. Nothing after a missing part is used,
/// because it is not known where its ids end.
pub(super) fn joined(parts: impl IntoIterator<Item = (u64, Vec<u8>)>, count: u64) -> Vec<u8> {
    let mut parts: Vec<_> = parts.into_iter().collect();
    parts.sort_unstable_by_key(|(after, _)| *after);
    let mut ids = Vec::new();
    for (after, part) in parts {
        let [before, room] = [after, count.saturating_sub(after)]
            .map(|ids| usize::try_from(ids).unwrap_or(usize::MAX));
        if before > ids.len() / HASH_BYTES || room == 0 {
            break;
        }
        let new = room.min(part.len() / HASH_BYTES);
        ids.truncate(before * HASH_BYTES);
        ids.extend_from_slice(&part[..new * HASH_BYTES]);
    }
    let too_many = ids.len().saturating_sub(MAX_HISTORY_IDS * HASH_BYTES);
    ids.drain(..too_many);
    ids
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Returns the ids with these numbers.
    fn ids(numbers: impl IntoIterator<Item = u8>) -> Vec<u8> {
        let numbers = numbers.into_iter();
        numbers.flat_map(|number| [number; HASH_BYTES]).collect()
    }

    #[test]
    fn parts_in_any_order_are_joined_up_to_the_count() {
        let parts = [(5, ids(5..9)), (0, ids(0..2)), (2, ids(2..5))];
        assert_eq!(joined(parts.clone(), 9), ids(0..9));
        assert_eq!(joined(parts.clone(), 7), ids(0..7));
        assert_eq!(joined(parts.clone(), 20), ids(0..9));
        assert_eq!(joined(parts, 0), ids([]));
        assert_eq!(joined([], 3), ids([]));
    }

    #[test]
    fn ids_of_saves_that_failed_are_left_out() {
        // The checkpoint has two ids of the second part, from which the next life went on.
        let parts = [(0, ids(0..2)), (2, ids([2, 3, 90, 91])), (4, ids(4..6))];
        assert_eq!(joined(parts, 6), ids(0..6));
        // Nothing was stored after a save that failed.
        assert_eq!(joined([(0, ids(0..2)), (2, ids(90..95))], 2), ids(0..2));
        let parts = [(0, ids(0..2)), (2, ids([2, 90])), (4, ids(91..95))];
        assert_eq!(joined(parts, 3), ids(0..3));
    }

    #[test]
    fn nothing_after_a_missing_part_is_used() {
        let parts = [(0, ids(0..2)), (4, ids(4..9))];
        assert_eq!(joined(parts, 9), ids(0..2));
        assert_eq!(joined([(4, ids(4..9))], 9), ids([]));
    }

    #[test]
    fn part_that_is_torn_ends_the_ids() {
        let mut torn = ids(0..2);
        torn.truncate(HASH_BYTES + 5);
        assert_eq!(joined([(0, torn), (2, ids(2..5))], 5), ids(0..1));
    }

    #[test]
    fn ids_are_forgotten_once_the_stream_caught_up_later() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let since = |forget_ids_at| Since {
            from: at(0),
            forget_ids_at,
            history_began_at: None,
        };
        let caught_up = |second| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(second));
        assert!(since(None).collects_ids());
        assert!(!since(None).has_forgotten(caught_up(9)));
        assert!(!since(Some(at(9))).collects_ids());
        assert!(!since(Some(at(9))).has_forgotten(None));
        assert!(!since(Some(at(9))).has_forgotten(caught_up(8)));
        assert!(since(Some(at(9))).has_forgotten(caught_up(9)));
    }
}
