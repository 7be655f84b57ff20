//! [`Service`]: the state of the program, for the service manager that has started it, such as
//! systemd.
//!
//! The program says when it follows the stream, that it makes progress, and when it ends. A timer
//! decides only when to look for progress: each step of the stream, and of the output, has a time
//! in which it ends. A stream that retries makes progress, because a restart would not help it.

#[cfg(unix)]
mod manager;
#[cfg(not(unix))]
#[path = "service/no_manager.rs"]
mod manager;

use std::future::pending;
use std::time::Duration;

use box_longpoll::{Status, StreamHandle};
use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};

use crate::output::Retry;

/// The longest time for which a realtime server holds a poll. The library permits no more.
const LONGEST_POLL: Duration = Duration::from_secs(1_200);

/// The time in which a request ends, with the pause for a rate limit before it.
const LONGEST_REQUEST: Duration = Duration::from_secs(5 * 60);

/// The watchdog's time if the service manager has no watchdog. It is the time in which systemd
/// wants a service to start, and the program extends it.
const DEFAULT_WATCHDOG: Duration = Duration::from_secs(90);

/// The shortest time between two messages about the past that is read.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// The program as a service. Without a service manager, it does nothing.
pub(crate) struct Service {
    is_supervised: bool,
    is_ready: bool,
    /// The time after which the service manager restarts a program that reports no progress.
    watchdog: Duration,
    /// The time to report progress next.
    next_beat: Instant,
    /// The time at which the current step of the stream or the output has to be over.
    step_ends: Instant,
    /// The time limit of the page that is being written.
    page_limit: Duration,
    status: String,
    status_sent: Instant,
}

impl Service {
    /// Returns the service that the environment describes.
    pub(crate) fn of_environment() -> Self {
        let now = Instant::now();
        Self {
            is_supervised: manager::is_there(),
            is_ready: false,
            watchdog: manager::watchdog().unwrap_or(DEFAULT_WATCHDOG),
            next_beat: now,
            step_ends: now + LONGEST_REQUEST,
            page_limit: Duration::ZERO,
            status: String::new(),
            status_sent: now,
        }
    }

    /// Returns `true` if there is a service manager.
    pub(crate) fn is_supervised(&self) -> bool {
        self.is_supervised
    }

    /// Takes note of the stream's status. Call this after each change.
    pub(crate) fn stream(&mut self, stream: &StreamHandle) {
        let status = &stream.status();
        self.step_may_last(longest(status));
        match status {
            Status::Listening { .. } | Status::Degraded { .. } | Status::ReadingHistory(_) => {
                self.ready();
            }
            // A stream that has not begun yet waits too.
            Status::Waiting { .. } if stream.complete_until().is_some() => self.ready(),
            _ => {}
        }
        match status {
            // These are over in a moment.
            Status::Authorizing | Status::Fetching | Status::Listing | Status::Delivering => {}
            Status::ReadingHistory(_) if self.status_sent.elapsed() < STATUS_INTERVAL => {}
            _ => self.status(&status.to_string()),
        }
        self.beat();
    }

    /// Takes note that the output gets a page. The page should take no longer than `limit` and the
    /// watchdog's time. As Box has sent events, the program follows the stream.
    pub(crate) fn page_begins(&mut self, limit: Duration) {
        self.ready();
        self.page_limit = limit;
        self.step_may_last(limit);
    }

    /// Takes note that the output has failed, and retries.
    pub(crate) fn page_is_retried(&mut self, retry: &Retry) {
        self.step_may_last(time_until(retry.at) + self.page_limit);
        self.status(&retry.to_string());
    }

    /// Takes note that the output has a page.
    pub(crate) fn page_ended(&mut self) {
        self.beat();
    }

    /// Reports that the files are opened again.
    pub(crate) fn reload_begins(&self) {
        if self.is_supervised {
            manager::send_reloading();
        }
    }

    /// Reports that the files are open again.
    pub(crate) fn reload_ended(&self) {
        self.send("READY=1");
    }

    /// Reports that the program is about to end.
    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// Waits until it is time to report progress, and reports it if there is some.
    ///
    /// # Cancellation
    ///
    /// No report is lost if you drop the future and call this again.
    pub(crate) async fn next_beat(&mut self) {
        if !self.is_supervised {
            return pending().await;
        }
        sleep_until(self.next_beat).await;
        self.beat();
    }

    fn beat(&mut self) {
        let now = Instant::now();
        if now < self.next_beat {
            return;
        }
        self.next_beat = now + self.watchdog / 3;
        if now < self.step_ends {
            if self.is_ready {
                self.send("WATCHDOG=1");
            } else {
                let time = self.watchdog.as_micros();
                self.send(&format!("EXTEND_TIMEOUT_USEC={time}"));
            }
        }
    }

    fn step_may_last(&mut self, time: Duration) {
        self.step_ends = Instant::now() + time + self.watchdog;
    }

    fn ready(&mut self) {
        if !self.is_ready {
            self.is_ready = true;
            self.send("READY=1");
        }
    }

    /// Sends the line that the service manager shows, if it is new.
    fn status(&mut self, status: &str) {
        if self.status != status {
            status.clone_into(&mut self.status);
            self.status_sent = Instant::now();
            self.send(&format!("STATUS={status}"));
        }
    }

    fn send(&self, message: &str) {
        if self.is_supervised {
            manager::send(message);
        }
    }
}

/// Returns the time for which a stream may keep a status.
fn longest(status: &Status) -> Duration {
    match status {
        Status::Listening { .. } => LONGEST_POLL,
        Status::Waiting { until, .. }
        | Status::Retrying { until, .. }
        | Status::Degraded { until, .. }
        | Status::NotSaving { until, .. } => {
            let until = Timestamp::try_from(*until).unwrap_or(Timestamp::MAX);
            time_until(until) + LONGEST_REQUEST
        }
        _ => LONGEST_REQUEST,
    }
}

fn time_until(time: Timestamp) -> Duration {
    let pause = time.duration_since(Timestamp::now());
    Duration::try_from(pause).unwrap_or_default()
}
