//! The settings for an enterprise's events: which of them are requested, and how often.
//!
//! [`AdminLogsStreaming`] has the settings of live events, and [`AdminLogs`] those of a query of
//! past ones. Both are checked when a client is derived with them. They append their filters to the
//! query of `GET /events`, and limit the calls per minute, because Box's limit counts for all
//! applications of a user together. The engine in [`protocol`](crate::protocol) decides when a
//! request is due.

mod range;

use std::ops;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use url::form_urlencoded::{Serializer, byte_serialize};

pub(crate) use self::range::{HISTORY_KEPT, Range};
use crate::error::{Error, ensure};
use crate::event::EventType;
use crate::pacing::{RateLimiter, TokenBucket};

/// The most calls per minute that Box permits a user, for all applications together.
const MAX_CALLS_PER_MINUTE: u32 = 1_000;

/// The fewest calls per minute: one in flight, one as the burst, and one a minute as the refill.
const MIN_CALLS_PER_MINUTE: u32 = 3;

/// The longest interval between fetches: 1 h. A longer one would hardly count as following. It also
/// leaves room for a long outage within the two weeks that Box keeps these events.
const LONGEST_INTERVAL: Duration = Duration::from_secs(3_600);

/// The settings of an enterprise's live events, which Box calls `admin_logs_streaming`. Pass them
/// to [`LongPollClient::enterprise`](crate::LongPollClient::enterprise).
///
/// Box has no long poll for these events, so the stream fetches them at an interval. While fetches
/// find new events, it uses the shortest interval. Each fetch without a new event doubles the
/// interval, up to the longest one. To keep many streams from fetching at the same moment, the
/// stream shortens each wait by a random part of up to 20 %, but not below the shortest interval. A
/// fetch takes one call for each page with new events, and one more call that finds nothing new.
///
/// Box keeps these events for 14 days. Box may send them out of order, and more than once; streams
/// skip the repeats.
///
/// See <https://developer.box.com/guides/events/enterprise-events/for-enterprise/>.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct AdminLogsStreaming {
    pub(crate) event_types: EventTypes,
    pub(crate) shortest_interval: Duration,
    pub(crate) longest_interval: Duration,
    pub(crate) calls: CallsPerMinute,
    pub(crate) history: HistorySettings,
}

impl Default for AdminLogsStreaming {
    fn default() -> Self {
        Self {
            event_types: EventTypes::default(),
            shortest_interval: Duration::from_secs(1),
            longest_interval: Duration::from_secs(60),
            calls: CallsPerMinute(60),
            history: HistorySettings::default(),
        }
    }
}

impl AdminLogsStreaming {
    /// Requests only events of these types; Box selects them. If `types` is empty, all types are
    /// requested. Default: all types. A name must not be empty or contain a comma. Together, the
    /// names may take up 7 KiB of the URL, which is enough for all of [`EventType::DOCUMENTED`].
    ///
    /// Checkpoints and positions belong to the enterprise's stream, not to the types. If you resume
    /// with other types, you get events of these types after the position, and none from before it.
    pub fn event_types<E: Into<EventType>>(mut self, types: impl IntoIterator<Item = E>) -> Self {
        self.event_types = EventTypes::of(types);
        self
    }

    /// Sets the wait after a fetch that found new events. It must be longer than zero. Default:
    /// 1 s.
    pub fn shortest_interval(mut self, interval: Duration) -> Self {
        self.shortest_interval = interval;
        self
    }

    /// Sets the longest wait between fetches that find nothing new. From the shortest interval to
    /// 1 h. Default: 60 s.
    pub fn longest_interval(mut self, interval: Duration) -> Self {
        self.longest_interval = interval;
        self
    }

    /// Sets the maximum number of calls that one stream makes in any minute, including calls that
    /// return new events, retries and refused calls. One twentieth of the calls may follow each
    /// other without a pause, and the others are spread evenly. A large backlog is read at that
    /// even rate, with up to 500 events per call. From 3 to 1,000; Box permits a user 1,000, for
    /// all applications together. Default: 60.
    pub fn calls_per_minute(mut self, calls: u32) -> Self {
        self.calls = CallsPerMinute(calls);
        self
    }

    /// Sets the maximum number of calls that a stream makes in any minute after a start at
    /// [`StartAt::Since`](crate::StartAt::Since): while it reads the past, and until it has reached
    /// the present. The calls are spread evenly. From 3 to 1,000; Box permits a user 1,000, for all
    /// applications together. Default: 300, for up to about 140,000 events per minute.
    pub fn history_calls_per_minute(mut self, calls: u32) -> Self {
        self.history.calls = CallsPerMinute(calls);
        self
    }

