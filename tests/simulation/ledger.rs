//! What was logged, delivered, acknowledged and made durable, and in which order that must be.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use box_longpoll_testkit::{Config, Emulator};

use crate::window::Window;

/// As many as each of the emulator's positions has.
const POSITION_DIGITS: usize = 19;

/// The events' ranks are their places in the order of first appearance in the log.
pub(crate) struct Ledger {
    log: usize,
    ranks: HashMap<Arc<str>, usize>,
    /// How many ranks lie before each place in the log.
    ranks_before: Vec<usize>,
    positions: &'static Positions,
    /// All lower ranks are acknowledged, or lie before a start at `now`.
    acknowledged: usize,
    /// Those above that are acknowledged.
    ahead: BTreeSet<usize>,
    /// All lower ranks are acknowledged or in the consumer's hands.
    reach: usize,
    /// What was delivered last.
    window: Window,
    pub(crate) deliveries: u64,
}

/// An event's rank.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rank {
    pub(crate) number: usize,
    pub(crate) has_id: bool,
}

/// How the emulator numbers places in the log. It is measured.
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
            window: Window::default(),
            deliveries: 0,
        }
    }

    /// Takes in what was appended to the log since the last time.
    pub(crate) fn logged(&mut self, log: &[Arc<str>]) {
        self.grows(&log[self.log..]);
    }

    /// Takes in what was appended to the log.
    pub(crate) fn grows(&mut self, appended: &[Arc<str>]) {
        for event in appended {
            let next = self.ranks.len();
            self.ranks.entry(event.clone()).or_insert(next);
            self.ranks_before.push(self.ranks.len());
        }
        self.log += appended.len();
    }

    /// How many events of the log lie before a position. A position may be spelt with a decimal point, and may carry
    /// digits that mean nothing behind its own.
    pub(crate) fn place(&self, position: &str) -> Option<usize> {
        let whole = own_digits(position.strip_suffix(".0").unwrap_or(position));
        let offset = whole
            .parse::<u64>()
            .ok()?
            .checked_sub(self.positions.first)?;
        let place = usize::try_from(offset / self.positions.step).ok()?;
        (place <= self.log).then_some(place)
    }

    /// The position of a place in the log.
    pub(crate) fn position(&self, place: usize) -> String {
        (self.positions.first + place as u64 * self.positions.step).to_string()
    }

    /// A position moved a little, past nothing.
    pub(crate) fn nudged(&self, place: usize) -> String {
        (self.positions.first + place as u64 * self.positions.step + 1).to_string()
    }

    /// The program asked for `now`, and that was this place: what lies before it does not count.
    pub(crate) fn starts_at(&mut self, place: usize) {
        self.acknowledged = self.acknowledged.max(self.ranks_before[place]);
        self.ahead = self.ahead.split_off(&self.acknowledged);
        self.acknowledge(&[]);
        self.reach = self.reach.max(self.acknowledged);
    }

    /// A position that is made durable, or shown as handled, leaves nothing behind that isn't acknowledged.
    pub(crate) fn check_covered(&self, position: &str) -> Result<(), String> {
        let before = self.ranks_before(position)?;
        if before > self.acknowledged {
            return Err(format!(
                "{position} lies behind {before} events, of which {} are acknowledged",
                self.acknowledged
            ));
        }
        Ok(())
    }

    /// A position that more is asked for from leaves nothing behind that wasn't delivered.
    pub(crate) fn check_delivered(&self, position: &str) -> Result<(), String> {
        let before = self.ranks_before(position)?;
        if before > self.reach {
            return Err(format!(
                "{position} lies behind {before} events, of which {} were delivered",
                self.reach
            ));
        }
        Ok(())
    }

    fn ranks_before(&self, position: &str) -> Result<usize, String> {
        let place = self
            .place(position)
            .ok_or_else(|| format!("{position} is no position of this log"))?;
        Ok(self.ranks_before[place])
    }

    /// The consumer gets events: in the order of the log, and no repeats inside the window. Gives their ranks.
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

    /// These events are handled.
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

    /// How many events are delivered, or lie before a start at `now`.
    pub(crate) fn reach(&self) -> usize {
        self.reach
    }

    /// How many events are acknowledged without a hole.
    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged
    }

    /// The program is gone. The next one remembers these.
    pub(crate) fn forget(&mut self, remembered: Window) {
        self.reach = self.acknowledged;
        self.window = remembered;
    }

    pub(crate) fn all_acknowledged(&self) -> bool {
        self.acknowledged == self.ranks.len()
    }

    /// Whether nothing but repeats lies after a position.
    pub(crate) fn covers_all(&self, position: &str) -> bool {
        self.place(position)
            .is_some_and(|place| self.ranks_before[place] == self.ranks.len())
    }

    pub(crate) fn missing(&self) -> usize {
        self.ranks.len() - self.acknowledged
    }
}

/// The digits of a position that the emulator gave, without those that the weather put behind them.
pub(crate) fn own_digits(position: &str) -> &str {
    position.get(..POSITION_DIGITS).unwrap_or(position)
}

/// The simulated account's ids all begin like this; what else is in its log has none.
pub(crate) fn has_id(event: &str) -> bool {
    event.contains(r#""event_id":"e"#)
}

/// The n-th event of the account.
pub(crate) fn event(number: u64, odd: bool) -> String {
    match number % 6 {
        0 if odd => number.to_string(),
        1 if odd => format!(r#""x{number}""#),
        2 if odd => format!(r#"{{"n":{number},"event_id":null}}"#),
        3 if odd => format!("[{number}]"),
        4 if odd => {
            format!(r#"{{"event_id":"e{number}","source":[],"event_type":7,"created_by":"x"}}"#)
        }
        // Dates out of order, as Box sends them.
        n => format!(
            r#"{{"type":"event","event_id":"e{number}","event_type":"ITEM_UPLOAD","created_at":"2026-01-01T00:0{}:00-08:00","source":null}}"#,
            5 - n
        ),
    }
}
