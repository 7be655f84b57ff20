//! The record of all events: which were logged, delivered and acknowledged.
//!
//! It checks that the consumer gets the events in the order of the log, without a loss and without
//! a repeat inside the window. It also checks that no position skips an event. It knows nothing of
//! requests. Start at [`Ledger::delivered`] and [`Ledger::check_covered`].

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use box_longpoll_testkit::{Config, Emulator};

use crate::window::Window;

/// The number of digits in each position of the emulator.
const POSITION_DIGITS: usize = 19;

/// The record of all events. An event's rank is the number of different events that appear before
/// it in the log. The log may repeat events, so a place in the log is not a rank.
pub(crate) struct Ledger {
    /// The length of the log.
    log: usize,
    ranks: HashMap<Arc<str>, usize>,
    /// The number of ranks before each place in the log.
    ranks_before: Vec<usize>,
    positions: &'static Positions,
    /// The watermark: all lower ranks are acknowledged, or lie before a start at `now`.
    acknowledged: usize,
    /// The acknowledged ranks above the watermark.
    ahead: BTreeSet<usize>,
    /// The rank after the last delivered one: all lower ranks are delivered, or lie before a start
    /// at `now`.
    reach: usize,
    /// The rank after the last one on a page that this program has received.
    received: usize,
    /// The events that were received last.
    received_window: Window,
    /// The events that were delivered last.
    window: Window,
    /// The number of deliveries, with repeats.
    pub(crate) deliveries: u64,
}

/// An event's rank.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rank {
    pub(crate) number: usize,
    pub(crate) has_id: bool,
}

/// The emulator's numbering of places in the log. It is measured once, and not copied from the
/// emulator.
struct Positions {
    first: u64,
    step: u64,
}