    /// Sets the number of slices that a stream reads in parallel while it reads the past, after a
    /// start at [`StartAt::Since`](crate::StartAt::Since). A slice is a range of time with some
    /// 18,000 events, or fewer if pages of so many slices would not fit into memory. From 1 to 64,
    /// and never more than half of the calls per minute. Default: one for each 100
    /// [calls per minute](Self::history_calls_per_minute), which is enough if a call takes no longer
    /// than 0.6 s.
    pub fn parallel(mut self, slices: usize) -> Self {
        self.history.parallel = Some(slices);
        self
    }

    /// Sets the number of ids of past events that a stream remembers, until 14 days after it has
    /// reached the present. They take up to 20 bytes each in memory. Above this number, the stream
    /// forgets the oldest ids. A late event that Box shows in both of its logs may then be
    /// delivered twice. From 1 to 10 million. Default: 2 million.
    pub fn history_ids(mut self, ids: usize) -> Self {
        self.history.ids = ids;
        self
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        self.event_types.check()?;
        self.calls.check()?;
        self.history.check()?;
        let in_order =
            !self.shortest_interval.is_zero() && self.shortest_interval <= self.longest_interval;
        ensure(
            in_order && self.longest_interval <= LONGEST_INTERVAL,
            "the intervals between fetches must be longer than zero and at most an hour, \
             the shortest no longer than the longest",
        )
    }
}

/// The most slices of a history that are read in parallel.
const MAX_PARALLEL: usize = 64;

/// The most ids of past events that are remembered.
const MAX_HISTORY_IDS: usize = 10_000_000;

/// The settings for reading the past of a stream that begins at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HistorySettings {
    pub(crate) calls: CallsPerMinute,
    parallel: Option<usize>,
    pub(crate) ids: usize,
}

impl Default for HistorySettings {
    fn default() -> Self {
        Self {
            calls: CallsPerMinute(300),
            parallel: None,
            ids: 2_000_000,
        }
    }
}

impl HistorySettings {
    fn check(self) -> Result<(), Error> {
        self.calls.check()?;
        ensure(
            self.parallel
                .is_none_or(|slices| (1..=MAX_PARALLEL).contains(&slices)),
            "the number of slices that are read in parallel must be 1 to 64",
        )?;
        ensure(
            (1..=MAX_HISTORY_IDS).contains(&self.ids),
            "the number of remembered ids must be 1 to 10 million",
        )
    }

    /// Returns the number of slices that are read in parallel.
    pub(crate) fn parallel(self) -> usize {
        let CallsPerMinute(calls) = self.calls;
        let slices = self
            .parallel
            .unwrap_or_else(|| calls.div_ceil(100) as usize);
        slices.min(calls as usize / 2)
    }

    /// Returns the bucket from which all slices take their calls. A call of each may have waited in
    /// the call limiter.
    ///
    /// Its capacity is small: the slices wait for each other's tokens anyway, and a smaller
    /// capacity leaves more calls to the rest of a minute.
    pub(crate) fn bucket(self, now: Instant) -> TokenBucket {
        let CallsPerMinute(calls) = self.calls;
        let waiting = u32::try_from(self.parallel()).unwrap_or(u32::MAX);
        let at_once = (calls / 100).clamp(1, 5);
        TokenBucket::full(at_once.into(), (calls - at_once - waiting).into(), now)
    }
}

/// The settings of a query for an enterprise's events in the last 365 days. Box calls this stream
/// type `admin_logs`. Pass the settings to
/// [`LongPollClient::admin_logs`](crate::LongPollClient::admin_logs).
///
/// Box sorts these events by the time of their creation, and may send one more than once; the query
/// skips the repeats. New events appear here later than among those of [`AdminLogsStreaming`].
///
/// See <https://developer.box.com/guides/events/enterprise-events/for-enterprise/>.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct AdminLogs {
    pub(crate) event_types: EventTypes,
    pub(crate) range: Range,
    pub(crate) calls: CallsPerMinute,
    parallel: Option<usize>,
    /// `true` if the query is a slice of a history, whose pages are kept as they come.
    pub(crate) is_slice: bool,
}

impl Default for AdminLogs {
    fn default() -> Self {
        Self {
            event_types: EventTypes::default(),
            range: Range::default(),
            calls: CallsPerMinute(300),
            parallel: None,
            is_slice: false,
        }
    }
}

impl AdminLogs {
    /// Creates a query for all events that Box has.
    pub fn new() -> Self {
        Self::default()
    }

    /// Requests only events of these types; Box selects them. If `types` is empty, all types are
    /// requested. Default: all types. A name must not be empty or contain a comma. Together, the
    /// names may take up 7 KiB of the URL, which is enough for all of [`EventType::DOCUMENTED`].
    pub fn event_types<E: Into<EventType>>(mut self, types: impl IntoIterator<Item = E>) -> Self {
        self.event_types = EventTypes::of(types);
        self
    }

