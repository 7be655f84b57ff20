//! The rules for reports of possible gaps.
//!
//! Box keeps events for about two weeks. A subscription that was away for longer must report a
//! possible gap, once, before the next batch. It must report nothing otherwise. The checks work on
//! the wall clock, like the reports themselves. Start at [`Gaps::check_batch`] and
//! [`Gaps::check_report`].

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, SystemTime};

use box_longpoll::PossibleGap;
use box_longpoll::checkpoint::Checkpoint;

/// The time for which Box certainly keeps events: 14 days.
const KEPT: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// The times at which a subscription knew that it had missed nothing.
#[derive(Default)]
pub(crate) struct Gaps {
    /// The time since which events may be missing. `None`: the subscription has not caught up yet.
    since: Option<SystemTime>,
    /// The pages with events that were not delivered yet, in order.
    fetched: VecDeque<Page>,
    /// The page that was delivered last, until the program returns for the next one.
    delivered: Option<Page>,
    /// The beginning of the gap that it reported last.
    reported: Option<SystemTime>,
    page_came_at: Option<SystemTime>,
    /// `true` if a batch has come.
    began: bool,
    /// The times, in full seconds, with which the subscription may date a checkpoint: it had caught
    /// up then, or the checkpoint from which it continued says so. Each has the smallest number of
    /// events that came before it.
    moments: HashMap<SystemTime, usize>,
}

/// A page with events, and the pages without events after it.
#[derive(Default)]
struct Page {
    /// The rank of its first event.
    first: usize,
    /// The time at which it proved that nothing follows.
    caught_up_at: Option<SystemTime>,
}

impl Gaps {
    /// Returns the rules for a subscription that continues from a checkpoint.
    pub(crate) fn of_new_life(checkpoint: Option<&Checkpoint>) -> Self {
        let mut gaps = Self::default();
        if let Some(checkpoint) = checkpoint {
            gaps.since = Some(checkpoint.last_success());
            gaps.moments.insert(checkpoint.last_success(), 0);
        }
        gaps
    }

    /// Notes the arrival of a page. `first` is the rank of its first event, and `None` if it has
    /// none that is new. If it proves that nothing follows, `reach` is the number of events up to
    /// then. It counts when the page and all pages before it are handled.
    pub(crate) fn page_came(
        &mut self,
        first: Option<usize>,
        reach: Option<usize>,
        now: SystemTime,
    ) {
        self.page_came_at = Some(now);
        if let Some(reach) = reach {
            let least = self.moments.entry(without_fraction(now)).or_insert(reach);
            *least = reach.min(*least);
        }
        let caught_up_at = reach.map(|_| now);
        if let Some(first) = first {
            self.fetched.push_back(Page {
                first,
                caught_up_at,
            });
            return;
        }
        match self.fetched.back_mut().or(self.delivered.as_mut()) {
            Some(last) => last.caught_up_at = caught_up_at.or(last.caught_up_at),
            None => self.since = caught_up_at.or(self.since),
        }
    }

    /// Notes that the subscription itself has handled a page of events: it keeps them until the
    /// start is durable.
    pub(crate) fn is_kept_until_the_start(&mut self) {
        self.delivered = self.fetched.pop_front();
        self.handled();
    }

    /// Notes that a batch is delivered, which begins with this rank.
    pub(crate) fn delivered(&mut self, first: usize) {
        if self.fetched.front().is_some_and(|page| page.first == first) {
            self.delivered = self.fetched.pop_front();
        }
    }

    /// Returns `true` if a page has come before the program takes it.
    pub(crate) fn has_a_page_ahead(&self) -> bool {
        !self.fetched.is_empty()
    }

    /// Notes that the program returns for the next batch.
    pub(crate) fn handled(&mut self) {
        if let Some(page) = self.delivered.take() {
            self.since = page.caught_up_at.or(self.since);
        }
    }

    /// Returns the time since which events may be missing. After a report, it is at least the time
    /// of the latest page.
    fn since(&self) -> Option<SystemTime> {
        let since = self.since?;
        let page_came_at = self.page_came_at.filter(|_| self.reported.is_some());
        Some(page_came_at.map_or(since, |page_came_at| page_came_at.max(since)))
    }

    /// Checks that a gap before a batch was reported before the batch.
    pub(crate) fn check_batch(&mut self, now: SystemTime) -> Result<(), String> {
        if !std::mem::replace(&mut self.began, true) && self.since.is_none() {
            // The first checkpoint is dated from the start.
            self.moments.insert(without_fraction(now), 0);
        }
        match self.since() {
            Some(since) if is_long_ago(since, now) && self.reported != Some(since) => {
                Err("a batch came without a report of the possible gap before it".into())
            }
            _ => Ok(()),
        }
    }

    /// Checks a report of a gap.
    pub(crate) fn check_report(
        &mut self,
        gap: &PossibleGap,
        now: SystemTime,
    ) -> Result<(), String> {
        let since = gap.since;
        if self.since() != Some(since) {
            return Err(format!("it reports a gap since {since:?}"));
        }
        if !is_long_ago(since, now) {
            return Err(format!("it reports a gap since {since:?}, at {now:?}"));
        }
        if self.reported.replace(since) == Some(since) {
            return Err("it reported a gap twice".into());
        }
        Ok(())
    }

    /// Checks the date of a checkpoint, since which events may be missing. `acknowledged` is the
    /// number of acknowledged events.
    pub(crate) fn check_dated(
        &self,
        checkpoint: &Checkpoint,
        acknowledged: usize,
    ) -> Result<(), String> {
        let date = checkpoint.last_success();
        match self.moments.get(&date) {
            Some(before) if *before <= acknowledged => Ok(()),
            Some(_) => Err(format!(
                "the checkpoint is dated {date:?}, when more events existed than are acknowledged"
            )),
            None => Err(format!(
                "the checkpoint is dated {date:?}, when the subscription had not caught up"
            )),
        }
    }
}

fn is_long_ago(since: SystemTime, now: SystemTime) -> bool {
    now.duration_since(since).is_ok_and(|away| away > KEPT)
}

fn without_fraction(time: SystemTime) -> SystemTime {
    let since_1970 = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since_1970.as_secs())
}
