//! The truth about the enterprise's events: when they happened, when Box showed them, and what the
//! program has done with them.
//!
//! It checks each delivery and each claim of the stream. Start at [`Truth::delivered`] and
//! [`Truth::missing`].

use std::collections::HashSet;
use std::time::Duration;

use super::case::{Case, Consumer, LIVE_EVENTS_KEPT};

/// The number of an event, in the order in which the world made them.
pub(super) type Number = usize;

/// The events, and what is known of them. Times are seconds or durations since the beginning of the
/// world.
pub(super) struct Truth {
    events: Vec<Logged>,
    /// The time before which events are not wanted, in milliseconds.
    from_ms: u64,
    event_delay: u64,
    consumer: Consumer,
    admin_logs_delay: u64,
    /// The batches of the running program, in order.
    batches: Vec<Batch>,
    /// The events that the running program has got.
    seen: HashSet<Number>,
    /// The last live event that it has got.
    last_live: Option<Number>,
    /// The start of the last slice of the past.
    slice: u64,
    /// The time up to which the stream says that it is complete.
    complete_until: Option<u64>,
    gaps: Vec<Gap>,
    has_restarted: bool,
    pub(super) deliveries: u64,
}

/// An event in Box's logs.
struct Logged {
    created: u64,
    arrived: Duration,
    has_id: bool,
    /// `true` once the program has acted on it.
    is_handled: bool,
    is_durable: bool,
}

/// A batch, or an event of a plain stream.
struct Batch {
    events: Vec<Number>,
    is_acknowledged: bool,
}

/// A report of a possible gap.
struct Gap {
    since: Duration,
    told: Duration,
}

/// The place from which a stream says that it would resume.
#[derive(Debug)]
pub(super) enum Place {
    /// The start of a slice of the past.
    Since(u64),
    Live,
    Unknown,
}

impl Truth {
    pub(super) fn new(case: &Case) -> Self {
        Self {
            events: Vec::new(),
            from_ms: (case.past_s * 1_000).saturating_sub(case.since_ms),
            event_delay: case.event_delay_s,
            consumer: case.consumer,
            admin_logs_delay: case.admin_logs_delay_s,
            batches: Vec::new(),
            seen: HashSet::new(),
            last_live: None,
            slice: 0,
            complete_until: None,
            gaps: Vec::new(),
            has_restarted: false,
            deliveries: 0,
        }
    }

    /// Adds an event, and returns its number.
    pub(super) fn logged(
        &mut self,
        created: u64,
        arrived: Duration,
        has_id: bool,
    ) -> (Number, Result<(), String>) {
        let number = self.events.len();
        self.events.push(Logged {
            created,
            arrived,
            has_id,
            is_handled: false,
            is_durable: false,
        });
        let claimed = match self.complete_until {
            Some(until) => self.check_claim(number, until),
            None => Ok(()),
        };
        (number, claimed)
    }

    pub(super) fn has_id(&self, number: Number) -> bool {
        self.events[number].has_id
    }

    fn is_wanted(&self, event: &Logged) -> bool {
        event.created * 1_000 >= self.from_ms
    }

    /// Returns `true` if the event appeared as soon as Box's events usually do.
    fn is_usual(&self, event: &Logged) -> bool {
        event.arrived.as_secs() < event.created + self.event_delay
    }

    /// Adds a batch, and returns its number and whether it is right. `place` is where the stream
    /// would resume after it.
    pub(super) fn delivered(
        &mut self,
        events: &[Number],
        place: &Place,
    ) -> (usize, Result<(), String>) {
        self.deliveries += events.len() as u64;
        let rightly = self.check_delivery(events, place);
        self.batches.push(Batch {
            events: events.to_vec(),
            is_acknowledged: false,
        });
        (self.batches.len() - 1, rightly)
    }

    fn check_delivery(&mut self, events: &[Number], place: &Place) -> Result<(), String> {
        for &number in events {
            let event = &self.events[number];
            // A plain stream that resumes at a position does not know the start.
            let knows_start = self.consumer.is_subscription() || !self.has_restarted;
            if !self.is_wanted(event) && knows_start {
                return Err(format!("event {number} is from before the start"));
            }
            let forgets = matches!(
                self.consumer,
                Consumer::AcksWithoutIds | Consumer::Batches | Consumer::Events
            );
            if event.has_id && event.is_durable && !forgets {
                return Err(format!("event {number} is delivered again"));
            }
            if event.has_id && !self.seen.insert(number) {
                return Err(format!("event {number} is delivered twice in one life"));
            }
            match place {
                Place::Since(slice) => {
                    self.last_live = None;
                    if *slice < self.slice || event.created + 1 < *slice {
                        let (before, created) = (self.slice, event.created);
                        return Err(format!(
                            "event {number} of {created} is delivered in the slice from {slice}, \
                             after one from {before}"
                        ));
                    }
                    self.slice = *slice;
                }
                Place::Live => {
                    // A repeat may come after a restart that has forgotten the event.
                    let is_first = knows_start && event.has_id && !event.is_handled;
                    if is_first && self.last_live > Some(number) {
                        let last = self.last_live;
                        return Err(format!("live event {number} comes after {last:?}"));
                    }
                    self.last_live = Some(number);
                }
                Place::Unknown => {}
            }
        }
        Ok(())
    }

