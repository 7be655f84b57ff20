//! When a subscription is to say that events may be missing.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use box_longpoll::PossibleGap;
use box_longpoll::checkpoint::Checkpoint;

/// As long as Box is sure to keep events.
const KEPT: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// What a subscription knows of when nothing was missing.
#[derive(Default)]
pub(crate) struct Gaps {
    since: Since,
    told: Option<SystemTime>,
    page_came_at: Option<SystemTime>,
    /// The seconds in which it had caught up, or that it goes by for another reason, with how many events lay before.
    moments: HashMap<SystemTime, usize>,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Since {
    #[default]
    Never,
    At(SystemTime),
    /// It catches up when it asks for more, and when that is, isn't known from the outside.
    Unsure,
}

impl Gaps {
    /// A subscription that goes on from a checkpoint.
    pub(crate) fn of_new_life(checkpoint: Option<&Checkpoint>) -> Self {
        let mut gaps = Self::default();
        if let Some(checkpoint) = checkpoint {
            gaps.since = Since::At(checkpoint.last_success());
            gaps.moments.insert(checkpoint.last_success(), 0);
        }
        gaps
    }

    /// A page has come, whatever it proves.
    pub(crate) fn page_came(&mut self, now: SystemTime) {
        self.page_came_at = Some(now);
    }

    /// There is nothing after what was delivered, which is so many.
    pub(crate) fn caught_up(&mut self, now: SystemTime, reach: usize) {
        self.since = Since::At(now);
        let least = self.moments.entry(whole_seconds(now)).or_insert(reach);
        *least = reach.min(*least);
    }

    /// There is nothing after a batch, and that counts once more is asked for.
    pub(crate) fn will_have_caught_up(&mut self, now: SystemTime, reach: usize) {
        self.caught_up(now, reach);
        self.since = Since::Unsure;
    }

    /// Since when events may be missing. What was told of counts again only from the latest page on.
    fn since(&self) -> Option<SystemTime> {
        let Since::At(since) = self.since else {
            return None;
        };
        let page_came_at = self.page_came_at.filter(|_| self.told.is_some());
        Some(page_came_at.map_or(since, |page_came_at| page_came_at.max(since)))
    }

    /// A batch comes. What there is to say is said by then.
    pub(crate) fn check_batch(&mut self, now: SystemTime) -> Result<(), String> {
        if self.moments.is_empty() {
            // The first checkpoint is dated from the start.
            self.moments.insert(whole_seconds(now), 0);
        }
        match self.since() {
            Some(since) if is_long_ago(since, now) && self.told != Some(since) => {
                Err("a batch came, and not that there may be a gap before it".into())
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn check_told(&mut self, gap: &PossibleGap, now: SystemTime) -> Result<(), String> {
        let since = gap.since;
        if self.since != Since::Unsure && self.since() != Some(since) {
            return Err(format!("it tells of a gap since {since:?}"));
        }
        if !is_long_ago(since, now) {
            return Err(format!("it tells of a gap since {since:?}, at {now:?}"));
        }
        if self.told.replace(since) == Some(since) {
            return Err("it told of a gap twice".into());
        }
        Ok(())
    }

    /// A checkpoint says since when events may be missing. So many events are acknowledged.
    pub(crate) fn check_dated(
        &self,
        checkpoint: &Checkpoint,
        acknowledged: usize,
    ) -> Result<(), String> {
        let date = checkpoint.last_success();
        match self.moments.get(&date) {
            Some(before) if *before <= acknowledged => Ok(()),
            Some(_) => Err(format!(
                "the checkpoint is of {date:?}, when there was more than is acknowledged"
            )),
            None => Err(format!(
                "the checkpoint is of {date:?}, when it had not caught up"
            )),
        }
    }
}

fn is_long_ago(since: SystemTime, now: SystemTime) -> bool {
    now.duration_since(since).is_ok_and(|away| away > KEPT)
}

fn whole_seconds(time: SystemTime) -> SystemTime {
    let since_1970 = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since_1970.as_secs())
}
