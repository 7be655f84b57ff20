//! An account and its log: the events in the order in which they are delivered.
//!
//! The log knows positions, repeats and retention. It reads an event's JSON only to filter it, and
//! it does not make events; `event` does. Start from [`Account`].

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use crate::response::HoldId;
use crate::stream_type::UserStream;

/// The position before the first event. It is above 2^53 like Box's own, so a client that reads it
/// as a float gets a different position.
const FIRST_POSITION: u64 = 1_152_922_976_252_290_886;
/// The distance between the positions of two events. It is not 1, so that no client can use
/// positions as a count.
const STEP: u64 = 17;

/// An account's events in the order in which they are delivered.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Shared by the accounts of one log until one of them changes.
    log: Arc<Log>,
    /// The number of events that retention has removed from the front of the log.
    dropped: u64,
    /// The polls that wait for a change.
    pub(crate) listeners: BTreeSet<HoldId>,
}

#[derive(Clone, Debug, Default)]
struct Log {
    entries: VecDeque<Entry>,
    /// The total length of the entries' JSON, in bytes.
    bytes: usize,
}

/// An event in the log.
#[derive(Clone, Debug)]
struct Entry {
    json: Arc<str>,
    /// The moment at which it was appended, which decides when it becomes visible.
    appended: Instant,
    /// `true` if it repeats an earlier event.
    repeats: bool,
}

/// The start of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// The end of the log.
    Now,
    /// The oldest retained event.
    Oldest,
    /// A position.
    At(u64),
}

/// A page: consecutive events of the log, as far as a filter keeps them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// The position at which the page starts.
    pub(crate) from: u64,
    /// The position of the next page.
    pub(crate) next: u64,
    pub(crate) events: Vec<Arc<str>>,
    /// The number of events up to the end of the page, including those that retention has removed.
    pub(crate) end: u64,
}

/// A filter, which returns `true` for the JSON of an event that a page may contain.
pub(crate) type Keeps<'a> = &'a dyn Fn(&str) -> bool;

/// The events that a page may contain.
pub(crate) struct Selection<'a> {
    /// The greatest number of events.
    pub(crate) limit: usize,
    /// The number of visible events. The page ends before the first event that isn't visible yet.
    pub(crate) visible: u64,
    /// `None` if all events are kept.
    pub(crate) filter: Option<Keeps<'a>>,
}

/// The fields of an event that the emulator reads.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct EventHead {
    pub(crate) event_id: Value,
    pub(crate) event_type: Value,
    pub(crate) created_at: Value,
}

impl EventHead {
    pub(crate) fn of(json: &str) -> Self {
        serde_json::from_str(json).unwrap_or_default()
    }
}

impl Start {
    /// Reads the `stream_position` of a request. Returns `None` if it can't be read.
    pub(crate) fn parse(text: Option<&str>) -> Option<Self> {
        match text {
            None | Some("" | "0" | "null") => Some(Self::Oldest),
            Some("now") => Some(Self::Now),
            Some(text) => {
                // `Fault::FloatPosition` sends a position with a decimal point, which a client may
                // send back unchanged.
                let integer = match text.split_once('.') {
                    Some((integer, zeros))
                        if !zeros.is_empty() && zeros.bytes().all(|digit| digit == b'0') =>
                    {
                        integer
                    }
                    Some(_) => return None,
                    None => text,
                };
                let digits =
                    !integer.is_empty() && integer.bytes().all(|digit| digit.is_ascii_digit());
                digits.then(|| integer.parse().ok()).flatten().map(Self::At)
            }
        }
    }
}

impl Account {
    /// Returns an account with the same log and without listeners. It takes no memory until one of
    /// the two logs changes.
    pub(crate) fn twin(&self) -> Self {
        Self {
            log: Arc::clone(&self.log),
            dropped: self.dropped,
            listeners: BTreeSet::new(),
        }
    }

    pub(crate) fn append(&mut self, json: Arc<str>, now: Instant) {
        self.push(Entry {
            json,
            appended: now,
            repeats: false,
        });
    }

    fn push(&mut self, entry: Entry) {
        let log = Arc::make_mut(&mut self.log);
        log.bytes += entry.json.len();
        log.entries.push_back(entry);
    }