    /// Notes that the program has acted on a batch, and acknowledges it.
    pub(super) fn handled(&mut self, batch: usize) {
        self.batches[batch].is_acknowledged = true;
        for &number in &self.batches[batch].events {
            self.events[number].is_handled = true;
        }
    }

    /// Notes that the events of a batch are stored with its checkpoint. No event with an id may be
    /// stored before.
    pub(super) fn committed(&mut self, batch: usize) -> Result<(), String> {
        self.handled(batch);
        for number in self.batches[batch].events.clone() {
            let event = &mut self.events[number];
            if event.has_id && event.is_durable {
                return Err(format!("event {number} is stored twice"));
            }
            event.is_durable = true;
        }
        Ok(())
    }

    /// Returns the events of the batches before the first one that is not acknowledged.
    pub(super) fn acknowledged(&self) -> Vec<Number> {
        let batches = self.batches.iter();
        let settled = batches.take_while(|batch| batch.is_acknowledged);
        settled.flat_map(|batch| batch.events.clone()).collect()
    }

    /// Notes that a store has kept a checkpoint of acknowledged events.
    pub(super) fn saved(&mut self, acknowledged: Vec<Number>) {
        for number in acknowledged {
            self.events[number].is_durable = true;
        }
    }

    /// Notes that the program has ended.
    pub(super) fn program_ended(&mut self) {
        self.has_restarted = true;
        self.batches.clear();
        self.seen.clear();
        self.last_live = None;
        self.slice = 0;
        self.complete_until = None;
        if !matches!(self.consumer, Consumer::OwnTransactions) {
            return;
        }
        // Work outside of a transaction is undone.
        for event in &mut self.events {
            event.is_handled = event.is_durable;
        }
    }

    /// Checks that all events before a time are handled, because the stream says that it is
    /// complete up to then. `until` is in seconds.
    pub(super) fn claims(&mut self, until: u64) -> Result<(), String> {
        if self.complete_until >= Some(until) {
            return Ok(());
        }
        self.complete_until = Some(until);
        (0..self.events.len()).try_for_each(|number| self.check_claim(number, until))
    }

    fn check_claim(&self, number: Number, until: u64) -> Result<(), String> {
        let event = &self.events[number];
        let counts = self.is_wanted(event) && self.is_usual(event) && event.created < until;
        if counts && !event.is_handled {
            let created = event.created;
            return Err(format!(
                "the stream says that it is complete until {until}, without event {number} of \
                 {created}"
            ));
        }
        Ok(())
    }

    /// Checks a place from which a plain stream would resume: everything before it that Box showed
    /// in time is handled.
    pub(super) fn resumes_at(&self, place: &Place) -> Result<(), String> {
        let Place::Since(time) = place else {
            return Ok(());
        };
        // The past ends 13 days before the present, and only then it is read.
        let shown = |event: &Logged| {
            event.arrived.as_secs() + self.admin_logs_delay < event.created + 13 * 24 * 3_600
        };
        let is_lost = |event: &&Logged| {
            let before = event.created < *time && self.is_wanted(event);
            before && shown(event) && !event.is_handled
        };
        match self.events.iter().find(is_lost) {
            Some(event) => Err(format!(
                "the stream resumes since {time}, without the event of {}",
                event.created
            )),
            None => Ok(()),
        }
    }

    /// Notes a report of a possible gap.
    pub(super) fn gap(&mut self, since: Duration, told: Duration) -> Result<(), String> {
        let away = told.saturating_sub(since);
        if away <= Duration::from_secs(LIVE_EVENTS_KEPT) {
            return Err(format!("it reports a gap since {since:?} at {told:?}"));
        }
        self.gaps.push(Gap { since, told });
        Ok(())
    }

    /// Returns a sentence about the first event that is neither handled nor lost with a report.
    pub(super) fn missing(&self) -> Result<(), String> {
        let told = |event: &Logged| {
            let mut gaps = self.gaps.iter();
            gaps.any(|gap| gap.since <= event.arrived && event.arrived <= gap.told)
        };
        let mut events = self.events.iter().enumerate();
        let missing = events.find(|(_, event)| {
            let may_be_lost = !self.is_usual(event) && told(event);
            self.is_wanted(event) && !event.is_handled && !may_be_lost
        });
        match missing {
            Some((number, event)) => Err(format!(
                "event {number} of {} is missing, which Box showed at {:?}",
                event.created, event.arrived
            )),
            None => Ok(()),
        }
    }
}