impl Positions {
    fn measured() -> &'static Self {
        static MEASURED: OnceLock<Positions> = OnceLock::new();
        MEASURED.get_or_init(Self::measure)
    }

    fn measure() -> Self {
        let now = box_longpoll::transport::Moment::read_clocks().monotonic;
        let mut emulator = Emulator::new(Config::default(), now);
        let first: u64 = emulator.newest_position("a").parse().expect("digits");
        emulator.append_json("a", ["null"], now);
        let second: u64 = emulator.newest_position("a").parse().expect("digits");
        Self {
            first,
            step: second - first,
        }
    }
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            log: 0,
            ranks: HashMap::new(),
            ranks_before: vec![0],
            positions: Positions::measured(),
            acknowledged: 0,
            ahead: BTreeSet::new(),
            reach: 0,
            received: 0,
            received_window: Window::default(),
            window: Window::default(),
            deliveries: 0,
        }
    }

    /// Adds the end of the complete log that is new since the last call.
    pub(crate) fn logged(&mut self, log: &[Arc<str>]) {
        self.grows(&log[self.log..]);
    }

    /// Adds events that were appended to the log.
    pub(crate) fn grows(&mut self, appended: &[Arc<str>]) {
        for event in appended {
            let next = self.ranks.len();
            self.ranks.entry(event.clone()).or_insert(next);
            self.ranks_before.push(self.ranks.len());
        }
        self.log += appended.len();
    }

    /// Returns the number of events in the log before a position. A position may have a decimal
    /// point, and meaningless digits after its own.
    pub(crate) fn place(&self, position: &str) -> Option<usize> {
        let digits = own_digits(position.strip_suffix(".0").unwrap_or(position));
        let offset = digits
            .parse::<u64>()
            .ok()?
            .checked_sub(self.positions.first)?;
        let place = usize::try_from(offset / self.positions.step).ok()?;
        (place <= self.log).then_some(place)
    }

    /// Returns the position of a place in the log.
    pub(crate) fn position(&self, place: usize) -> String {
        (self.positions.first + place as u64 * self.positions.step).to_string()
    }

    /// Returns a position that differs from that of a place in the log, but skips no event.
    pub(crate) fn nudged(&self, place: usize) -> String {
        (self.positions.first + place as u64 * self.positions.step + 1).to_string()
    }

    /// Notes that the server resolved `now` to this place, so that earlier events don't count.
    pub(crate) fn starts_at(&mut self, place: usize) {
        self.acknowledged = self.acknowledged.max(self.ranks_before[place]);
        self.ahead = self.ahead.split_off(&self.acknowledged);
        self.acknowledge(&[]);
        self.reach = self.reach.max(self.acknowledged);
    }

    /// Checks that all events before a position are acknowledged. This must hold for durable and
    /// shown positions.
    pub(crate) fn check_covered(&self, position: &str) -> Result<(), String> {
        let before = self.ranks_before(position)?;
        if before > self.acknowledged {
            return Err(format!(
                "{position} comes after {before} events, of which {} are acknowledged",
                self.acknowledged
            ));
        }
        Ok(())
    }

    /// Checks that all events before a position were on pages. This must hold for requested
    /// positions.
    pub(crate) fn check_received(&self, position: &str) -> Result<(), String> {
        let before = self.ranks_before(position)?;
        if before > self.received() {
            return Err(format!(
                "{position} comes after {before} events, of which {} were received",
                self.received()
            ));
        }
        Ok(())
    }

    /// Returns the number of events that were on pages, or lie before a start at `now`.
    pub(crate) fn received(&self) -> usize {
        self.received.max(self.reach)
    }

    /// Notes the events of a page, and returns those that are not repeats inside the window.
    pub(crate) fn receives(&mut self, events: &[String]) -> Vec<Rank> {
        let mut new = Vec::new();
        for event in events {
            let Some(&number) = self.ranks.get(event.as_str()) else {
                continue;
            };
            self.received = self.received.max(number + 1);
            let has_id = has_id(event);
            if !has_id || self.received_window.insert(number) {
                new.push(Rank { number, has_id });
            }
        }
        new
    }

    fn ranks_before(&self, position: &str) -> Result<usize, String> {
        let place = self
            .place(position)
            .ok_or_else(|| format!("{position} is no position of this log"))?;
        Ok(self.ranks_before[place])
    }

    /// Checks events that the consumer gets: they come in the order of the log, without repeats
    /// inside the window. Returns their ranks.
    pub(crate) fn delivered(&mut self, events: &[Arc<str>]) -> Result<Vec<Rank>, String> {
        let mut ranks = Vec::with_capacity(events.len());
        for event in events {
            self.deliveries += 1;
            let Some(&number) = self.ranks.get(event) else {
                return Err(format!("{event} was delivered and never logged"));
            };
            if number > self.reach {
                return Err(format!(
                    "{event} was delivered, {} events before it were not",
                    number - self.reach
                ));
            }
            self.reach = self.reach.max(number + 1);
            let has_id = has_id(event);
            if has_id && !self.window.insert(number) {
                return Err(format!("{event} was delivered twice"));
            }
            ranks.push(Rank { number, has_id });
        }
        Ok(ranks)
    }

    /// Marks events as handled.
    pub(crate) fn acknowledge(&mut self, ranks: &[Rank]) {
        for rank in ranks {
            if rank.number > self.acknowledged {
                self.ahead.insert(rank.number);
            } else if rank.number == self.acknowledged {
                self.acknowledged += 1;
            }
        }
        while self.ahead.remove(&self.acknowledged) {
            self.acknowledged += 1;
        }
    }

    /// Returns the number of events before the first one that is not acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged
    }

    /// Forgets the program's deliveries, because it died. The next program remembers these events.
    pub(crate) fn forget(&mut self, remembered: Window) {
        self.reach = self.acknowledged;
        self.received = self.acknowledged;
        self.received_window = remembered.clone();
        self.window = remembered;
    }

    pub(crate) fn all_acknowledged(&self) -> bool {
        self.acknowledged == self.ranks.len()
    }

    /// Returns `true` if only repeats follow a position.
    pub(crate) fn covers_all(&self, position: &str) -> bool {
        self.place(position)
            .is_some_and(|place| self.ranks_before[place] == self.ranks.len())
    }

    /// Returns the number of events that are not acknowledged.
    pub(crate) fn missing(&self) -> usize {
        self.ranks.len() - self.acknowledged
    }
}

/// Returns the emulator's own digits of a position, without those that the weather appended.
pub(crate) fn own_digits(position: &str) -> &str {
    position.get(..POSITION_DIGITS).unwrap_or(position)
}

/// Returns `true` if an event of the simulated account has an id. All ids of the account begin with
/// `e`.
pub(crate) fn has_id(event: &str) -> bool {
    event.contains(r#""event_id":"e"#)
}

/// Returns the n-th event of the account. If `odd`, it may differ from Box's documentation.
pub(crate) fn event(number: u64, odd: bool) -> String {
    match number % 6 {
        0 if odd => number.to_string(),
        1 if odd => format!(r#""x{number}""#),
        2 if odd => format!(r#"{{"n":{number},"event_id":null}}"#),
        3 if odd => format!("[{number}]"),
        4 if odd => {
            format!(r#"{{"event_id":"e{number}","source":[],"event_type":7,"created_by":"x"}}"#)
        }
        // The dates are out of order, like those of Box.
        n => format!(
            r#"{{"type":"event","event_id":"e{number}","event_type":"ITEM_UPLOAD","created_at":"2026-01-01T00:0{}:00-08:00","source":null}}"#,
            5 - n
        ),
    }
}
