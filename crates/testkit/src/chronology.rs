//! The chronological order of a log, in which `admin_logs` shows it.
//!
//! The log itself is in the order of arrival. The order by time is an index, which is made when
//! `admin_logs` is first read: most tests never read it. A position in this order is a time and a
//! place in the log, so an event that arrives late may lie before a reader's position. Start from
//! [`Chronology`].

use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};

use crate::account::STEP;
use crate::page_query::Start;

/// The number of low bits of a position, below those of its second. They have room for 15 million
/// events. A position stays below 2^60: above that, clients may read Box's positions as times.
const PLACE_BITS: u32 = 28;
/// The bits of a position below those of its second.
const PLACES: u64 = (1 << PLACE_BITS) - 1;
/// The seconds since 1970 that a position can have: from 2000, so that each position is above 2^53
/// as Box's are, to 2106. An earlier or later event counts as one of the first or last second.
const SECONDS: RangeInclusive<i64> = 946_684_800..=0xffff_ffff;

/// The place of an event in the chronological order. Events of the same second are in the order of
/// their arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// The time at which the event happened, in seconds since 1970.
    second: i64,
    /// The number of events in the log before it.
    pub(crate) number: u64,
}

impl Key {
    /// Returns the key before all events of a second.
    fn start_of(second: i64) -> Self {
        Self {
            second: second.clamp(*SECONDS.start(), *SECONDS.end()),
            number: 0,
        }
    }

    /// Returns the key of the first event at a position or after it.
    fn at(position: u64) -> Self {
        let seconds = position >> PLACE_BITS;
        let number = (position & PLACES) / STEP;
        match i64::try_from(seconds) {
            Ok(second) if second < *SECONDS.start() => Self::start_of(second),
            Ok(second) if SECONDS.contains(&second) => Self { second, number },
            _ => Self {
                second: *SECONDS.end(),
                number: PLACES / STEP,
            },
        }
    }

    fn position(self) -> u64 {
        (self.second.unsigned_abs() << PLACE_BITS) + self.number * STEP
    }

    /// Returns the position after the event.
    pub(crate) fn position_after(self) -> u64 {
        let number = self.number + 1;
        Self { number, ..self }.position()
    }
}

/// The chronological order of a log without its repeats.
#[derive(Debug, Default)]
pub(crate) struct Chronology {
    keys: BTreeSet<Key>,
    /// The number of events in the log that were added so far, with repeats.
    pub(crate) added: u64,
}

/// A part of the chronological order, which a request reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// The position at which it starts.
    pub(crate) from: u64,
    /// The key before which it has no events.
    first: Key,
    /// The key before which it ends.
    until: Key,
}

impl Span {
    /// Returns the same part up to a position.
    pub(crate) fn up_to(self, position: u64) -> Self {
        let until = Key::at(position);
        Self { until, ..self }
    }

    fn keys(self) -> Range<Key> {
        let first = Key::at(self.from).max(self.first);
        first..self.until.max(first)
    }
}

impl Chronology {
    /// Adds an event. If its time is unknown, it is placed with the latest event so far.
    pub(crate) fn add(&mut self, number: u64, created_unix: Option<i64>) {
        let latest = || self.keys.last().map_or(*SECONDS.start(), |key| key.second);
        let second = created_unix.unwrap_or_else(latest);
        self.keys.insert(Key {
            number,
            ..Key::start_of(second)
        });
    }

    /// Returns the part from `start` on whose events happened in these seconds since 1970.
    /// `visible` is the number of visible events of the log.
    pub(crate) fn span(&self, start: Start, seconds: &RangeInclusive<i64>, visible: u64) -> Span {
        let first = Key::start_of(*seconds.start());
        let from = match start {
            Start::Oldest => first.position(),
            // The first second may move on with time. The position of an empty page stays.
            Start::At(position) => position,
            Start::Now => {
                let newest = self.keys.iter().rfind(|key| key.number < visible);
                newest.map_or(first.position(), |key| key.position_after())
            }
        };
        let until = Key {
            second: seconds.end().saturating_add(1),
            number: 0,
        };
        Span { from, first, until }
    }

