//! All that is said on standard error.

use std::future::pending;
use std::io::{self, Write as _};
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use box_longpoll::{Error, ErrorKind, StartAt, Status, StreamPosition};
use jiff::Timestamp;
use tokio::time::{Instant, Sleep, sleep};

/// A stream that listens again and fails within this time has not recovered.
const STEADY: Duration = Duration::from_secs(1);

/// So long a trouble that lasts is not told again, at first. Each time that it is told doubles that.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// No pause gets longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);

/// Tells where the stream is and what it is doing, each when it changes.
pub(crate) struct Report {
    /// Where to resume: everything before it was written.
    at: StartAt,
    told: Option<StreamPosition>,
    state: State,
}

/// What was last said of the stream's doing.
enum State {
    /// Nothing yet.
    Starting,
    Listening,
    Troubled(Trouble),
}

/// A failure that lasts.
struct Trouble {
    what: String,
    told_at: Instant,
    /// How long it is not told again.
    pause: Duration,
    /// Once the stream listens again, the time that it must keep doing so.
    steady: Option<Pin<Box<Sleep>>>,
}

/// Says something on standard error, in one piece, so that a line is there whole or not at all.
///
/// Where nobody reads, there is nobody to tell either.
pub(crate) fn say(line: &str) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Returns an error's text and those of its causes, as far as one does not repeat another.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text += &format!(": {said}");
        }
        cause = error.source();
    }
    // A terminal obeys what it is sent.
    text.replace(char::is_control, " ")
}

impl Report {
    pub(crate) fn new(start: StartAt) -> Self {
        Self {
            at: start,
            told: None,
            state: State::Starting,
        }
    }

    /// To be called with positions whose events have been written.
    pub(crate) fn position(&mut self, position: Option<&StreamPosition>) {
        let Some(position) = position else { return };
        if self.told.as_ref() != Some(position) {
            // Box may put anything into it.
            say(&format!("position {}", position.as_str().escape_debug()));
            self.at = position.into();
            self.told = Some(position.clone());
        }
    }

    /// Tells what a reader should know: that it listens, or why it doesn't. The steps in between are left out.
    pub(crate) fn status(&mut self, status: &Status) {
        match status {
            Status::Listening { .. } => match &mut self.state {
                State::Starting => self.recovered(),
                State::Listening => {}
                State::Troubled(trouble) => {
                    let steady = || Box::pin(sleep(STEADY));
                    trouble.steady.get_or_insert_with(steady);
                }
            },
            Status::Retrying { until, .. }
            | Status::Degraded { until, .. }
            | Status::NotSaving { until, .. } => self.troubled(status.to_string(), *until),
            _ => {}
        }
    }

    /// Tells what troubles the stream when that is new, and now and then while it lasts.
    fn troubled(&mut self, what: String, until: SystemTime) {
        let pause = match &mut self.state {
            State::Troubled(trouble) if trouble.what == what => {
                trouble.steady = None;
                if trouble.told_at.elapsed() < trouble.pause {
                    return;
                }
                LONGEST_PAUSE.min(trouble.pause * 2)
            }
            _ => FIRST_PAUSE,
        };
        say(&format!("{what}; next try at {}", written(until)));
        self.state = State::Troubled(Trouble {
            what,
            told_at: Instant::now(),
            pause,
            steady: None,
        });
    }

    /// Waits until trouble has been over for a while; for ever where there is none.
    pub(crate) async fn steady(&mut self) {
        match &mut self.state {
            State::Troubled(Trouble {
                steady: Some(steady),
                ..
            }) => steady.await,
            _ => pending().await,
        }
    }

    pub(crate) fn recovered(&mut self) {
        say("listening");
        self.state = State::Listening;
    }

    /// How to go on after everything that was written.
    pub(crate) fn resume(&self) -> String {
        match &self.at {
            StartAt::At(position) => {
                format!("resume with --from {}", position.as_str().escape_debug())
            }
            StartAt::Oldest => "resume with --from oldest".into(),
            StartAt::Now => "start again: there is no position to resume at yet".into(),
        }
    }

    /// What the stream stopped with, and what to do about it.
    pub(crate) fn stopped(&self, error: &Error) -> String {
        let resume = self.resume();
        let kind = error.kind();
        let error = with_causes(error);
        match kind {
            ErrorKind::Forbidden => {
                format!(
                    "{error}: grant the application and its user the right to read events, and {resume}"
                )
            }
            ErrorKind::PositionRejected => {
                let gap = match &self.at {
                    StartAt::At(position) => {
                        format!("a gap after {}", position.as_str().escape_debug())
                    }
                    StartAt::Now | StartAt::Oldest => "a gap".into(),
                };
                format!(
                    "{error}: start anew with --from oldest, or with --from now, and expect {gap}"
                )
            }
            ErrorKind::PageUndecodable => format!(
                "{error}: skip it with --from now, which skips all that has happened since; or {resume} once it can be read"
            ),
            ErrorKind::Runtime => {
                format!("{error}: this machine can't send such a request; {resume}")
            }
            _ => format!("{error}; {resume}"),
        }
    }
}

/// A time to the second.
fn written(time: SystemTime) -> String {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::MAX);
    format!("{time:.0}")
}
