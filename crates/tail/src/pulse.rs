//! [`Pulse`]: the proof that the main loop still runs.
//!
//! A health check can't see a loop that is stuck. The pulse beats each time that the loop has been
//! polled and has returned, at least every [`BEAT`]. A loop that blocks its thread has no pulse.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::select;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// The longest time between two beats of a loop that runs.
const BEAT: Duration = Duration::from_secs(1);

/// The pulse of the main loop.
pub(crate) struct Pulse {
    started: Instant,
    /// The time of the last beat, in milliseconds after `started`.
    last: AtomicU64,
}

impl Pulse {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            last: AtomicU64::new(0),
        }
    }

    /// Runs the main loop, and beats meanwhile.
    pub(crate) async fn of<F: Future>(&self, main_loop: F) -> F::Output {
        let mut main_loop = pin!(main_loop);
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            select! {
                biased;
                output = &mut main_loop => return output,
                _ = beats.tick() => self.last.store(self.age(), Ordering::Relaxed),
            }
        }
    }

    /// Returns the time since the last beat.
    pub(crate) fn silence(&self) -> Duration {
        let last = self.last.load(Ordering::Relaxed);
        Duration::from_millis(self.age().saturating_sub(last))
    }

    fn age(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