    /// Requests only events from this time on, rounded down to a second. Default: as far back as
    /// Box keeps events, which is 365 days.
    ///
    /// The time must be earlier than [`created_before`](Self::created_before), and not before the
    /// year 1970. If it is more than 365 days ago, Box refuses it, and the query stops with
    /// [`ParameterRejected`](crate::ErrorKind::ParameterRejected), or with
    /// [`Config`](crate::ErrorKind::Config) after a start at
    /// [`StartAt::Since`](crate::StartAt::Since). Two times are fine nevertheless: one that passed
    /// that limit less than 10 minutes before the stream was created, and one that passes it while
    /// the stream runs. The stream then begins with the oldest events that Box still has.
    pub fn created_after(mut self, time: Timestamp) -> Self {
        self.range.after = Some(time);
        self
    }

    /// Requests only events up to this time, rounded up to a second. The time must not be before
    /// the year 1970. Default: up to the moment when the query ends.
    pub fn created_before(mut self, time: Timestamp) -> Self {
        self.range.before = Some(time);
        self
    }

    /// Sets the maximum number of calls that one stream of the query makes in any minute, including
    /// retries and refused calls. One twentieth of the calls may follow each other without a pause,
    /// and the others are spread evenly. From 3 to 1,000; Box permits a user 1,000, for all
    /// applications together. Default: 300, for up to about 140,000 events per minute.
    pub fn calls_per_minute(mut self, calls: u32) -> Self {
        self.calls = CallsPerMinute(calls);
        self
    }

    /// Sets the number of slices that a stream of the query reads in parallel, after a start at
    /// [`StartAt::Since`](crate::StartAt::Since). From 1 to 64, and never more than half of the
    /// calls per minute. Default: one for each 100 [calls per minute](Self::calls_per_minute),
    /// which is enough if a call takes no longer than 0.6 s.
    pub fn parallel(mut self, slices: usize) -> Self {
        self.parallel = Some(slices);
        self
    }

    pub(crate) fn history(&self) -> HistorySettings {
        HistorySettings {
            calls: self.calls,
            parallel: self.parallel,
            ..HistorySettings::default()
        }
    }

    /// Returns the query for a slice of the past. It begins a second earlier, because Box does not
    /// say whether a range includes its ends.
    pub(crate) fn slice(
        event_types: EventTypes,
        calls: CallsPerMinute,
        range: ops::Range<Timestamp>,
    ) -> Self {
        let second = SignedDuration::from_secs(1);
        Self {
            event_types,
            range: Range {
                after: Some(range.start.saturating_sub(second).unwrap_or(range.start)),
                before: Some(range.end),
            },
            calls,
            parallel: None,
            is_slice: true,
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        self.event_types.check()?;
        self.history().check()?;
        self.range.check()
    }
}

/// The most bytes of a URL that the percent-encoded names of event types may take up.
///
/// Web servers usually accept a request line of 8 KiB, and the rest of an ordinary one takes less
/// than 1 KiB. All names that this crate knows take 5.2 KiB. The `http` crate accepts URLs of
/// 65,534 bytes, of which the longest position needs 48 KiB.
const LONGEST_FILTER: usize = 7 * 1024;

/// The types of events to request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EventTypes(Vec<EventType>);

impl EventTypes {
    fn of<E: Into<EventType>>(types: impl IntoIterator<Item = E>) -> Self {
        Self(types.into_iter().map(Into::into).collect())
    }

    /// Checks that the names can be sent in one list, separated by commas, and that they fit in a
    /// URL.
    fn check(&self) -> Result<(), Error> {
        let is_name = |name: &str| !name.is_empty() && !name.contains(',');
        ensure(
            self.0.iter().all(|kind| is_name(kind.as_str())),
            "an event type must have a name, without a comma in it",
        )?;
        let length = byte_serialize(self.list().as_bytes())
            .map(str::len)
            .sum::<usize>();
        if length > LONGEST_FILTER {
            let rule = format!(
                "the names of {} event types take up {length} bytes of a URL, and may take up \
                 {LONGEST_FILTER}: request fewer types, or request all events and skip the others",
                self.0.len()
            );
            return Err(Error::config(rule));
        }
        Ok(())
    }

    pub(crate) fn append_filters(&self, query: &mut Serializer<'_, String>) {
        if !self.0.is_empty() {
            query.append_pair("event_type", &self.list());
        }
    }

    fn list(&self) -> String {
        let names: Vec<&str> = self.0.iter().map(EventType::as_str).collect();
        names.join(",")
    }