    /// Appends an earlier event once more: the one `back` places before the newest, or the first
    /// later one that is no repeat.
    ///
    /// Repeats are not repeated, so no event reappears more than `back` places after its first
    /// appearance. If the log is shorter than `back`, the count wraps around. The newest event must
    /// not be a repeat.
    pub(crate) fn repeat(&mut self, back: usize, now: Instant) {
        let entries = &self.log.entries;
        let back = back % entries.len();
        let first = entries.len() - 1 - back;
        let Some(entry) = entries.range(first..).find(|entry| !entry.repeats) else {
            return;
        };
        let json = entry.json.clone();
        self.push(Entry {
            json,
            appended: now,
            repeats: true,
        });
    }

    /// Removes all but the last events.
    pub(crate) fn retain(&mut self, last: usize) {
        let gone = self.retained().saturating_sub(last);
        if gone > 0 {
            let log = Arc::make_mut(&mut self.log);
            let freed = log.entries.drain(..gone).map(|entry| entry.json.len());
            log.bytes -= freed.sum::<usize>();
            self.dropped += gone as u64;
        }
    }

    /// Returns the number of events that were ever appended.
    pub(crate) fn end(&self) -> u64 {
        self.dropped + self.retained() as u64
    }

    /// Returns `true` if the stream has an event after the first `since` events. Only the filtered
    /// streams parse events.
    pub(crate) fn has_behind(&self, since: u64, stream: UserStream) -> bool {
        match stream {
            UserStream::All => self.end() > since,
            _ => self
                .between(since, self.end())
                .any(|entry| stream.shows(&entry.json)),
        }
    }

    /// Returns the number of events that `GET /2.0/events` shows. An event becomes visible `lag`
    /// after it was appended.
    pub(crate) fn visible(&self, lag: Duration, now: Instant) -> u64 {
        if lag.is_zero() {
            return self.end();
        }
        self.dropped
            + self
                .log
                .entries
                .partition_point(|entry| entry.appended + lag <= now) as u64
    }

    /// Returns the number of retained events.
    pub(crate) fn retained(&self) -> usize {
        self.log.entries.len()
    }

    /// Returns the total length of the retained events, in bytes.
    pub(crate) fn stored_bytes(&self) -> usize {
        self.log.bytes
    }

    /// Returns a value that is equal for two accounts if they share one log.
    pub(crate) fn log_identity(&self) -> usize {
        Arc::as_ptr(&self.log).addr()
    }

    /// Returns the position after the first `end` events.
    pub(crate) fn position(end: u64) -> u64 {
        FIRST_POSITION + end * STEP
    }

    /// Returns the number of events before the start of a page.
    pub(crate) fn events_before(&self, start: Start) -> u64 {
        match start {
            Start::Now => self.end(),
            Start::Oldest => self.dropped,
            Start::At(position) => {
                (position.saturating_sub(FIRST_POSITION) / STEP).clamp(self.dropped, self.end())
            }
        }
    }

    /// Returns the page at `start`.
    pub(crate) fn page(&self, start: Start, selection: &Selection<'_>) -> Page {
        let first = match start {
            Start::Now => selection.visible,
            _ => self.events_before(start).min(selection.visible),
        };
        let from = match start {
            Start::At(position)
                if self.events_before(start) == first && position > Self::position(first) =>
            {
                position
            }
            _ => Self::position(first),
        };
        let mut page = Page {
            from,
            next: from,
            events: Vec::new(),
            end: first,
        };
        for entry in self.between(first, selection.visible) {
            if page.events.len() == selection.limit {
                break;
            }
            page.end += 1;
            if selection.filter.is_none_or(|keeps| keeps(&entry.json)) {
                page.events.push(entry.json.clone());
            }
        }
        if page.end > first {
            page.next = Self::position(page.end);
        }
        page
    }

    /// Returns the page after the first `first` events and up to `end`, as far as its events are
    /// retained.
    pub(crate) fn page_between(&self, first: u64, end: u64, filter: Option<Keeps<'_>>) -> Page {
        let events = self
            .between(first, end)
            .map(|entry| &entry.json)
            .filter(|json| filter.is_none_or(|keeps| keeps(json)))
            .cloned()
            .collect();
        Page {
            from: Self::position(first),
            next: Self::position(end),
            events,
            end,
        }
    }