    /// Returns the keys of a part in order, as far as they are visible.
    pub(crate) fn keys(&self, span: Span, visible: u64) -> impl Iterator<Item = Key> {
        let keys = self.keys.range(span.keys()).copied();
        keys.filter(move |key| key.number < visible)
    }
}

/// Returns a position that is one higher, but not past an event. The highest position before an
/// event is returned unchanged.
pub(crate) fn nudged(position: u64) -> u64 {
    let inside_step = (position & PLACES) % STEP;
    if inside_step + 1 < STEP {
        position + 1
    } else {
        position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: RangeInclusive<i64> = i64::MIN..=i64::MAX;
    const NEW_YEAR: i64 = 1_767_225_600;

    fn numbers(chronology: &Chronology, start: Start, seconds: &RangeInclusive<i64>) -> Vec<u64> {
        let span = chronology.span(start, seconds, u64::MAX);
        let keys = chronology.keys(span, u64::MAX);
        keys.map(|key| key.number).collect()
    }

    #[test]
    fn events_are_ordered_by_second_and_then_by_arrival() {
        let mut chronology = Chronology::default();
        for (number, second) in [(0, 5), (1, 3), (2, 5), (3, 4)] {
            chronology.add(number, Some(NEW_YEAR + second));
        }
        chronology.add(4, None);
        assert_eq!(numbers(&chronology, Start::Oldest, &ALL), [1, 3, 0, 2, 4]);
        let range = NEW_YEAR + 4..=NEW_YEAR + 4;
        assert_eq!(numbers(&chronology, Start::Oldest, &range), [3]);
        assert!(numbers(&chronology, Start::Now, &ALL).is_empty());
    }

    #[test]
    fn a_position_leads_to_the_event_behind_it() {
        let mut chronology = Chronology::default();
        for number in 0..100 {
            chronology.add(number, Some(NEW_YEAR));
        }
        let mut position = Key::start_of(NEW_YEAR).position();
        for number in 0..100 {
            for _ in 0..2 * STEP {
                let rest = numbers(&chronology, Start::At(position), &ALL);
                assert_eq!(rest.first(), Some(&number), "{position}");
                position = nudged(position);
            }
            let key = Key::at(position);
            position = key.position_after();
            assert!((1 << 53..1 << 60).contains(&position));
        }
        assert!(numbers(&chronology, Start::At(position), &ALL).is_empty());
    }

    #[test]
    fn an_empty_part_keeps_its_position_while_its_edge_moves_on() {
        let mut chronology = Chronology::default();
        chronology.add(0, Some(NEW_YEAR));
        chronology.add(1, Some(NEW_YEAR + 100));
        let begin = |second: i64, start| {
            chronology.span(start, &(NEW_YEAR + second..=NEW_YEAR + 99), u64::MAX)
        };
        let position = begin(1, Start::Oldest).from;
        let later = begin(60, Start::At(position));
        assert_eq!(later.from, position);
        assert_eq!(chronology.keys(later, u64::MAX).count(), 0);
        // A position before the first second shows no event of the time in between.
        let before = Key::start_of(NEW_YEAR).position();
        let rest = chronology.keys(begin(1, Start::At(before)), u64::MAX);
        assert_eq!(rest.count(), 0);
    }

    #[test]
    fn distant_times_and_positions_are_within_the_order() {
        let mut chronology = Chronology::default();
        chronology.add(0, Some(i64::MIN));
        chronology.add(1, Some(i64::MAX));
        for start in [Start::Oldest, Start::At(0), Start::At(1)] {
            assert_eq!(numbers(&chronology, start, &ALL), [0, 1]);
        }
        assert!(numbers(&chronology, Start::At(u64::MAX), &ALL).is_empty());
        #[expect(
            clippy::reversed_empty_ranges,
            reason = "an empty range of dates is possible"
        )]
        let nothing = 7..=3;
        assert!(numbers(&chronology, Start::Oldest, &nothing).is_empty());
    }
}
