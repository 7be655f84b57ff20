//! [`Report`]: positions, status and errors on standard error.
//!
//! In a pipe or a log, the report prints a line `position P` when all events before P were written,
//! the status when it changes, and the progress in the past now and then. On a terminal, one live
//! [`StatusLine`] takes their place. A failure is a line on both. If it lasts, it is repeated with
//! exponentially growing pauses, so that it does not fill a log. The texts of errors say what the
//! user can do.

mod narrow_term;
mod pipe;
mod rate;
mod status_line;
mod terminal;

use std::future::pending;
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use box_longpoll::enterprise::HistoryProgress;
use box_longpoll::monitoring::Statistics;
use box_longpoll::{Error, ErrorKind, Event, StartAt, Status};
use jiff::Timestamp;
use tokio::time::{Instant, Sleep, sleep};

pub(crate) use self::pipe::flush;
use self::status_line::StatusLine;
pub(crate) use self::terminal::{print_line, remove_status_line, without_status_line};
use crate::output::Retry;

/// The time for which a stream must listen without a failure before it counts as recovered. Without
/// it, a stream that fails directly after each retry would print two lines for each retry.
const STABLE_AFTER: Duration = Duration::from_secs(1);

/// The first pause before a failure that lasts is printed again. Each repetition doubles the pause.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// The longest pause before a failure that lasts is printed again.
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);

/// The time between two lines about the progress in the past.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// Reports the position and the status of the stream when they change.
pub(crate) struct Report {
    /// The start of the next run: all events before it were written.
    resume_at: StartAt,
    /// The position that was printed last.
    printed: Option<StartAt>,
    live: Live,
    /// `true` if the next run finds the position by itself.
    keeps_position: bool,
    /// The time of the last line about the progress in the past.
    progress_at: Option<Instant>,
    state: State,
    /// The live line. `None` if standard error is not a terminal.
    status_line: Option<StatusLine>,
}

/// The way in which live events arrive.
#[derive(Clone, Copy)]
pub(crate) enum Live {
    /// A realtime server signals a user's events.
    Listening,
    /// An enterprise's events are fetched at an interval.
    AtAnInterval,
}

/// The status of the stream that was printed last.
enum State {
    /// Nothing was printed yet.
    Starting,
    /// The stream works as it should, and does this.
    Working(&'static str),
    /// The stream fails.
    Failing(Failure),
}

/// A failure that lasts.
struct Failure {
    text: String,
    printed_at: Instant,
    /// The time after `printed_at` for which the failure is not printed again.
    pause: Duration,
    /// The timer of [`STABLE_AFTER`], and the activity of the stream. It runs once the stream works
    /// again.
    stable: Option<(Pin<Box<Sleep>>, &'static str)>,
}

/// Prints the time before which every event was written, if one is proven.
pub(crate) fn complete_until(time: Option<SystemTime>) {
    if let Some(time) = time {
        print_line(&format!("complete until {}", to_the_second(time)));
    }
}

/// Returns the texts of an error and of its causes, without repetitions.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let cause_text = error.to_string();
        if !text.contains(&cause_text) {
            text += &format!(": {cause_text}");
        }
        cause = error.source();
    }
    // Control characters could control the terminal.
    text.replace(char::is_control, " ")
}

impl Report {
    pub(crate) fn new(start: StartAt, live: Live) -> Self {
        let is_time = matches!(start, StartAt::Since(_));
        Self {
            printed: is_time.then(|| start.clone()),
            resume_at: start,
            live,
            keeps_position: false,
            progress_at: None,
            state: State::Starting,
            status_line: StatusLine::new(),
        }
    }

    /// Notes whether the next run finds the position by itself, in a file or a database.
    pub(crate) fn with_kept_position(self, keeps_position: bool) -> Self {
        Self {
            keeps_position,
            ..self
        }
    }

    /// Records a position, and prints it if it is new and there is no status line. Call this only
    /// when all events before the position were written.
    pub(crate) fn position(&mut self, position: &StartAt) {
        if matches!(position, StartAt::Now | StartAt::Oldest) {
            return;
        }
        self.resume_at = position.clone();
        if self.status_line.is_none() {
            self.print_position();
        }
    }

    /// Prints the last position, if it was not printed yet.
    pub(crate) fn print_position(&mut self) {
        let text = match &self.resume_at {
            // A position of the server may contain any characters.
            StartAt::At(position) => position.as_str().escape_debug().to_string(),
            StartAt::Since(_) => self.resume_at.to_string(),
            StartAt::Now | StartAt::Oldest => return,
        };
        if self.printed.as_ref() != Some(&self.resume_at) {
            print_line(&format!("position {text}"));
            self.printed = Some(self.resume_at.clone());
        }
    }

    /// Counts events that were written.
    pub(crate) fn wrote(&mut self, events: &[Event]) {
        if let Some(line) = &mut self.status_line {
            line.wrote(events);
        }
    }

    /// Prints that the stream listens, or reads the past, or the reason why it doesn't. Other
    /// statuses are not printed.
    pub(crate) fn status(&mut self, status: &Status, statistics: &Statistics) {
        if let Some(line) = &mut self.status_line {
            line.show(status, statistics);
        }
        match status {
            Status::Listening { .. } => self.working("listening"),
            // A stream that has more events to fetch waits too, for its turn.
            Status::Waiting { .. }
                if matches!(self.live, Live::AtAnInterval) && statistics.is_caught_up =>
            {
                self.working("following live events");
            }
            Status::ReadingHistory(progress) => {
                self.working("reading past events");
                self.print_progress(progress);
            }
            Status::Retrying { until, .. }
            | Status::Degraded { until, .. }
            | Status::NotSaving { until, .. } => self.failing(status.to_string(), *until),
            _ => {}
        }
    }

