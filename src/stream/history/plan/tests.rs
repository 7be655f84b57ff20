//! Tests of the plan of a history, in virtual time.

use super::*;

const HOUR: i64 = 3_600;

/// The bytes of a page that Box compresses.
const COMPRESSED: usize = 100_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

fn plan(parallel: usize) -> Plan {
    Plan::new(at(0), 500, parallel)
}

/// Returns a plan that knows a history with a full page in each period of `hours`.
fn experienced(parallel: usize, hours: i64) -> Plan {
    let mut plan = plan(parallel);
    for _ in 0..OBSERVATIONS {
        plan.saw(500, COMPRESSED, at(0)..at(hours * HOUR));
    }
    plan
}

/// Returns the length of the next slice if all slices before it are read.
fn next_length(plan: &mut Plan) -> SignedDuration {
    let slice = plan.cut(at(1_000_000 * HOUR), Unread::default()).unwrap();
    slice.end.duration_since(slice.start)
}

/// Cuts slices side by side, of which nothing is read yet, up to `end`. Returns their lengths.
fn side_by_side(plan: &mut Plan, end: Timestamp, slices: usize) -> Vec<SignedDuration> {
    let mut lengths = Vec::new();
    let mut unread = Unread::default();
    while lengths.len() < slices
        && let Some(slice) = plan.cut(end, unread)
    {
        let length = slice.end.duration_since(slice.start);
        unread.last = length;
        unread.all += length;
        lengths.push(length);
    }
    lengths
}

#[test]
fn slices_are_contiguous_and_end_with_the_history() {
    let mut plan = plan(1);
    let end = at(1_000 * HOUR);
    let cut = |plan: &mut Plan| plan.cut(end, Unread::default());
    assert_eq!(cut(&mut plan), Some(at(0)..at(HOUR)));
    assert_eq!(cut(&mut plan), None, "nothing is known yet");
    plan.saw(114, COMPRESSED, at(0)..at(HOUR));
    let mut reached = at(HOUR);
    while let Some(slice) = cut(&mut plan) {
        assert_eq!(slice.start, reached);
        assert!(slice.end > slice.start);
        reached = slice.end;
        plan.saw(114, COMPRESSED, at(0)..at(HOUR));
    }
    assert_eq!(reached, end);
}

#[test]
fn length_follows_the_events() {
    let mut plan = experienced(1, 1);
    assert_eq!(next_length(&mut plan), hours(36));
    for _ in 0..OBSERVATIONS {
        plan.saw(250, COMPRESSED, at(0)..at(HOUR));
    }
    assert_eq!(next_length(&mut plan), hours(72), "only the latest count");
}

#[test]
fn length_grows_eightfold_at_most() {
    let mut plan = plan(1);
    plan.saw_nothing(at(0)..at(HOUR));
    assert_eq!(next_length(&mut plan), hours(8));
    assert_eq!(next_length(&mut plan), hours(8));
    plan.saw_nothing(at(0)..at(8 * HOUR));
    assert_eq!(next_length(&mut plan), hours(72));
    plan.saw(1, COMPRESSED, at(0)..at(HOUR));
    assert_eq!(next_length(&mut plan), hours(80));
}

#[test]
fn time_before_the_first_events_makes_no_slice_longer() {
    let mut plan = plan(1);
    plan.saw_nothing(at(0)..at(10_000 * HOUR));
    plan.saw(500, COMPRESSED, at(10_000 * HOUR)..at(10_001 * HOUR));
    plan.saw_nothing(at(0)..at(10_000 * HOUR));
    assert_eq!(next_length(&mut plan), hours(36));
}

#[test]
fn time_after_the_first_events_makes_slices_longer() {
    let mut plan = plan(1);
    plan.saw(1, COMPRESSED / 500, at(0)..at(0));
    assert_eq!(next_length(&mut plan), hours(1));
    plan.saw_nothing(at(0)..at(1_000 * HOUR));
    let eight = SignedDuration::from_secs(8);
    assert_eq!(next_length(&mut plan), hours(8_000) + eight);
}

#[test]
fn slices_of_large_pages_are_shorter_so_that_they_fit() {
    let mut plan = plan(10);
    let page = 500_000;
    for _ in 0..OBSERVATIONS {
        plan.saw(500, page, at(0)..at(HOUR));
    }
    let lengths = side_by_side(&mut plan, at(1_000_000 * HOUR), 10);
    let longest = usize::try_from(lengths[9].as_hours()).unwrap();
    assert!((5..=8).contains(&longest), "{longest}");
    // Half of each of the others waits when one is read.
    assert!(10 * longest * page / 2 < WINDOW);
}

