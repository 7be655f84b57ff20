//! [`StatusLine`]: the state, the lag, the rate and the number of events, on one line of the
//! terminal.

use std::time::{Duration, SystemTime};

use box_longpoll::enterprise::HistoryProgress;
use box_longpoll::monitoring::Statistics;
use box_longpoll::{Event, Status};
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep};

use super::rate::Rate;
use super::terminal;

/// The time after which the numbers are drawn again.
const REFRESH_INTERVAL: Duration = Duration::from_millis(500);

/// The time for which a stream that was idle may fetch until the line shows that. Otherwise the
/// state would flicker with each event.
const BUSY_AFTER: Duration = Duration::from_secs(2);

/// The number of characters of the bar, on a line that has room for it, and on a short one.
const WIDE_BAR: u8 = 20;
const NARROW_BAR: u8 = 8;

/// The number of columns from which a line has room for a wide bar.
const WIDE_LINE: usize = 60;

/// The text between two parts of the line.
const SEPARATOR: &str = " | ";

/// The live line at the end of a terminal.
pub(super) struct StatusLine {
    status: Option<Status>,
    /// The last status in which the stream was idle, and the time at which that ended. `None` if
    /// the stream has not been idle since it failed, or since its start.
    idle: Option<(Status, Instant)>,
    rate: Rate,
    /// The number of events that were written.
    total: u64,
    /// The time at which the last event happened.
    last_event: Option<Timestamp>,
    /// `true` while the events of a page can't be written.
    is_output_failing: bool,
}

impl StatusLine {
    /// Returns the line, unless standard error is not a terminal or can't move its cursor.
    pub(super) fn new() -> Option<Self> {
        terminal::has_status_line().then(|| Self {
            status: None,
            idle: None,
            rate: Rate::new(Instant::now()),
            total: 0,
            last_event: None,
            is_output_failing: false,
        })
    }

    /// Counts events that were written.
    pub(super) fn wrote(&mut self, events: &[Event]) {
        self.rate.add(events.len(), Instant::now());
        self.total += events.len() as u64;
        let last_event = events.iter().rev().find_map(Event::created_at);
        self.last_event = last_event.or(self.last_event);
        self.is_output_failing = false;
    }

    /// Shows that the events of a page can't be written, until they are.
    pub(super) fn output_failed(&mut self) {
        self.is_output_failing = true;
        self.draw();
    }

    /// Shows a status.
    pub(super) fn show(&mut self, status: &Status, statistics: &Statistics) {
        let status = match status {
            // The stream waits for its turn, and not for events.
            Status::Waiting { .. } if !statistics.is_caught_up => &Status::Fetching,
            status => status,
        };
        let before = self.status.replace(status.clone());
        if !is_transient(status) {
            self.idle = None;
        } else if let Some(idle) = before.filter(is_idle) {
            self.idle = Some((idle, Instant::now()));
        }
        self.draw();
    }

    /// Waits for a moment, and shows the present numbers.
    pub(super) async fn tick(&mut self) {
        sleep(REFRESH_INTERVAL).await;
        self.draw();
    }

    fn draw(&mut self) {
        let rate = self.rate.per_second(Instant::now());
        let columns = terminal::columns();
        let text = match self.steady_status() {
            Some(Status::ReadingHistory(progress)) if !self.is_output_failing => {
                let bar = bar(progress.share(), columns);
                let width = columns.saturating_sub(bar.len());
                bar + &fitting(history(progress, rate), width)
            }
            status => fitting(self.parts(status, rate), columns),
        };
        terminal::show(text);
    }

    /// Returns the status, or the last idle one if the stream has been fetching for a moment only.
    fn steady_status(&self) -> Option<&Status> {
        match &self.idle {
            Some((idle, ended)) if ended.elapsed() < BUSY_AFTER => Some(idle),
            _ => self.status.as_ref(),
        }
    }