    /// Prints that the events of a page can't be written, and the time of the next attempt.
    pub(crate) fn retry(&mut self, retry: &Retry) {
        if let Some(line) = &mut self.status_line {
            line.output_failed();
        }
        self.failing(retry.to_string(), retry.at.try_into().unwrap_or(UNIX_EPOCH));
    }

    /// Prints the activity of the stream if it is new, or if it is stable after a failure.
    fn working(&mut self, activity: &'static str) {
        match &mut self.state {
            State::Working(before) if *before == activity => {}
            State::Starting | State::Working(_) => self.print_activity(activity),
            State::Failing(failure) => {
                let timer = || (Box::pin(sleep(STABLE_AFTER)), activity);
                failure.stable.get_or_insert_with(timer).1 = activity;
            }
        }
    }

    /// Prints the progress in the past, unless it was printed a moment ago.
    fn print_progress(&mut self, progress: &HistoryProgress) {
        let is_due = self
            .progress_at
            .is_none_or(|at| at.elapsed() >= PROGRESS_INTERVAL);
        if self.status_line.is_none() && is_due {
            print_line(&progress.to_string());
            self.progress_at = Some(Instant::now());
        }
    }

    fn print_activity(&mut self, activity: &'static str) {
        if self.status_line.is_none() {
            print_line(activity);
        }
        self.state = State::Working(activity);
    }

    /// Prints a failure if it is new, or if its pause is over.
    fn failing(&mut self, text: String, until: SystemTime) {
        let pause = match &mut self.state {
            State::Failing(failure) if failure.text == text => {
                failure.stable = None;
                if failure.printed_at.elapsed() < failure.pause {
                    return;
                }
                LONGEST_PAUSE.min(failure.pause * 2)
            }
            _ => FIRST_PAUSE,
        };
        print_line(&format!("{text}; next try at {}", to_the_second(until)));
        self.state = State::Failing(Failure {
            text,
            printed_at: Instant::now(),
            pause,
            stable: None,
        });
    }

    /// Waits until the report has something to show without a new status: that the stream has worked
    /// for [`STABLE_AFTER`] after a failure, or the present numbers in the status line. Waits forever
    /// if there is no such thing.
    pub(crate) async fn refresh(&mut self) {
        let activity = tokio::select! {
            activity = self.state.recovered() => activity,
            () = tick(self.status_line.as_mut()) => return,
        };
        self.print_activity(activity);
    }

    /// Returns the advice how to resume after all events that were written.
    pub(crate) fn resume(&self) -> String {
        match &self.resume_at {
            _ if self.keeps_position => "resume with the same command".into(),
            StartAt::At(position) => {
                format!("resume with --from {}", position.as_str().escape_debug())
            }
            StartAt::Oldest => "resume with --from oldest".into(),
            StartAt::Since(_) => format!("resume with --from \"{}\"", self.resume_at),
            StartAt::Now => "start again: there is no position to resume at yet".into(),
        }
    }

    /// Returns the text of the error that stopped the stream, with the remedy.
    pub(crate) fn stopped(&self, error: &Error) -> String {
        let resume = self.resume();
        let kind = error.kind();
        let error = with_causes(error);
        match kind {
            // The same start would be refused again.
            ErrorKind::Config => error,
            ErrorKind::PositionRejected | ErrorKind::PageUndecodable if self.keeps_position => {
                format!(
                    "{error}: this place is kept for the next run: `box-tail positions --help` says \
                     how to move it; expect a gap"
                )
            }
            ErrorKind::Forbidden => {
                format!(
                    "{error}: grant the application and its user the right to read events, and \
                     {resume}"
                )
            }
            ErrorKind::PositionRejected => {
                let gap = match &self.resume_at {
                    StartAt::At(position) => {
                        format!("a gap after {}", position.as_str().escape_debug())
                    }
                    StartAt::Now | StartAt::Oldest | StartAt::Since(_) => "a gap".into(),
                };
                format!(
                    "{error}: start again with --from oldest or with --from now, and expect {gap}"
                )
            }
            ErrorKind::PageUndecodable => format!(
                "{error}: skip it with --from now, which also skips all events since then; or \
                 {resume} when it can be read"
            ),
            ErrorKind::Runtime => {
                format!("{error}: this machine cannot send such a request; {resume}")
            }
            _ => format!("{error}; {resume}"),
        }
    }
}

impl State {
    /// Waits until the stream has worked for [`STABLE_AFTER`] after a failure, and returns its
    /// activity. Waits forever if there is no failure.
    async fn recovered(&mut self) -> &'static str {
        let Self::Failing(Failure {
            stable: Some((stable, activity)),
            ..
        }) = self
        else {
            return pending().await;
        };
        stable.await;
        activity
    }
}

/// Shows the present numbers in the status line after a moment. Waits forever if there is none.
async fn tick(status_line: Option<&mut StatusLine>) {
    match status_line {
        Some(line) => line.tick().await,
        None => pending().await,
    }
}

/// Returns a time without the fraction of its second.
fn to_the_second(time: SystemTime) -> String {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::MAX);
    format!("{time:.0}")
}
