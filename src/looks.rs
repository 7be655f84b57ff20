//! The looks at the clocks, by which a machine that slept is noticed: the streams of a client share them out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::handle::Board;
use crate::protocol::TICK;
use crate::transport::Moment;

/// So many streams look at a moment, or some more. They are drawn, and one of them is enough: it tells the others.
const AT_ONCE: usize = 32;

/// Among however many streams, each looks once in so many moments at the least: those that would tell it may not be polled.
const SELDOM: usize = 40;

/// When the streams of a family look at the clocks. All moments are multiples of [`TICK`] apart, so that they wake the
/// machine once.
pub(crate) struct Looks {
    since: Instant,
    state: Mutex<State>,
}

struct State {
    last: Moment,
    streams: HashMap<u64, Arc<Board>>,
    joined: u64,
    /// The most streams among which one was drawn.
    drawn_among: usize,
}

impl Looks {
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            since: now.monotonic,
            state: Mutex::new(State {
                last: now,
                streams: HashMap::new(),
                joined: 0,
                drawn_among: 0,
            }),
        }
    }

    /// Lets a stream share in the looks, as long as the place is kept.
    pub(crate) fn join(&self, board: Arc<Board>) -> Place<'_> {
        let mut state = self.state();
        state.joined += 1;
        let number = state.joined;
        state.streams.insert(number, board);
        Place {
            looks: self,
            number,
        }
    }

    /// A stream looks: where the machine has slept since somebody looked, all have to.
    pub(crate) fn look(&self, now: Moment) {
        let mut state = self.state();
        let slept = now.has_slept_since(state.last);
        state.last = now;
        let streams = if slept { state.all() } else { Vec::new() };
        drop(state);
        tell(&streams);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn all(&self) -> Vec<Arc<Board>> {
        self.streams.values().cloned().collect()
    }
}

/// Without the lock: who is woken may ask for it.
fn tell(streams: &[Arc<Board>]) {
    for board in streams {
        board.tell_to_look();
    }
}

/// A stream's share in the looks.
pub(crate) struct Place<'a> {
    looks: &'a Looks,
    number: u64,
}

impl Place<'_> {
    /// How long until the stream has to look.
    pub(crate) fn draw(&self, now: Instant) -> Duration {
        let ticking = now.saturating_duration_since(self.looks.since);
        let past = ticking.as_secs_f64() % TICK.as_secs_f64();
        let mut state = self.looks.state();
        let streams = state.streams.len();
        state.drawn_among = state.drawn_among.max(streams);
        drop(state);
        let moments = (streams / AT_ONCE).clamp(1, SELDOM);
        let passed_over = u32::try_from(fastrand::usize(..moments)).unwrap_or(0);
        TICK.saturating_sub(Duration::from_secs_f64(past)) + TICK * passed_over
    }
}

/// Where half of the streams have gone, the others draw anew: they had drawn among too many.
impl Drop for Place<'_> {
    fn drop(&mut self) {
        // Declared before the lock and so dropped after it: a board may be the last to have its stream's waker.
        let _board;
        let mut state = self.looks.state();
        _board = state.streams.remove(&self.number);
        let left = state.streams.len();
        // Among fewer than twice as many all look at every moment, as they would if they drew anew.
        if state.drawn_among < 2 * AT_ONCE || left * 2 > state.drawn_among {
            return;
        }
        state.drawn_among = left;
        let streams = state.all();
        drop(state);
        tell(&streams);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::task::{Context, Wake, Waker};
    use std::thread;

    use super::*;
    use crate::status::Status;

    /// A task that is ended with its waker, as some executors do, and has a stream that looks.
    struct Reentrant(Arc<Looks>, Moment);

    impl Wake for Reentrant {
        fn wake(self: Arc<Self>) {}
    }

    impl Drop for Reentrant {
        fn drop(&mut self) {
            self.0.look(self.1);
        }
    }

    /// Longer than any of it takes, where nothing waits for itself.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn looks_are_unlocked_while_a_board_is_dropped() {
        let (done, outcome) = mpsc::channel();
        thread::spawn(move || {
            let now = Moment::read_clocks();
            let looks = Arc::new(Looks::new(now));
            let board = Arc::new(Board::new(Status::Fetching, None));
            let waker = Waker::from(Arc::new(Reentrant(looks.clone(), now)));
            board.register(&Context::from_waker(&waker));
            drop(waker);
            drop(looks.join(board));
            done.send(()).unwrap();
        });
        assert!(outcome.recv_timeout(PATIENCE).is_ok(), "it hangs");
    }

    fn boards(count: usize) -> Vec<Arc<Board>> {
        let board = || Arc::new(Board::new(Status::Fetching, None));
        std::iter::repeat_with(board).take(count).collect()
    }

    fn told(boards: &[Arc<Board>]) -> usize {
        boards
            .iter()
            .filter(|board| board.is_told_to_look())
            .count()
    }

    /// How many of so many streams look at the first moment, and the last moment at which one does.
    fn drawn(count: usize) -> (usize, u64) {
        let now = Moment::read_clocks();
        let looks = Looks::new(now);
        let places: Vec<_> = boards(count)
            .into_iter()
            .map(|board| looks.join(board))
            .collect();
        let mut at_the_first = 0;
        let mut last = 0;
        for place in &places {
            let until = place.draw(now.monotonic + TICK / 5) + TICK / 5;
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
        let mut now = Moment::read_clocks();
        let looks = Looks::new(now);
        let boards = boards(100);
        let _places: Vec<_> = boards
            .iter()
            .map(|board| looks.join(board.clone()))
            .collect();
        let mut pass = |awake, asleep| {
            now.monotonic += awake;
            now.wall += awake + asleep;
            looks.look(now);
            told(&boards)
        };
        assert_eq!(pass(TICK, Duration::ZERO), 0);
        assert_eq!(pass(TICK, Duration::from_secs(60)), 100);
        assert_eq!(pass(TICK, Duration::ZERO), 0);
    }

    #[test]
    fn those_who_stay_when_half_have_gone_draw_anew() {
        let now = Moment::read_clocks();
        let looks = Looks::new(now);
        let boards = boards(1_000);
        let mut places: Vec<_> = boards
            .iter()
            .map(|board| looks.join(board.clone()))
            .collect();
        for place in &places {
            place.draw(now.monotonic);
        }
        places.truncate(501);
        assert_eq!(told(&boards), 0);
        places.truncate(500);
        assert_eq!(told(&boards[..500]), 500);
        places.truncate(1);
        assert_eq!(told(&boards[..1]), 1);
        assert!(places[0].draw(now.monotonic) <= TICK);
    }
}
