//! What of an enterprise's events is asked for, and how often.

use std::ops;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use url::form_urlencoded::{Serializer, byte_serialize};

use crate::error::{Error, ensure};
use crate::event::EventType;
use crate::pacing::{RateLimiter, TokenBucket};

/// What Box lets a user have, of all applications together.
const MAX_CALLS_PER_MINUTE: u32 = 1_000;

/// One that may be on its way, one at once, and one a minute.
const MIN_CALLS_PER_MINUTE: u32 = 3;

/// Longer, and nobody would call it following; it leaves two weeks of events room for a long outage too.
const LONGEST_INTERVAL: Duration = Duration::from_secs(3_600);

/// An enterprise's events as they happen, which Box calls `admin_logs_streaming`. Taken by
/// [`LongPollClient::enterprise`](crate::LongPollClient::enterprise).
///
/// Box has no long poll for them, so they are looked for at an interval: the shortest one while looks find something, which
/// each look in vain doubles, up to the longest one. A wait is up to a fifth shorter, by chance, so that many streams don't
/// look at the same moment; never shorter than the shortest interval. A look is as many calls as there are pages, and one
/// that shows that there are no more.
///
/// Box keeps these events for 14 days. They may come repeatedly and out of order.
///
/// See <https://developer.box.com/guides/events/enterprise-events/for-enterprise/>.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct AdminLogsStreaming {
    pub(crate) event_types: EventTypes,
    pub(crate) shortest_interval: Duration,
    pub(crate) longest_interval: Duration,
    pub(crate) calls: CallsPerMinute,
}

impl Default for AdminLogsStreaming {
    fn default() -> Self {
        Self {
            event_types: EventTypes::default(),
            shortest_interval: Duration::from_secs(1),
            longest_interval: Duration::from_secs(60),
            calls: CallsPerMinute(60),
        }
    }
}

impl AdminLogsStreaming {
    /// Only events of these types, which Box picks. None: all. Default: all. Their names may take up 7 KiB of a URL, and
    /// all of [`EventType::DOCUMENTED`] take less.
    ///
    /// A checkpoint and a position are of the enterprise's stream, not of the types: who comes back with other types gets
    /// those from there on, and none of what lies before.
    pub fn event_types<E: Into<EventType>>(mut self, types: impl IntoIterator<Item = E>) -> Self {
        self.event_types = EventTypes::of(types);
        self
    }

    /// How long after a look that found something the next one comes. Longer than nothing; default: 1 s.
    pub fn shortest_interval(mut self, interval: Duration) -> Self {
        self.shortest_interval = interval;
        self
    }

    /// How long it may take until the next look where nothing happens. From the shortest to an hour; default: 60 s.
    pub fn longest_interval(mut self, interval: Duration) -> Self {
        self.longest_interval = interval;
        self
    }

    /// How many calls one stream makes in any minute, at most, whether or not they bring something: retries, and calls that
    /// Box refuses, are counted too. A twentieth of them may follow each other at once, so a large backlog comes in at the
    /// rest, of up to 500 events each. 3 to 1,000, which is all that Box lets a user have; default: 60.
    pub fn calls_per_minute(mut self, calls: u32) -> Self {
        self.calls = CallsPerMinute(calls);
        self
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        self.event_types.check()?;
        self.calls.check()?;
        let in_order =
            !self.shortest_interval.is_zero() && self.shortest_interval <= self.longest_interval;
        ensure(
            in_order && self.longest_interval <= LONGEST_INTERVAL,
            "the intervals between looks must be longer than zero and at most an hour, the shortest no longer than the longest",
        )
    }
}

/// A query of an enterprise's events of the last 365 days, which Box calls `admin_logs`. Taken by
/// [`LongPollClient::admin_logs`](crate::LongPollClient::admin_logs).
///
/// Events may come repeatedly and out of order, and show here later than in [`AdminLogsStreaming`].
///
/// See <https://developer.box.com/guides/events/enterprise-events/for-enterprise/>.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct AdminLogs {
    pub(crate) event_types: EventTypes,
    pub(crate) range: Range,
    pub(crate) calls: CallsPerMinute,
}

