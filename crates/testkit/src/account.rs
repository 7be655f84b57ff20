use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use crate::answer::HoldId;
use crate::stream_type::UserStream;

/// Above 2^53, as Box's own: whoever reads it as a float gets another position.
const FIRST_POSITION: u64 = 1_152_922_976_252_290_886;
/// Positions aren't a count, and nobody should take them for one.
const STEP: u64 = 17;

/// An account's events in the order in which they are delivered.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Shared by the accounts of one log until one of them changes.
    log: Arc<Log>,
    /// How many events are gone from the front of the log.
    dropped: u64,
    /// Polls that wait for a change.
    pub(crate) listeners: BTreeSet<HoldId>,
}

#[derive(Clone, Debug, Default)]
struct Log {
    entries: VecDeque<Entry>,
    /// The lengths of the entries' JSON together.
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    json: Arc<str>,
    appended: Instant,
    repeats: bool,
}

/// Where a page starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Now,
    Oldest,
    At(u64),
}

/// A stretch of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// The position that leads to this page.
    pub(crate) from: u64,
    pub(crate) next: u64,
    pub(crate) events: Vec<Arc<str>>,
    /// Events before and up to the end of the page, those that are gone included.
    pub(crate) end: u64,
}

/// Returns `true` for the JSON of an event that a page may hold.
pub(crate) type Keeps<'a> = &'a dyn Fn(&str) -> bool;

/// Which events a page may hold, and how many.
pub(crate) struct Selection<'a> {
    pub(crate) limit: usize,
    /// The page ends before the first event that isn't visible yet.
    pub(crate) visible: u64,
    pub(crate) filter: Option<Keeps<'a>>,
}

/// What the emulator itself reads of an event.
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
    /// Reads the `stream_position` of a request.
    pub(crate) fn parse(text: Option<&str>) -> Option<Self> {
        match text {
            None | Some("" | "0" | "null") => Some(Self::Oldest),
            Some("now") => Some(Self::Now),
            Some(text) => {
                // A client that was sent a position with a decimal point may send it back as it was.
                let whole = match text.split_once('.') {
                    Some((whole, zeros))
                        if !zeros.is_empty() && zeros.bytes().all(|digit| digit == b'0') =>
                    {
                        whole
                    }
                    Some(_) => return None,
                    None => text,
                };
                let digits = !whole.is_empty() && whole.bytes().all(|digit| digit.is_ascii_digit());
                digits.then(|| whole.parse().ok()).flatten().map(Self::At)
            }
        }
    }
}

impl Account {
    /// An account with the same log, to which nobody listens. It costs no memory until one of the two changes.
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

    /// Appends an event once more that lies `back` places before the newest, or the first one after it that is no repeat
    /// itself, so that no event comes again later than that. A short log is gone round again.
    ///
    /// The newest event must not be a repeat.
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

    pub(crate) fn retain(&mut self, last: usize) {
        let gone = self.retained().saturating_sub(last);
        if gone > 0 {
            let log = Arc::make_mut(&mut self.log);
            let freed = log.entries.drain(..gone).map(|entry| entry.json.len());
            log.bytes -= freed.sum::<usize>();
            self.dropped += gone as u64;
        }
    }

    /// How many events there ever were.
    pub(crate) fn end(&self) -> u64 {
        self.dropped + self.retained() as u64
    }

    /// Returns `true` if a stream has an event behind the first `since`. `All` counts; the others read events until one is
    /// theirs.
    pub(crate) fn has_behind(&self, since: u64, stream: UserStream) -> bool {
        match stream {
            UserStream::All => self.end() > since,
            _ => self
                .between(since, self.end())
                .any(|entry| stream.shows(&entry.json)),
        }
    }

    /// How many of them `GET /2.0/events` shows.
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

    pub(crate) fn retained(&self) -> usize {
        self.log.entries.len()
    }

    /// The bytes of the retained events.
    pub(crate) fn stored_bytes(&self) -> usize {
        self.log.bytes
    }

    /// Equal for two accounts if they share one log.
    pub(crate) fn log_identity(&self) -> usize {
        Arc::as_ptr(&self.log).addr()
    }

    pub(crate) fn position(end: u64) -> u64 {
        FIRST_POSITION + end * STEP
    }

    /// How many events lie before a place in the stream.
    pub(crate) fn events_before(&self, start: Start) -> u64 {
        match start {
            Start::Now => self.end(),
            Start::Oldest => self.dropped,
            Start::At(position) => {
                (position.saturating_sub(FIRST_POSITION) / STEP).clamp(self.dropped, self.end())
            }
        }
    }

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

    /// The page between two ends, as far as its events are still there.
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

    fn between(&self, first: u64, end: u64) -> impl Iterator<Item = &Entry> {
        let index = |place: u64| {
            usize::try_from(place.saturating_sub(self.dropped))
                .unwrap_or(usize::MAX)
                .min(self.retained())
        };
        let (first, end) = (index(first), index(end));
        self.log.entries.range(first.min(end)..end)
    }

    /// What is retained, in order, repeats included.
    pub(crate) fn events(&self) -> impl Iterator<Item = &Arc<str>> {
        self.log.entries.iter().map(|entry| &entry.json)
    }

    /// The ids of what is retained, in the order of their first appearance.
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
    /// A position that has moved, though not past any event. The last that fits stays where it is.
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
    fn an_account_knows_how_many_bytes_it_stores() {
        let mut account = account(3);
        let appended = account.log.entries[0].appended;
        account.repeat(0, appended);
        assert_eq!(account.stored_bytes(), 4 * r#"{"event_id":"0"}"#.len());
        account.retain(1);
        assert_eq!(account.stored_bytes(), r#"{"event_id":"0"}"#.len());
    }

    #[test]
    fn a_nudged_position_skips_nothing() {
        let account = account(5);
        let nudged = Page::nudged(Account::position(2));
        assert_ne!(nudged, Account::position(2));
        let page = account.page(Start::At(nudged), &everything(&account, 100));
        assert_eq!((page.from, page.events.len()), (nudged, 3));
    }

    #[test]
    fn positions_that_no_page_ever_had_are_refused() {
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
    fn what_means_everything_means_everything() {
        for text in [None, Some(""), Some("0"), Some("null")] {
            assert_eq!(Start::parse(text), Some(Start::Oldest), "{text:?}");
        }
    }

    #[test]
    fn ids_come_once_in_the_order_of_their_first_appearance() {
        let mut account = account(2);
        let appended = account.log.entries[0].appended;
        account.repeat(1, appended);
        account.append("null".into(), appended);
        assert_eq!(account.event_ids(), ["0", "1"]);
        assert_eq!(account.events().count(), 4);
    }
}
