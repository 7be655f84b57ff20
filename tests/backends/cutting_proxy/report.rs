//! The promises that the streams of a combination keep, in numbers.

use std::fmt;
use std::time::Duration;

use super::{Combination, MINUTES, Stream, now, relay};

/// The measured results of a combination.
pub(super) struct Report {
    pub(super) combination: Combination,
    streams: usize,
    polls: usize,
    cuts: usize,
    /// The smallest share of its time in which a stream had an open poll, from 0 to 1.
    share: f64,
    /// The longest time without an open poll between two polls.
    longest_gap: Duration,
    most_polls_before_an_event: usize,
    most_requests_between_polls: usize,
    /// The time between the append and the delivery of each event, sorted.
    delays: Vec<Duration>,
    warnings: Vec<String>,
}

impl Report {
    pub(super) fn of(combination: Combination, streams: &[Stream], warnings: Vec<String>) -> Self {
        let end = now();
        let polls = || streams.iter().map(|stream| &stream.relay.polls);
        let mut delays: Vec<Duration> = Vec::new();
        for stream in streams {
            let events = stream.events.borrow();
            delays.extend(
                events
                    .iter()
                    .map(|event| event.received.unwrap() - event.at),
            );
        }
        delays.sort();
        let most = |count: fn(&Stream) -> usize| streams.iter().map(count).max().unwrap_or(0);
        Self {
            combination,
            streams: streams.len(),
            polls: polls().map(|polls| polls.list().len()).sum(),
            cuts: polls().map(relay::Polls::cuts).sum(),
            share: polls()
                .map(|polls| polls.share_open(end))
                .fold(1.0, f64::min),
            longest_gap: polls()
                .map(relay::Polls::longest_gap)
                .max()
                .unwrap_or_default(),
            most_polls_before_an_event: most(Stream::most_polls_before_an_event),
            most_requests_between_polls: most(Stream::most_requests_between_polls),
            delays,
            warnings,
        }
    }

    /// Returns a percentile of the delays of the events.
    fn percentile(&self, percent: usize) -> Duration {
        self.delays[(self.delays.len() - 1) * percent / 100]
    }

    /// Returns the broken promises that can be counted, or `None`. They do not depend on the speed
    /// of the machine.
    pub(super) fn broken_by_count(&self) -> Option<String> {
        self.broken(&[
            (
                self.most_polls_before_an_event > 1,
                "an event is delivered later than by the next poll",
            ),
            (
                self.most_requests_between_polls > 3,
                "there are too many requests between two polls",
            ),
            (!self.warnings.is_empty(), "something is logged"),
        ])
    }

    /// Returns the broken promises about times, or `None`.
    pub(super) fn broken_by_time(&self) -> Option<String> {
        // One warning an hour is permitted, and all streams together run for an hour at most.
        assert!(MINUTES.as_secs() * self.streams as u64 <= 3_600);
        self.broken(&[
            (self.share < 0.98, "a poll is open too seldom"),
            (
                self.percentile(100) > Duration::from_secs(5),
                "an event is late",
            ),
            (
                self.most_polls_before_an_event > 1,
                "an event is delivered later than by the next poll",
            ),
            (self.warnings.len() > 1, "more is logged than once an hour"),
        ])
    }

    fn broken(&self, promises: &[(bool, &str)]) -> Option<String> {
        let broken = promises.iter().filter(|(broken, _)| *broken);
        let what: Vec<&str> = broken.map(|(_, what)| *what).collect();
        let logged = self.warnings.first();
        (!what.is_empty()).then(|| format!("{}: {what:?} {logged:?}", self.combination))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:29} {:3} polls, {:2} cut, open {:6.2} %, longest gap {:7.1} ms; {:2} events, \
             late p50 {:6.1} ms, p99 {:7.1} ms, max {:7.1} ms; {} warnings",
            self.combination.to_string(),
            self.polls,
            self.cuts,
            100.0 * self.share,
            ms(self.longest_gap),
            self.delays.len(),
            ms(self.percentile(50)),
            ms(self.percentile(99)),
            ms(self.percentile(100)),
            self.warnings.len(),
        )
    }
}

fn ms(time: Duration) -> f64 {
    1_000.0 * time.as_secs_f64()
}