impl Default for AdminLogs {
    fn default() -> Self {
        Self {
            event_types: EventTypes::default(),
            range: Range::default(),
            calls: CallsPerMinute(300),
        }
    }
}

impl AdminLogs {
    /// All that Box has.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only events of these types, which Box picks. None: all. Default: all. Their names may take up 7 KiB of a URL, and
    /// all of [`EventType::DOCUMENTED`] take less.
    pub fn event_types<E: Into<EventType>>(mut self, types: impl IntoIterator<Item = E>) -> Self {
        self.event_types = EventTypes::of(types);
        self
    }

    /// Only events from then on, in whole seconds, rounded down. Default: as far back as Box has them, 365 days.
    ///
    /// Box refuses an earlier time, and the query stops with
    /// [`ParameterRejected`](crate::ErrorKind::ParameterRejected). One that was within the 365 days when the stream began, or
    /// ten minutes before, is moved along while the query runs.
    pub fn created_after(mut self, time: Timestamp) -> Self {
        self.range.after = Some(time);
        self
    }

    /// Only events up to then, in whole seconds, rounded up. Default: up to the moment when the query comes to its end.
    pub fn created_before(mut self, time: Timestamp) -> Self {
        self.range.before = Some(time);
        self
    }

    /// How many calls one stream of the query makes in any minute, at most, retries and refused ones included. A twentieth
    /// of them may follow each other at once. 3 to 1,000, which is all that Box lets a user have; default: 300, so up to
    /// some 140,000 events.
    pub fn calls_per_minute(mut self, calls: u32) -> Self {
        self.calls = CallsPerMinute(calls);
        self
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        self.event_types.check()?;
        self.calls.check()?;
        self.range.check()
    }
}

/// The most that the names of event types may take up in a URL, percent-encoded, in bytes.
///
/// Web servers take a request line of 8 KiB, as a rule, and the rest of an ordinary one has less than 1 KiB. All names that
/// this crate knows have 5.2 KiB. The `http` crate takes URLs of 65,534 bytes, 48 KiB of which the longest position needs.
const LONGEST_FILTER: usize = 7 * 1024;

/// The types of events to ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EventTypes(Vec<EventType>);

impl EventTypes {
    fn of<E: Into<EventType>>(types: impl IntoIterator<Item = E>) -> Self {
        Self(types.into_iter().map(Into::into).collect())
    }