    /// Returns the parts of the line, the most important one first.
    fn parts(&self, status: Option<&Status>, rate: f64) -> Vec<String> {
        let is_idle = status.is_some_and(is_idle);
        let lag = match self
            .last_event
            .map(|time| Timestamp::now().duration_since(time))
        {
            None => "no event yet".into(),
            Some(age) if is_idle => format!("last event {} ago", rough(age)),
            Some(age) => format!("{} behind", rough(age)),
        };
        let state = if self.is_output_failing {
            "retrying the output".into()
        } else {
            state(status)
        };
        vec![state, lag, events_per_second(rate), events(self.total)]
    }
}

/// Returns a bar for a share of 0 to 1, with a space after it.
fn bar(share: f64, columns: usize) -> String {
    let width = if columns < WIDE_LINE {
        NARROW_BAR
    } else {
        WIDE_BAR
    };
    let is_done = |n: u8| f64::from(n) <= share * f64::from(width);
    let bar: String = (1..=width)
        .map(|n| if is_done(n) { '#' } else { '.' })
        .collect();
    format!("[{bar}] ")
}

/// Returns the parts of the line while past events come in, the most important one first.
fn history(progress: &HistoryProgress, rate: f64) -> Vec<String> {
    let mut parts = vec![format!("{:.0} %", progress.share() * 100.0)];
    let remaining = progress
        .remaining
        .and_then(|time| SignedDuration::try_from(time).ok());
    parts.extend(remaining.map(|time| format!("{} left", rough(time))));
    parts.push(events(progress.events));
    parts.push(events_per_second(rate));
    parts
}

/// Returns `true` if the stream has fetched all events, and waits for others.
fn is_idle(status: &Status) -> bool {
    matches!(status, Status::Listening { .. } | Status::Waiting { .. })
}

/// Returns `true` if the stream is in this status for a moment between two others.
fn is_transient(status: &Status) -> bool {
    matches!(
        status,
        Status::Authorizing
            | Status::Fetching
            | Status::Listing
            | Status::Connecting { .. }
            | Status::Delivering
    )
}

/// Returns the activity of the stream in a few words. The reason of a failure has a line of its own.
fn state(status: Option<&Status>) -> String {
    match status {
        None => "starting".into(),
        Some(Status::Listening { .. }) => "listening".into(),
        Some(Status::Waiting { .. }) => "following".into(),
        Some(Status::Fetching | Status::Delivering) => "fetching events".into(),
        Some(Status::Retrying { until, .. }) => format!("retrying in {}", seconds_until(*until)),
        Some(Status::Degraded { until, .. }) => {
            format!("cannot listen, next fetch in {}", seconds_until(*until))
        }
        Some(Status::NotSaving { until, .. }) => {
            format!("cannot save, retrying in {}", seconds_until(*until))
        }
        Some(status) => status.to_string().replace(char::is_control, " "),
    }
}

/// Joins the parts that fit into a width, in characters. The first one may be cut.
fn fitting(parts: Vec<String>, width: usize) -> String {
    let mut parts = parts.into_iter();
    let first = parts.next().unwrap_or_default();
    let mut text: String = first.chars().take(width).collect();
    for part in parts {
        let longer = text.chars().count() + SEPARATOR.len() + part.chars().count();
        if longer <= width {
            text += SEPARATOR;
            text += &part;
        }
    }
    text
}

fn events(count: u64) -> String {
    match count {
        1 => "1 event".into(),
        _ => format!("{count} events"),
    }
}

fn events_per_second(rate: f64) -> String {
    if rate == 0.0 || rate >= 10.0 {
        format!("{rate:.0} events/s")
    } else {
        format!("{rate:.1} events/s")
    }
}

fn seconds_until(time: SystemTime) -> String {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::MAX);
    rough(time.duration_since(Timestamp::now()))
}

/// Returns a duration in its greatest unit. A negative one counts as zero.
fn rough(duration: SignedDuration) -> String {
    match duration.as_secs().max(0) {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
