//! Past events of an enterprise, as many as a test needs, made from their numbers.
//!
//! Each event follows from a seed and its number, so a log stores only the number, and a test can
//! list the IDs without the emulator. The order of arrival follows from the settings: late events
//! and reordered ones. Start from [`PastEvents`].

use fastrand::Rng;

use crate::Settings;
use crate::clock::rfc3339;
use crate::event::{self, EnterpriseEvent};
use crate::limits::{MAX_UNIX, at_most};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
/// The eight hours of a day in which most events happen, from its first second.
const WORK_BEGINS: i64 = 8 * HOUR;
const WORK_ENDS: i64 = 16 * HOUR;
/// An eighth of a day, in seconds. An eighth of a day's events happens before the eight hours, and
/// another eighth after them.
const EIGHTH: i64 = DAY / 8;

/// The number of events from the start of one burst to the start of the next.
const BURST_INTERVAL: u32 = 50_000;
/// The number of events before the first burst.
const BEFORE_BURST: u32 = 10_000;
/// The number of events that happen in the same second: two pages of the greatest size, and a part
/// of a third. An admin who moves a large folder causes as many.
const BURST: u32 = 1_200;

/// Past events of an enterprise, which [`append_past`](crate::Emulator::append_past) adds to a log.
///
/// Each event has about 1 KB. Three quarters of the events happen in eight hours of each day, and
/// 1,200 out of 50,000 events happen in the same second. The events are numbered from 0, in the
/// order in which they happen. Equal values make equal events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastEvents {
    /// The number of events.
    pub count: u32,
    /// The time of the first event, in seconds since 1970.
    pub from_unix: i64,
    /// The time before which all events happen, in seconds since 1970.
    pub until_unix: i64,
    /// The seed of the events' IDs and other fields, and of the order of their arrival.
    pub seed: u64,
}

/// The arrival of a past event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrival {
    /// The time in seconds since 1970.
    pub(crate) unix: i64,
    pub(crate) number: u32,
}

impl PastEvents {
    /// Returns events of the 364 days up to a time in seconds since 1970, with the seed 0.
    ///
    /// `admin_logs` keeps events for 365 days, so it shows all of these for another day.
    #[must_use]
    pub fn year_until(until_unix: i64, count: u32) -> Self {
        Self {
            count,
            from_unix: until_unix.saturating_sub(364 * DAY),
            until_unix,
            seed: 0,
        }
    }

    /// Returns the IDs of all events, in the order of their numbers.
    #[must_use]
    pub fn ids(&self) -> impl ExactSizeIterator<Item = String> {
        (0..self.count).map(|number| self.id(number))
    }

    /// Returns the ID of an event.
    #[must_use]
    pub fn id(&self, number: u32) -> String {
        self.start(number).0
    }

    /// Returns the time at which an event happens, in seconds since 1970.
    #[must_use]
    pub fn created_unix(&self, number: u32) -> i64 {
        let in_burst = (number % BURST_INTERVAL).checked_sub(BEFORE_BURST);
        let number = number - in_burst.filter(|&place| place < BURST).unwrap_or(0);
        let length = self.until_unix.saturating_sub(self.from_unix).max(0);
        let even = i128::from(length) * i128::from(number) / i128::from(self.count.max(1));
        let even = i64::try_from(even).unwrap_or(i64::MAX);
        let second = even % DAY;
        // The last day may be incomplete, so its events are spread evenly.
        let uneven = if even < length - length % DAY {
            even - second + busy_second(second)
        } else {
            even
        };
        self.from_unix.saturating_add(uneven)
    }

    /// Returns an event as JSON.
    #[must_use]
    pub fn json(&self, number: u32) -> String {
        let (id, event_type, mut rng) = self.start(number);
        let event = EnterpriseEvent {
            id: &id,
            event_type,
            created_at: &rfc3339(self.created_unix(number)),
        };
        event::of_enterprise(&mut rng, &event)
    }