    /// Returns the same list for all settings that request the same types.
    pub(crate) fn sorted_list(&self) -> String {
        let mut names: Vec<&str> = self.0.iter().map(EventType::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names.join(",")
    }
}

/// The most calls in any minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallsPerMinute(u32);

impl CallsPerMinute {
    fn check(self) -> Result<(), Error> {
        ensure(
            (MIN_CALLS_PER_MINUTE..=MAX_CALLS_PER_MINUTE).contains(&self.0),
            "the calls in a minute must be 3 to 1,000",
        )
    }

    /// Returns a rate limiter that counts every call, with no limit per second.
    pub(crate) fn rate_limiter(self, now: Instant) -> RateLimiter {
        RateLimiter::new(self.bucket(now), u32::MAX)
    }

    /// Returns a full token bucket. Its capacity is a twentieth of the calls, at least 1.
    ///
    /// Capacity and refill of a minute add up to one call less than permitted. That call may have
    /// taken its token earlier, and have waited in the call limiter since.
    pub(crate) fn bucket(self, now: Instant) -> TokenBucket {
        let at_once = (self.0 / 20).max(1);
        TokenBucket::full(at_once.into(), (self.0 - at_once - 1).into(), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use crate::error::ErrorKind;

    #[track_caller]
    fn assert_refused(checked: Result<(), Error>, word: &str) {
        let error = checked.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(word), "{error}");
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let streaming = AdminLogsStreaming::default;
        let seconds = Duration::from_secs;
        assert!(streaming().check().is_ok());
        for refused in [
            streaming().shortest_interval(Duration::ZERO),
            streaming().longest_interval(Duration::from_millis(999)),
            streaming().shortest_interval(seconds(61)),
            streaming().longest_interval(seconds(3_601)),
        ] {
            assert_refused(refused.check(), "interval");
        }
        for calls in [0, 2, 1_001] {
            assert_refused(streaming().calls_per_minute(calls).check(), "calls");
            assert_refused(AdminLogs::new().calls_per_minute(calls).check(), "calls");
        }
        for name in ["", "LOGIN,UPLOAD"] {
            assert_refused(streaming().event_types([name]).check(), "event type");
            assert_refused(AdminLogs::new().event_types([name]).check(), "event type");
        }
    }

    #[test]
    fn filter_accepts_all_known_names_and_refuses_3_000() {
        let all = || EventType::DOCUMENTED.iter().cloned();
        let many = || (0..3_000).map(|number| format!("TYPE_{number}"));
        let streaming = AdminLogsStreaming::default;
        assert!(streaming().event_types(all()).check().is_ok());
        assert!(AdminLogs::new().event_types(all()).check().is_ok());
        assert_refused(streaming().event_types(many()).check(), "3000 event types");
        assert_refused(
            AdminLogs::new().event_types(many()).check(),
            "request fewer",
        );
        // A character that a URL spells with six.
        let longest = |rest: usize| "é".repeat(LONGEST_FILTER / 6) + &"x".repeat(rest);
        let rest = LONGEST_FILTER % 6;
        assert!(streaming().event_types([longest(rest)]).check().is_ok());
        assert_refused(
            streaming().event_types([longest(rest + 1)]).check(),
            "7169 bytes",
        );
    }

    #[test]
    fn range_is_refused_if_reversed_empty_or_before_1970() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let (early, late) = (time("2026-01-01T00:00:00Z"), time("2026-01-01T00:00:01Z"));
        let range = |after, before| AdminLogs::new().created_after(after).created_before(before);
        assert!(range(early, late).check().is_ok());
        assert_refused(range(late, early).check(), "earlier");
        assert_refused(range(early, early).check(), "earlier");
        assert_refused(range(Timestamp::MIN, late).check(), "1970");
        assert_refused(range(time("1969-12-31T23:59:59Z"), late).check(), "1970");
        assert!(range(Timestamp::UNIX_EPOCH, late).check().is_ok());
    }

    #[test]
    fn bucket_leaves_room_for_one_call_in_flight() {
        let now = Moment::read_clocks().monotonic;
        for (calls, at_once, evenly) in [(3, 1.0, 1.0), (60, 3.0, 56.0), (1_000, 50.0, 949.0)] {
            let bucket = TokenBucket::full(at_once, evenly, now);
            assert_eq!(CallsPerMinute(calls).bucket(now), bucket);
        }
    }

    #[test]
    fn bucket_of_slices_leaves_room_for_a_call_of_each() {
        let now = Moment::read_clocks().monotonic;
        for (calls, slices, at_once, evenly) in [
            (3, 64, 1.0, 1.0),
            (60, 8, 1.0, 51.0),
            (60, 64, 1.0, 29.0),
            (1_000, 10, 5.0, 985.0),
        ] {
            let streaming = AdminLogsStreaming::default()
                .history_calls_per_minute(calls)
                .parallel(slices);
            let bucket = TokenBucket::full(at_once, evenly, now);
            assert_eq!(streaming.history.bucket(now), bucket);
        }
    }
}