    /// Returns the retained entries after the first `first` events and up to `end`.
    fn between(&self, first: u64, end: u64) -> impl Iterator<Item = &Entry> {
        let index = |place: u64| {
            usize::try_from(place.saturating_sub(self.dropped))
                .unwrap_or(usize::MAX)
                .min(self.retained())
        };
        let (first, end) = (index(first), index(end));
        self.log.entries.range(first.min(end)..end)
    }

    /// Returns the retained events in order, including repeats.
    pub(crate) fn events(&self) -> impl Iterator<Item = &Arc<str>> {
        self.log.entries.iter().map(|entry| &entry.json)
    }

    /// Returns the IDs of the retained events, in the order of their first appearance.
    pub(crate) fn event_ids(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        let ids = self
            .events()
            .filter_map(|json| match EventHead::of(json).event_id {
                Value::String(id) => Some(id),
                _ => None,
            });
        ids.filter(|id| seen.insert(id.clone())).collect()
    }
}

impl Page {
    /// Returns a position that is one higher, but not past an event. The highest position before an
    /// event is returned unchanged.
    pub(crate) fn nudged(from: u64) -> u64 {
        let inside_step = from.saturating_sub(FIRST_POSITION) % STEP;
        if inside_step + 1 < STEP {
            from + 1
        } else {
            from
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn account(events: u64) -> Account {
        let mut account = Account::default();
        let now = Instant::now();
        for n in 0..events {
            account.append(format!(r#"{{"event_id":"{n}"}}"#).into(), now);
        }
        account
    }

    fn everything(account: &Account, limit: usize) -> Selection<'static> {
        Selection {
            limit,
            visible: account.end(),
            filter: None,
        }
    }

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let account = account(7);
        let mut start = Start::Oldest;
        let mut sizes = Vec::new();
        loop {
            let page = account.page(start, &everything(&account, 3));
            if page.events.is_empty() {
                break;
            }
            sizes.push(page.events.len());
            start = Start::At(page.next);
        }
        assert_eq!(sizes, [3, 3, 1]);
    }

    #[test]
    fn a_position_before_the_oldest_event_continues_with_the_oldest() {
        let mut account = account(10);
        account.retain(4);
        for start in [Start::Oldest, Start::At(1), Start::At(Account::position(2))] {
            let page = account.page(start, &everything(&account, 100));
            assert_eq!(page.events.len(), 4, "{start:?}");
            assert_eq!(page.next, Account::position(10));
        }
    }

    #[test]
    fn stored_bytes_follow_repeats_and_retention() {
        let mut account = account(3);
        let appended = account.log.entries[0].appended;
        account.repeat(0, appended);
        assert_eq!(account.stored_bytes(), 4 * r#"{"event_id":"0"}"#.len());
        account.retain(1);
        assert_eq!(account.stored_bytes(), r#"{"event_id":"0"}"#.len());
    }

    #[test]
    fn a_nudged_position_skips_no_event() {
        let account = account(5);
        let nudged = Page::nudged(Account::position(2));
        assert_ne!(nudged, Account::position(2));
        let page = account.page(Start::At(nudged), &everything(&account, 100));
        assert_eq!((page.from, page.events.len()), (nudged, 3));
    }

    #[test]
    fn unreadable_positions_are_refused() {
        for text in [
            "abc",
            "-1",
            "1.5",
            "1.",
            "+7",
            "99999999999999999999",
            "\"1\"",
            "NOW",
            " 1",
        ] {
            assert_eq!(Start::parse(Some(text)), None, "{text}");
        }
    }

    #[test]
    fn missing_and_zero_positions_mean_the_oldest_event() {
        for text in [None, Some(""), Some("0"), Some("null")] {
            assert_eq!(Start::parse(text), Some(Start::Oldest), "{text:?}");
        }
    }

    #[test]
    fn ids_are_listed_once_in_order_of_first_appearance() {
        let mut account = account(2);
        let appended = account.log.entries[0].appended;
        account.repeat(1, appended);
        account.append("null".into(), appended);
        assert_eq!(account.event_ids(), ["0", "1"]);
        assert_eq!(account.events().count(), 4);
    }
}