    pub(crate) fn event_type(&self, number: u32) -> &'static str {
        self.start(number).1
    }

    /// Returns the ID and the type of an event, and the randomness for its other fields.
    fn start(&self, number: u32) -> (String, &'static str, Rng) {
        // Without the factor, the events of seed 1 would be those of seed 0 in another order.
        let mut rng =
            Rng::with_seed(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(number));
        let id = event::uuid(&mut rng);
        let event_type = event::enterprise_type(&mut rng);
        (id, event_type, rng)
    }

    /// Returns the arrivals of all events in order, none later than `until_unix`. The settings say
    /// how many events are late or reordered.
    pub(crate) fn arrivals(&self, settings: &Settings, rng: &mut Rng) -> Vec<Arrival> {
        let arrival = |number| {
            let seconds = event::early_seconds(rng, settings);
            let unix = self.created_unix(number).saturating_add(seconds);
            Arrival {
                unix: unix.min(self.until_unix),
                number,
            }
        };
        let mut arrivals: Vec<Arrival> = (0..self.count).map(arrival).collect();
        arrivals.sort_unstable();
        arrivals
    }

    /// Checks that the times are possible.
    pub(crate) fn check(&self) -> Result<(), String> {
        at_most("until_unix", self.until_unix, MAX_UNIX)?;
        at_most("from_unix", self.from_unix, self.until_unix)?;
        if self.from_unix < 0 {
            return Err("from_unix is before 1970".into());
        }
        Ok(())
    }
}

/// Maps a second of a day with evenly spread events to a second of a busy day, in which three
/// quarters of the events happen in the eight hours of work.
fn busy_second(even: i64) -> i64 {
    let outside = |seconds: i64| seconds * WORK_BEGINS / EIGHTH;
    if even < EIGHTH {
        outside(even)
    } else if even < DAY - EIGHTH {
        WORK_BEGINS + (even - EIGHTH) * (WORK_ENDS - WORK_BEGINS) / (DAY - 2 * EIGHTH)
    } else {
        WORK_ENDS + outside(even - (DAY - EIGHTH))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::*;

    fn year() -> PastEvents {
        PastEvents::year_until(1_767_225_600, 100_000)
    }

    #[test]
    fn past_events_happen_in_the_order_of_their_numbers() {
        let past = year();
        let times: Vec<i64> = (0..past.count).map(|n| past.created_unix(n)).collect();
        assert!(times.is_sorted());
        assert_eq!(times[0], past.from_unix);
        assert!(times[99_999] < past.until_unix);
        let working = times
            .iter()
            .filter(|time| (WORK_BEGINS..WORK_ENDS).contains(&((*time - past.from_unix) % DAY)))
            .count();
        assert!((72_000..76_000).contains(&working), "{working}");
        for first in [10_000, 60_000] {
            let burst = times.iter().filter(|&&time| time == times[first]);
            assert_eq!(burst.count(), 1_200);
        }
    }

    #[test]
    fn past_events_are_json_of_one_kilobyte_with_own_ids() {
        let past = year();
        let ids: HashSet<String> = past.ids().collect();
        assert_eq!(ids.len(), 100_000);
        let other = PastEvents { seed: 1, ..year() };
        assert!(other.ids().all(|id| !ids.contains(&id)));
        for number in 0..500 {
            let json = past.json(number);
            assert!(
                (900..=1_150).contains(&json.len()),
                "{}: {json}",
                json.len()
            );
            let event: Value = serde_json::from_str(&json).unwrap();
            assert_eq!(event["event_id"], past.id(number));
            assert_eq!(event["event_type"], past.event_type(number));
        }
    }

    #[test]
    fn late_and_reordered_events_arrive_behind_later_ones() {
        let mut rng = Rng::with_seed(0);
        let in_order = year().arrivals(&Settings::default(), &mut rng);
        let displaced = |arrivals: &[Arrival]| {
            let numbers = arrivals.windows(2);
            numbers.filter(|two| two[0].number > two[1].number).count()
        };
        assert_eq!(displaced(&in_order), 0);
        let settings = Settings {
            late_rate: 0.1,
            ..Settings::default()
        };
        let late = year().arrivals(&settings, &mut rng);
        assert!(displaced(&late) > 9_000);
        assert!(late.is_sorted_by_key(|arrival| arrival.unix));
        assert!(late.iter().all(|arrival| arrival.unix <= year().until_unix));
        let numbers: HashSet<u32> = late.iter().map(|arrival| arrival.number).collect();
        assert_eq!(numbers.len(), 100_000);
    }
}
