//! The rules for reports of possible gaps.
//!
//! Box keeps events for about two weeks. A subscription that was away for longer must report a
//! possible gap, once, before the next batch. It must report nothing otherwise. The checks work on
//! the wall clock, like the reports themselves. Start at [`Gaps::check_batch`] and
//! [`Gaps::check_report`].

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use box_longpoll::PossibleGap;
use box_longpoll::checkpoint::Checkpoint;

/// The time for which Box certainly keeps events: 14 days.
const KEPT: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// The times at which a subscription knew that it had missed nothing.
#[derive(Default)]
pub(crate) struct Gaps {
    since: Since,
    /// The beginning of the gap that it reported last.
    reported: Option<SystemTime>,
    page_came_at: Option<SystemTime>,
    /// The times, in seconds without a fraction, with which the subscription may date a checkpoint:
    /// it had caught up then, or its checkpoint says so. Each has the smallest number of events
    /// that came before it.
    moments: HashMap<SystemTime, usize>,
}

/// The time since which events may be missing.
#[derive(Clone, Copy, Default, PartialEq)]
enum Since {
    #[default]
    Never,
    At(SystemTime),
    /// The subscription has caught up once it fetches more. The time of that can't be observed from
    /// the outside.
    Unsure,
}

impl Gaps {
    /// Returns the rules for a subscription that continues from a checkpoint.
    pub(crate) fn of_new_life(checkpoint: Option<&Checkpoint>) -> Self {
        let mut gaps = Self::default();
        if let Some(checkpoint) = checkpoint {
            gaps.since = Since::At(checkpoint.last_success());
            gaps.moments.insert(checkpoint.last_success(), 0);
        }
        gaps
    }

    /// Notes the arrival of a page.
    pub(crate) fn page_came(&mut self, now: SystemTime) {
        self.page_came_at = Some(now);
    }

    /// Notes that nothing follows the delivered events. `reach` is their number.
    pub(crate) fn caught_up(&mut self, now: SystemTime, reach: usize) {
        self.since = Since::At(now);
        let least = self.moments.entry(without_fraction(now)).or_insert(reach);
        *least = reach.min(*least);
    }

    /// Notes that nothing follows a batch. This counts once the subscription fetches more.
    pub(crate) fn will_have_caught_up(&mut self, now: SystemTime, reach: usize) {
        self.caught_up(now, reach);
        self.since = Since::Unsure;
    }

    /// Returns the time since which events may be missing. After a report, it is at least the time
    /// of the latest page.
    fn since(&self) -> Option<SystemTime> {
        let Since::At(since) = self.since else {
            return None;
        };
        let page_came_at = self.page_came_at.filter(|_| self.reported.is_some());
        Some(page_came_at.map_or(since, |page_came_at| page_came_at.max(since)))
    }

    /// Checks that a gap before a batch was reported before the batch.
    pub(crate) fn check_batch(&mut self, now: SystemTime) -> Result<(), String> {
        if self.moments.is_empty() {
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
        if self.since != Since::Unsure && self.since() != Some(since) {
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
