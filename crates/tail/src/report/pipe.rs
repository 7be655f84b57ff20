//! Lines to a pipe that perhaps nobody reads, such as `2>&1 | less`.
//!
//! A thread writes them, so that the main loop still reacts to signals. As long as somebody reads,
//! [`write()`] returns after the line was written, so lines and events stay in order.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::mem;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The time after which a line that is not read does not delay the program any more. A reader on a
/// busy machine is faster.
const PATIENCE: Duration = Duration::from_secs(1);

/// The most lines that wait for the thread. The oldest ones are dropped.
const MAX_LINES: usize = 1_000;

static LINES: LazyLock<Lines> = LazyLock::new(Lines::start);

struct Lines {
    state: Mutex<State>,
    /// Signals each change of the state.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<String>,
    is_writing: bool,
    /// The number of lines that were dropped since the last write.
    dropped: usize,
    /// `true` if the present write has lasted too long.
    is_stuck: bool,
}

/// Writes the line. If nobody reads, this returns after [`PATIENCE`], or at once if it was so for
/// the line before. If nobody reads for long, lines are dropped, and a line says how many.
pub(super) fn write(line: String) {
    let mut state = LINES.state();
    state.waiting.push_back(line);
    if state.waiting.len() > MAX_LINES {
        state.waiting.pop_front();
        state.dropped += 1;
    }
    LINES.changed.notify_all();
    if !state.is_stuck {
        LINES.wait(state);
    }
}

/// Waits until all lines are written, or for [`PATIENCE`] if nobody reads them.
pub(crate) fn flush() {
    LINES.wait(LINES.state());
}

impl Lines {
    fn start() -> Self {
        // The thread waits until this value is in place.
        thread::spawn(|| LINES.write_all());
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, state: MutexGuard<'_, State>) {
        let is_busy = |state: &mut State| state.is_writing || !state.waiting.is_empty();
        let waited = self.changed.wait_timeout_while(state, PATIENCE, is_busy);
        let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_stuck = timeout.timed_out();
    }

    /// Writes lines forever.
    fn write_all(&self) {
        loop {
            let mut state = self.state();
            let line = loop {
                if let Some(line) = state.waiting.pop_front() {
                    break line;
                }
                let waited = self.changed.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
            };
            state.is_writing = true;
            let text = match mem::take(&mut state.dropped) {
                0 => line,
                dropped => {
                    format!("{dropped} lines were dropped, because nobody read them\n{line}")
                }
            };
            drop(state);
            let _ = io::stderr().write_all(text.as_bytes());
            let mut state = self.state();
            state.is_writing = false;
            state.is_stuck = false;
            self.changed.notify_all();
        }
    }
}
