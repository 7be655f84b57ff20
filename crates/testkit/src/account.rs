//! An account and its log: the events in the order in which they are delivered.
//!
//! The log knows positions, repeats and retention. It reads an event's content only to filter or to
//! date it, and it does not make events; `event` and `past` do. Start from [`Account`].

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::chronology::{self, Chronology, Span};
use crate::content::Content;
use crate::page_query::Start;
use crate::response::HoldId;
use crate::stream_type::UserStream;

/// The position before the first event. It is above 2^53 like Box's own, so a client that reads it
/// as a float gets a different position.
const FIRST_POSITION: u64 = 1_152_922_976_252_290_886;
/// The distance between the positions of two events. It is not 1, so that no client can use
/// positions as a count.
pub(crate) const STEP: u64 = 17;

/// An account's events in the order in which they are delivered.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Shared by the accounts of one log until one of them changes.
    log: Arc<Log>,
    /// The number of events that retention has removed from the front of the log.
    dropped: u64,
    /// The order of the visible events by time, up to the last request that read it.
    chronology: Chronology,
    /// The polls that wait for a change.
    pub(crate) listeners: BTreeSet<HoldId>,
}

#[derive(Clone, Debug, Default)]
struct Log {
    entries: VecDeque<Entry>,
    /// The total size of the entries' contents, in bytes.
    bytes: usize,
}

/// An event in the log.
#[derive(Clone, Debug)]
struct Entry {
    content: Content,
    /// The time at which it was appended, in nanoseconds since the emulator's first moment. It is
    /// negative for past events. It decides when the event becomes visible.
    appended: i64,
    /// `true` if it repeats an earlier event.
    repeats: bool,
}

/// A page: the events that a filter keeps of a consecutive part of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// The position at which the page starts.
    pub(crate) from: u64,
    /// The position of the next page.
    pub(crate) next: u64,
    pub(crate) events: Vec<Arc<str>>,
    /// The number of events up to the end of the page, including those that retention has removed.
    /// It is 0 in the chronological order.
    pub(crate) end: u64,
    /// `true` if events follow, although a filter may leave them out.
    pub(crate) more: bool,
}

/// A filter, which returns `true` for the content of an event that a page may contain.
pub(crate) type Keeps<'a> = &'a dyn Fn(&Content) -> bool;

/// The events that a page may contain.
pub(crate) struct Selection<'a> {
    /// The greatest number of events. `None` makes an empty page whose position moves all the same.
    pub(crate) limit: Option<usize>,
    /// The number of events that are no longer visible, at the front of the log.
    pub(crate) expired: u64,
    /// The number of visible events, including the expired ones. The page ends before the first
    /// event that isn't visible yet.
    pub(crate) visible: u64,
    /// `None` if all events are kept.
    pub(crate) filter: Option<Keeps<'a>>,
}

impl Account {
    /// Returns an account with the same log and without listeners. It takes no memory until one of
    /// the two logs changes.
    pub(crate) fn twin(&self) -> Self {
        Self {
            log: Arc::clone(&self.log),
            dropped: self.dropped,
            ..Self::default()
        }
    }

    /// Appends an event at a time in nanoseconds since the emulator's first moment. If the newest
    /// event was appended later, so is this one.
    pub(crate) fn append(&mut self, content: impl Into<Content>, now: i64) {
        let newest = self.log.entries.back().map_or(now, |entry| entry.appended);
        self.push(Entry {
            content: content.into(),
            appended: now.max(newest),
            repeats: false,
        });
    }

    fn push(&mut self, entry: Entry) {
        let log = Arc::make_mut(&mut self.log);
        log.bytes += entry.content.stored_bytes();
        log.entries.push_back(entry);
    }

    /// Appends an earlier event once more, at the time of the newest event: the one `back` places
    /// before the newest, or the first later one that is no repeat.
    ///
    /// Repeats are not repeated, so no event reappears more than `back` places after its first
    /// appearance. If the log is shorter than `back`, the count wraps around. The newest event must
    /// not be a repeat.
    pub(crate) fn repeat(&mut self, back: usize) {
        let entries = &self.log.entries;
        let back = back % entries.len();
        let first = entries.len() - 1 - back;
        let appended = entries[entries.len() - 1].appended;
        let Some(entry) = entries.range(first..).find(|entry| !entry.repeats) else {
            return;
        };
        let content = entry.content.clone();
        self.push(Entry {
            content,
            appended,
            repeats: true,
        });
    }

    /// Removes all but the last events.
    pub(crate) fn retain(&mut self, last: usize) {
        let gone = self.retained().saturating_sub(last);
        if gone > 0 {
            let log = Arc::make_mut(&mut self.log);
            let freed = log
                .entries
                .drain(..gone)
                .map(|entry| entry.content.stored_bytes());
            log.bytes -= freed.sum::<usize>();
            self.dropped += gone as u64;
            // The next request for it starts from the events that are left.
            self.chronology = Chronology::default();
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
                .any(|entry| stream.shows(&entry.content.json())),
        }
    }

    /// Returns the number of events that `GET /2.0/events` shows. An event becomes visible `lag`
    /// after it was appended.
    pub(crate) fn visible(&self, lag: Duration, now: i64) -> u64 {
        if lag.is_zero() {
            return self.end();
        }
        self.appended_by(earlier(now, lag))
    }

    /// Returns the number of events that have expired. An event expires when it was appended longer
    /// than `retention` ago.
    pub(crate) fn expired(&self, retention: Duration, now: i64) -> u64 {
        self.appended_by(earlier(now, retention).saturating_sub(1))
    }