#[test]
fn slices_that_begin_together_end_one_after_another() {
    let mut plan = experienced(10, 10);
    let lengths = side_by_side(&mut plan, at(1_000_000 * HOUR), 12);
    for (place, length) in (1..=10).zip(&lengths) {
        assert_eq!(*length, hours(36 * place));
    }
    assert_eq!(lengths[9..], [hours(360); 3]);
}

#[test]
fn slice_after_one_that_is_nearly_read_is_short() {
    let mut plan = experienced(10, 10);
    let unread = Unread {
        last: hours(4),
        all: hours(1_000),
    };
    let end = at(1_000_000 * HOUR);
    assert_eq!(plan.cut(end, unread), Some(at(0)..at(40 * HOUR)));
}

#[test]
fn last_slices_share_what_is_left() {
    let mut plan = experienced(10, 10);
    plan.read = hours(100_000);
    let end = at(1_000 * HOUR);
    let unread = |all| Unread {
        last: hours(200),
        all: hours(all),
    };
    // The slices in progress count too: otherwise too many slices would be cut.
    assert_eq!(plan.cut(end, unread(1_500)), Some(at(0)..at(200 * HOUR)));
    let mut lengths = Vec::new();
    while let Some(slice) = plan.cut(end, unread(0)) {
        lengths.push(slice.end.duration_since(slice.start));
    }
    assert_eq!(lengths[0], hours(64));
    assert!(lengths.is_sorted_by(|before, after| before >= after));
    let shortest = hours(360) / SHORTEST;
    let (_, others) = lengths.split_last().unwrap();
    assert!(others.iter().all(|length| *length >= shortest));
}

/// Cuts a slice again that has an hour for each page, and `hours` left to read.
fn cut_again(plan: &mut Plan, pages: usize, hours: i64, waiting: usize) -> Option<Timestamp> {
    let page = plan.saw(500, COMPRESSED, at(0)..at(HOUR));
    let pages = vec![page; pages];
    plan.cut_again(at(0)..at(hours * HOUR), pages.iter(), waiting)
}

#[test]
fn slice_is_cut_again_if_its_rest_does_not_fit() {
    let mut plan = experienced(10, 100);
    assert_eq!(cut_again(&mut plan, LATEST - 1, 1_000, 0), None);
    assert_eq!(cut_again(&mut plan, LATEST, 70, 0), None);
    assert_eq!(cut_again(&mut plan, 20, 1_000, 0), Some(at(36 * HOUR)));
    let next = plan.cut(at(1_000_000 * HOUR), Unread::default()).unwrap();
    assert_eq!(next.start, at(36 * HOUR));
    // Three slices may be longer than ten, but none so long that it is read alone.
    let mut plan = experienced(3, 100);
    assert_eq!(cut_again(&mut plan, LATEST, 190, 0), None);
    assert_eq!(cut_again(&mut plan, LATEST, 210, 0), Some(at(36 * HOUR)));
}

#[test]
fn only_a_part_of_the_pages_is_dropped() {
    let mut plan = experienced(10, 100);
    assert!(cut_again(&mut plan, LATEST, 1_000, DROPPED + 10).is_some());
    assert_eq!(cut_again(&mut plan, LATEST, 1_000, 1), None);
    for _ in 0..100 {
        plan.saw(500, COMPRESSED, at(0)..at(HOUR));
    }
    assert!(cut_again(&mut plan, LATEST, 1_000, 1).is_some());
}

#[test]
fn slice_that_is_cut_again_keeps_a_second() {
    let mut plan = plan(10);
    let page = plan.saw(500, WINDOW, at(0)..at(0));
    let mut again = |end| plan.cut_again(at(0)..at(end), [page; LATEST].iter(), 0);
    assert_eq!(again(1_000), Some(at(1)));
    assert_eq!(again(1), None);
}

/// A slice of a simulated history.
struct Reading {
    range: Range<Timestamp>,
    pages: Vec<PageSize>,
    is_read: bool,
}

impl Reading {
    fn rest(&self) -> Range<Timestamp> {
        let seconds: f64 = self.pages.iter().map(|page| page.seconds).sum();
        let read = SignedDuration::from_secs_f64(seconds);
        self.range.end.min(self.range.start + read)..self.range.end
    }

    fn unread(&self) -> SignedDuration {
        let rest = self.rest();
        if self.is_read {
            return SignedDuration::ZERO;
        }
        rest.end.duration_since(rest.start)
    }
}

