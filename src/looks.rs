//! The looks at the clocks, by which a machine that slept is noticed: the streams of a client share them out.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::handle::Board;
use crate::protocol::TICK;
use crate::transport::Moment;

/// So many streams look at a moment, on average. They are drawn, and one of them is enough: it tells the others.
const AT_ONCE: usize = 32;

/// Among however many streams, each looks once in so many moments, on average: those that tell may not be polled.
const SELDOM: usize = 40;

/// When the streams of a family look at the clocks. All moments are multiples of [`TICK`] apart, so that they wake the
/// machine once.
pub(crate) struct Looks {
    since: Instant,
    state: Mutex<State>,
}

struct State {
    last: Moment,
    streams: Vec<Weak<Board>>,
}

impl Looks {
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            since: now.monotonic,
            state: Mutex::new(State {
                last: now,
                streams: Vec::new(),
            }),
        }
    }

    /// Lets a stream share in the looks, until it has ended.
    pub(crate) fn join(&self, board: &Arc<Board>) {
        let streams = &mut self.state().streams;
        if streams.len() == streams.capacity() {
            streams.retain(|stream| stream.upgrade().is_some_and(|board| !board.is_stopped()));
            // Room for as many again: each that joins would else look through all of them.
            streams.reserve(streams.len() + 1);
        }
        streams.push(Arc::downgrade(board));
    }

    /// How long until a stream has to look, if nothing comes before.
    pub(crate) fn until_next(&self, now: Instant) -> Duration {
        let ticking = now.saturating_duration_since(self.since);
        let past = ticking.as_secs_f64() % TICK.as_secs_f64();
        let moments = (self.state().streams.len() / AT_ONCE).clamp(1, SELDOM);
        let passed_over = u32::try_from(fastrand::usize(..moments)).unwrap_or(0);
        TICK.saturating_sub(Duration::from_secs_f64(past)) + TICK * passed_over
    }

    /// A stream looks: where the machine has slept since somebody looked, all have to.
    pub(crate) fn look(&self, now: Moment) {
        let last = mem::replace(&mut self.state().last, now);
        if now.has_slept_since(last) {
            let streams = self.state().streams.clone();
            for board in streams.iter().filter_map(Weak::upgrade) {
                board.tell_to_look();
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;

    fn with_streams(count: usize) -> (Moment, Looks, Vec<Arc<Board>>) {
        let now = Moment::read_clocks();
        let looks = Looks::new(now);
        let boards: Vec<_> = (0..count)
            .map(|_| Arc::new(Board::new(Status::Fetching, None)))
            .collect();
        for board in &boards {
            looks.join(board);
        }
        (now, looks, boards)
    }

    /// How many of so many streams look at the first moment, and the last moment at which one does.
    fn drawn(count: usize) -> (usize, u64) {
        let (now, looks, boards) = with_streams(count);
        let mut at_the_first = 0;
        let mut last = 0;
        for _ in &boards {
            let until = looks.until_next(now.monotonic + TICK / 5) + TICK / 5;
            let moment = (until.as_secs_f64() / TICK.as_secs_f64()).round();
            assert!(until.abs_diff(TICK.mul_f64(moment)) < Duration::from_millis(1));
            at_the_first += usize::from(until < TICK + TICK / 2);
            last = last.max((until.as_secs() + 1) / TICK.as_secs());
        }
        (at_the_first, last)
    }

    #[test]
    fn a_few_streams_look_at_every_moment_and_of_many_a_few() {
        assert_eq!(drawn(1), (1, 1));
        assert_eq!(drawn(40), (40, 1));
        let (at_the_first, last) = drawn(640);
        assert!((5..100).contains(&at_the_first), "{at_the_first}");
        assert!((15..=20).contains(&last), "{last}");
        let (at_the_first, last) = drawn(10_000);
        assert!((150..350).contains(&at_the_first), "{at_the_first}");
        assert!((39..=40).contains(&last), "{last}");
    }

    #[test]
    fn all_are_told_of_a_sleep_and_nobody_of_time_that_passes() {
        let (mut now, looks, boards) = with_streams(100);
        let mut pass = |awake, asleep| {
            now.monotonic += awake;
            now.wall += awake + asleep;
            looks.look(now);
            boards
                .iter()
                .filter(|board| board.is_told_to_look())
                .count()
        };
        assert_eq!(pass(TICK, Duration::ZERO), 0);
        assert_eq!(pass(TICK, Duration::from_secs(60)), 100);
        assert_eq!(pass(TICK, Duration::ZERO), 0);
    }

    #[test]
    fn streams_that_have_ended_are_forgotten() {
        let (_, looks, mut boards) = with_streams(100);
        let handles = boards.split_off(50);
        for stopped in &handles {
            stopped.stop(None);
        }
        boards.truncate(10);
        for _ in 0..10_000 {
            looks.join(&Arc::new(Board::new(Status::Fetching, None)));
        }
        let streams = looks.state().streams.len();
        assert!((10..=200).contains(&streams), "{streams}");
    }
}
