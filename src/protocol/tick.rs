//! Noticing that the machine has slept.

use super::drain::Drain;
use super::state::{Asked, Because, Due, Phase};
use super::{Input, LongPoll, SLEPT, TICK};
use crate::transport::{Moment, TransportError, TransportErrorKind};

/// What two looks at the clocks tell.
enum Passed {
    Awake,
    /// The process got no time: it was stopped, it slept where the monotonic clock counts that, or its consumer did not ask.
    Late,
    /// The machine slept, or somebody set its clock.
    Slept,
}

impl Passed {
    fn between(since: Moment, now: Moment) -> Self {
        let awake = now.monotonic.saturating_duration_since(since.monotonic);
        let apart = match now.wall.duration_since(since.wall) {
            Ok(passed) => passed.abs_diff(awake),
            Err(back) => back.duration().saturating_add(awake),
        };
        if apart > SLEPT {
            Self::Slept
        } else if awake > TICK + SLEPT {
            Self::Late
        } else {
            Self::Awake
        }
    }
}

impl LongPoll {
    /// Drops what a sleep has cut off: a poll gives way to a fetch and a new list of servers, a call is made again, and the
    /// pause after a failure ends. A call that is merely late goes on, else it might never end for a consumer that
    /// seldom asks.
    pub(super) fn tick(&mut self, since: Moment, now: Moment) {
        match (Passed::between(since, now), &mut self.phase) {
            (Passed::Late | Passed::Slept, Phase::AwaitAnswer(Asked::Signal { .. })) => {
                self.rotation.discard();
                self.fetch(Drain::default(), Due::now(now));
            }
            (Passed::Slept, Phase::AwaitAnswer(_)) => {
                let cut_off = TransportError::with_source(
                    TransportErrorKind::Interrupted,
                    "the machine has slept meanwhile",
                );
                self.handle_input(Input::Answer(Err(cut_off)), now);
            }
            (Passed::Slept, Phase::Due(due)) if due.because.may_have_passed() => {
                *due = Due::at(now.monotonic, due.because.clone(), now);
            }
            _ => {}
        }
    }
}

impl Because {
    /// Whether it was the network of before the sleep. A server that asked to be left alone is.
    fn may_have_passed(&self) -> bool {
        match self {
            Self::ItsTurn => false,
            Self::Failed(error) | Self::NoServer(error) => error.retry_after().is_none(),
        }
    }
}