/// Reads a simulated history of full pages, of which each covers the time up to one of `ends`.
/// Ten slices are read side by side, at a rate of eight calls in the time that a call takes.
/// Returns the time that it takes, in calls one after another.
fn time_of(ends: &[i64]) -> usize {
    const RATE: usize = 8;
    let mut plan = plan(10);
    let end = at(*ends.last().unwrap());
    let mut slices: VecDeque<Reading> = VecDeque::new();
    for time in 0.. {
        while slices.front().is_some_and(|first| first.is_read) {
            slices.pop_front();
        }
        let waiting = slices.iter().skip(1).map(|slice| slice.pages.len());
        let mut room = (WINDOW / COMPRESSED).saturating_sub(waiting.sum());
        let mut calls = 0;
        let mut place = 0;
        while calls < RATE && (room > 0 || place == 0) {
            if place == slices.len() {
                let reading = slices.iter().filter(|slice| !slice.is_read).count();
                let unread = Unread {
                    last: slices.back().map(Reading::unread).unwrap_or_default(),
                    all: slices.iter().map(Reading::unread).sum(),
                };
                let range = (reading < 10).then(|| plan.cut(end, unread)).flatten();
                let Some(range) = range else { break };
                slices.push_back(Reading {
                    range,
                    pages: Vec::new(),
                    is_read: false,
                });
            }
            let slice = &mut slices[place];
            calls += usize::from(!slice.is_read);
            let rest = slice.rest();
            let next = ends.partition_point(|end| at(*end) <= rest.start);
            match ends.get(next).filter(|end| at(**end) <= rest.end) {
                _ if slice.is_read => {}
                Some(end) => {
                    let page = plan.saw(500, COMPRESSED, rest.start..at(*end));
                    slice.pages.push(page);
                    room = room.saturating_sub(usize::from(place > 0));
                }
                None => {
                    plan.saw_nothing(rest);
                    slice.is_read = true;
                }
            }
            let slice = &slices[place];
            let pages = slices.range(place..).map(|slice| slice.pages.len()).sum();
            let sizes = slice.pages.iter().rev();
            if place > 0
                && let Some(end) = plan.cut_again(slice.rest(), sizes, pages)
            {
                let start = slice.range.start;
                slices.truncate(place);
                slices.push_back(Reading {
                    range: start..end,
                    pages: Vec::new(),
                    is_read: false,
                });
            }
            place += 1;
        }
        if slices.is_empty() && plan.cut(end, Unread::default()).is_none() {
            return time;
        }
    }
    unreachable!("a history ends");
}

/// Returns the ends of 2,000 pages in a year, with as many events as `density` says of each part
/// of the year.
fn pages_of(density: impl Fn(f64) -> f64) -> Vec<i64> {
    let hours = 365 * 24;
    let of_hour = |hour: i32| density(f64::from(hour) / f64::from(hours));
    let total: f64 = (0..hours).map(of_hour).sum();
    let mut ends = Vec::new();
    let mut pages = 0.0;
    for hour in 0..hours {
        let more = of_hour(hour) / total * 2_000.0;
        let mut wanted = f64::from(u32::try_from(ends.len()).unwrap() + 1);
        while wanted <= pages + more {
            let part = (wanted - pages) / more * 3_600.0;
            let second = SignedDuration::from_secs_f64(part).as_secs();
            ends.push(i64::from(hour) * HOUR + second);
            wanted += 1.0;
        }
        pages += more;
    }
    ends
}

#[test]
fn time_grows_little_if_the_density_of_events_changes() {
    let even = time_of(&pages_of(|_| 1.0));
    assert!(even < 2_000 / 8 * 11 / 10, "{even}");
    let limit = even * 5 / 4;
    let jump = time_of(&pages_of(|part| if part < 0.5 { 1.0 } else { 20.0 }));
    assert!(jump < limit, "{jump}");
    let fall = time_of(&pages_of(|part| if part < 0.5 { 20.0 } else { 1.0 }));
    assert!(fall < limit, "{fall}");
    let growth = time_of(&pages_of(|part| 1.0 + 9.0 * part));
    assert!(growth < limit, "{growth}");
    let begin = time_of(&pages_of(|part| if part < 0.5 { 0.0 } else { 1.0 }));
    assert!(begin < limit, "{begin}");
}

#[test]
fn slice_without_a_known_density_is_a_part_of_the_history() {
    let mut plan = plan(10);
    plan.saw_nothing(at(0)..at(600 * HOUR));
    let rest = Unread {
        last: hours(200),
        all: hours(200),
    };
    let slice = plan.cut(at(800 * HOUR), rest).unwrap();
    // Ten slices share 80 % of the 1,000 h that are left to read.
    assert_eq!(slice, at(0)..at(80 * HOUR));
}

#[test]
fn slice_is_at_least_a_second_long_whatever_was_seen() {
    let mut plan = plan(1);
    plan.saw(usize::MAX, usize::MAX, at(0)..at(0));
    let mut cut = |end| plan.cut(at(end), Unread::default());
    assert_eq!(cut(10), Some(at(0)..at(1)));
    assert_eq!(cut(1), None);
    assert_eq!(cut(-5), None);
}