    /// Box takes their names with commas in between.
    fn check(&self) -> Result<(), Error> {
        let is_name = |name: &str| !name.is_empty() && !name.contains(',');
        ensure(
            self.0.iter().all(|kind| is_name(kind.as_str())),
            "an event type to ask for must have a name, without a comma in it",
        )?;
        let length = byte_serialize(self.list().as_bytes())
            .map(str::len)
            .sum::<usize>();
        if length > LONGEST_FILTER {
            let rule = format!(
                "the names of {} event types take up {length} bytes of a URL, and may take up {LONGEST_FILTER}: ask for fewer types, or for all events and leave out the others",
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
}

/// When the events were created that are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Range {
    after: Option<Timestamp>,
    before: Option<Timestamp>,
}

/// How far back Box keeps these events. A time before that is refused.
const KEPT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// "The last 365 days" is a little longer ago when the request arrives: so much later is asked for.
const MARGIN_AT_THE_EDGE: Duration = Duration::from_secs(60);

/// A query may have been made so long before its stream begins.
const MADE_BEFORE: Duration = Duration::from_secs(10 * 60);

impl Range {
    fn check(self) -> Result<(), Error> {
        let mut ends = self.after.iter().chain(&self.before);
        ensure(
            ends.all(|time| *time >= Timestamp::UNIX_EPOCH),
            "a time to ask for must not lie before the year 1970",
        )?;
        let in_order = |after| self.before.is_none_or(|before| after < before);
        ensure(
            self.after.is_none_or(in_order),
            "created_after must be earlier than created_before",
        )
    }

    /// The last moment that is asked for.
    pub(crate) fn end(self) -> Option<SystemTime> {
        SystemTime::try_from(up(self.before?)).ok()
    }

    /// In whole seconds, as Box's documentation has them, so that nothing is left out.
    pub(crate) fn append_filters(
        self,
        query: &mut Serializer<'_, String>,
        times: ops::Range<SystemTime>,
    ) {
        if let Some(after) = self.after {
            let after = down(within(after, times));
            query.append_pair("created_after", &after.to_string());
        }
        if let Some(before) = self.before {
            query.append_pair("created_before", &up(before).to_string());
        }
    }
}

/// A beginning that has fallen over the edge of what Box keeps since the stream began, moved back inside. One that lay
/// further back is sent as it is, and Box says so.
fn within(after: Timestamp, times: ops::Range<SystemTime>) -> Timestamp {
    let edge = |wall: SystemTime| Timestamp::try_from(wall).ok()?.checked_sub(KEPT).ok();
    let (Some(edge_at_first), Some(edge_now)) = (edge(times.start), edge(times.end)) else {
        return after;
    };
    let earliest = edge_now + MARGIN_AT_THE_EDGE;
    if edge_at_first - MADE_BEFORE <= after && after < earliest {
        up(earliest)
    } else {
        after
    }
}

/// The second that a time lies in.
fn down(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// The next second, if a time lies within one.
fn up(time: Timestamp) -> Timestamp {
    let seconds = time.as_second() + i64::from(time.subsec_nanosecond() > 0);
    Timestamp::from_second(seconds).unwrap_or(time)
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

    /// It counts calls by the minute alone, and none is free.
    pub(crate) fn rate_limiter(self, now: Instant) -> RateLimiter {
        RateLimiter::new(self.bucket(now), u32::MAX)
    }

    /// What is left in the bucket and what comes into it within a minute are one call less than permitted together: that
    /// one may have been paid for earlier, and have waited for its turn since.
    fn bucket(self, now: Instant) -> TokenBucket {
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
    fn a_filter_takes_all_names_that_are_known_and_not_3_000() {
        let all = || EventType::DOCUMENTED.iter().cloned();
        let many = || (0..3_000).map(|number| format!("TYPE_{number}"));
        let streaming = AdminLogsStreaming::default;
        assert!(streaming().event_types(all()).check().is_ok());
        assert!(AdminLogs::new().event_types(all()).check().is_ok());
        assert_refused(streaming().event_types(many()).check(), "3000 event types");
        assert_refused(
            AdminLogs::new().event_types(many()).check(),
            "ask for fewer",
        );
        // A name of one character that a URL has to spell with six.
        let longest = |rest: usize| "é".repeat(LONGEST_FILTER / 6) + &"x".repeat(rest);
        let rest = LONGEST_FILTER % 6;
        assert!(streaming().event_types([longest(rest)]).check().is_ok());
        assert_refused(
            streaming().event_types([longest(rest + 1)]).check(),
            "7169 bytes",
        );
    }

    #[test]
    fn a_range_has_a_beginning_before_its_end_and_times_that_can_be_written() {
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
    fn the_bucket_and_what_comes_into_it_leave_room_for_one_call_on_its_way() {
        let now = Moment::read_clocks().monotonic;
        for (calls, at_once, evenly) in [(3, 1.0, 1.0), (60, 3.0, 56.0), (1_000, 50.0, 949.0)] {
            let bucket = TokenBucket::full(at_once, evenly, now);
            assert_eq!(CallsPerMinute(calls).bucket(now), bucket);
        }
    }
}