    /// Returns the number of events that were appended by a time.
    fn appended_by(&self, time: i64) -> u64 {
        let entries = &self.log.entries;
        self.dropped + entries.partition_point(|entry| entry.appended <= time) as u64
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

    /// Returns the page at `start`, in the order of arrival.
    pub(crate) fn page(&self, start: Start, selection: &Selection<'_>) -> Page {
        let first = match start {
            Start::Now => selection.visible,
            _ => self
                .events_before(start)
                .max(selection.expired)
                .min(selection.visible),
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
            more: false,
        };
        let limit = selection.limit.unwrap_or(0);
        for entry in self.between(first, selection.visible) {
            if page.events.len() == limit {
                break;
            }
            page.end += 1;
            page.events.extend(selection.kept(entry));
        }
        if page.end > first {
            page.next = Self::position(page.end);
        }
        page.more = page.end < selection.visible;
        if selection.limit.is_none() && page.more {
            page.next = Page::nudged(page.from);
        }
        page
    }

    /// Returns the page after the first `first` events and up to `end`, as far as its events are
    /// retained.
    pub(crate) fn page_between(&self, first: u64, end: u64, selection: &Selection<'_>) -> Page {
        let entries = self.between(first, end);
        Page {
            from: Self::position(first),
            next: Self::position(end),
            events: entries.filter_map(|entry| selection.kept(entry)).collect(),
            end,
            more: end < selection.visible,
        }
    }

    /// Returns the part of the chronological order from `start` on, with the events of these
    /// seconds since 1970. `visible` is the number of visible events.
    pub(crate) fn span(
        &mut self,
        start: Start,
        seconds: &RangeInclusive<i64>,
        visible: u64,
    ) -> Span {
        let mut chronology = std::mem::take(&mut self.chronology);
        let added = chronology.added.max(self.dropped);
        for (number, entry) in (added..).zip(self.between(added, visible)) {
            if !entry.repeats {
                chronology.add(number, entry.content.created_unix());
            }
        }
        chronology.added = added.max(visible);
        self.chronology = chronology;
        self.chronology.span(start, seconds, visible)
    }

    /// Returns the page at the start of a part of the chronological order.
    pub(crate) fn page_of(&self, span: Span, selection: &Selection<'_>) -> Page {
        let mut page = Page {
            from: span.from,
            next: span.from,
            events: Vec::new(),
            // A page of the chronological order does not end at a place in the log.
            end: 0,
            more: false,
        };
        let mut keys = self.chronology.keys(span, selection.visible);
        let limit = selection.limit.unwrap_or(0);
        while page.events.len() < limit
            && let Some(key) = keys.next()
        {
            page.next = key.position_after();
            let entries = self.between(key.number, key.number + 1);
            page.events
                .extend(entries.filter_map(|entry| selection.kept(entry)));
        }
        page.more = keys.next().is_some();
        if selection.limit.is_none() && page.more {
            page.next = chronology::nudged(page.from);
        }
        page
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
    pub(crate) fn events(&self) -> impl Iterator<Item = Arc<str>> {
        self.log.entries.iter().map(|entry| entry.content.json())
    }

    /// Returns the IDs of the retained events, in the order of their first appearance.
    pub(crate) fn event_ids(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        let ids = self
            .log
            .entries
            .iter()
            .filter_map(|entry| entry.content.id());
        ids.filter(|id| seen.insert(id.clone())).collect()
    }
}

impl Selection<'_> {
    /// Returns the JSON of an event, or `None` if the filter leaves it out.
    fn kept(&self, entry: &Entry) -> Option<Arc<str>> {
        let keeps = self.filter.is_none_or(|keeps| keeps(&entry.content));
        keeps.then(|| entry.content.json())
    }
}

/// Returns the time that lies `by` before another one, both in nanoseconds.
fn earlier(time: i64, by: Duration) -> i64 {
    time.saturating_sub(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX))
}

impl Page {
    /// Returns the page without its events, and with the position at which it starts.
    pub(crate) fn without_events(self) -> Self {
        Self {
            events: Vec::new(),
            next: self.from,
            ..self
        }
    }

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

    fn event(n: u64) -> Arc<str> {
        format!(r#"{{"event_id":"{n}"}}"#).into()
    }

    fn account(events: u64) -> Account {
        let mut account = Account::default();
        for n in 0..events {
            account.append(event(n), 0);
        }
        account
    }

    fn everything(account: &Account, limit: usize) -> Selection<'static> {
        Selection {
            limit: Some(limit),
            expired: 0,
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
        account.repeat(0);
        let bytes = event(0).len();
        assert_eq!(account.stored_bytes(), 4 * bytes);
        account.retain(1);
        assert_eq!(account.stored_bytes(), bytes);
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
    fn retention_shortens_the_chronological_order_too() {
        let mut account = account(10);
        for (last, events) in [(20, 10), (4, 4), (0, 0)] {
            account.retain(last);
            let visible = account.end();
            let span = account.span(Start::Oldest, &(i64::MIN..=i64::MAX), visible);
            assert_eq!(account.chronology.keys(span, visible).count(), events);
        }
    }

    #[test]
    fn ids_are_listed_once_in_order_of_first_appearance() {
        let mut account = account(2);
        account.repeat(1);
        account.append(Arc::<str>::from("null"), 0);
        assert_eq!(account.event_ids(), ["0", "1"]);
        assert_eq!(account.events().count(), 4);
    }
}
