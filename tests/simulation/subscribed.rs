//! The checks of a subscription's promises to its program.
//!
//! The program reports each batch, acknowledgement and gap to the world. Between two steps, the
//! world checks the position and the status that the subscription's handle shows. Requests are
//! checked in `conduct`. Start at [`Inner::check_subscription`].

use std::sync::Arc;

use box_longpoll::{ErrorKind, PossibleGap, Status, StreamHandle, StreamPosition};

use crate::climate::{Consumer, Start};
use crate::coverage::state;
use crate::scenario::{What, When};
use crate::world::{Inner, Step, World};

impl World {
    /// Checks the start of a subscription.
    pub(crate) fn subscribed(&self, handle: StreamHandle) {
        self.watch(handle);
        let mut inner = self.lock();
        if inner.climate.start == Start::Now && inner.store.confirmed().is_none() {
            inner.check::<()>(Err("it began before `now` was durable".into()));
        }
    }

    /// Notes that the program begins or stops waiting for the stream.
    pub(crate) fn waits(&self, waits: bool) {
        let mut inner = self.lock();
        inner.open_batches.waits = waits;
        if waits {
            inner.gaps.handled();
        }
    }

    /// Checks a batch that the program takes, and returns its number.
    pub(crate) fn takes(&self, events: &[Arc<str>]) -> u64 {
        {
            let mut inner = self.lock();
            let now = inner.moment().wall;
            let no_gap = inner.gaps.check_batch(now);
            inner.check(no_gap);
            if inner.conduct.must_stop() == Some(ErrorKind::Unacknowledged) {
                inner.check::<()>(Err("a batch came after another was dropped".into()));
            }
        }
        let number = self.delivered(events, None);
        let mut inner = self.lock();
        inner.open_batches.keep();
        let (out, most) = (
            inner.open_batches.not_durable(),
            inner.climate.max_unacknowledged,
        );
        if out > most {
            inner.check::<()>(Err(format!(
                "{out} batches are unacknowledged, and {most} may be"
            )));
        }
        number
    }

    /// Returns the fault that replaces the next acknowledgement: a dropped batch. `None` if there
    /// is none.
    pub(crate) fn mishap_of_ack(&self) -> Option<What> {
        let mut inner = self.lock();
        let occasion = When::Ack(inner.acks);
        inner.acks += 1;
        inner.take(occasion)
    }

    /// Notes that the program is about to drop a batch.
    pub(crate) fn dropped(&self, number: u64, what: &What) {
        let mut inner = self.lock();
        let state = state(inner.status().as_ref());
        inner.meets(what, state);
        inner.open_batches.let_go();
        inner.open_batches.drop_one(number);
        inner.conduct.dropped_a_batch();
    }

    /// Checks the result of an acknowledgement.
    pub(crate) fn acknowledged(&self, number: u64, error: Option<ErrorKind>) {
        let mut inner = self.lock();
        inner.open_batches.let_go();
        let refused = inner.store.refused;
        let rightly = inner.open_batches.check_ack(number, error, refused);
        inner.check(rightly);
    }

    /// Checks a report of a gap.
    pub(crate) async fn gap_reported(&self, gap: &PossibleGap) {
        {
            let mut inner = self.lock();
            let now = inner.moment().wall;
            let rightly = inner.gaps.check_report(gap, now);
            inner.check(rightly);
        }
        self.step(Step::LearnsOfGap).await;
    }
}

impl Inner {
    /// Checks a subscription after a step of the program. `idle`: the program waits for something.
    pub(crate) fn check_subscription(&mut self, idle: bool) {
        let (Some(handle), None) = (self.handle(), self.crashed) else {
            return;
        };
        if self.climate.consumer != Consumer::Subscription {
            return;
        }
        let resume_at = handle.resume_at();
        let shown = resume_at.position().map(StreamPosition::as_str);
        let confirmed = self.store.confirmed().filter(|place| *place != "oldest");
        if shown != confirmed {
            let why = format!("it shows {shown:?}, and {confirmed:?} is durable");
            self.check::<()>(Err(why));
        }
        if idle && self.open_batches.waits {
            let explained = self.check_status(&handle.status());
            self.check(explained);
        }
    }

    /// Checks that a subscription's status says why no batch comes while the program waits for one.
    fn check_status(&self, status: &Status) -> Result<(), String> {
        let out = self.open_batches.not_durable();
        let is_full = out >= self.climate.max_unacknowledged;
        let rightly = match status {
            Status::Stopped { .. } => return Ok(()),
            Status::NotSaving { batches, .. } => self.store.refuses && *batches == out,
            Status::AwaitingAcks { batches, .. } => is_full && *batches == out,
            _ => !is_full && !self.store.refuses,
        };
        if self.conduct.must_stop() == Some(ErrorKind::Unacknowledged) {
            return Err("it does not report that a batch was dropped".into());
        }
        if rightly && self.store.refuses == matches!(status, Status::NotSaving { .. }) {
            return Ok(());
        }
        Err(format!(
            "{out} batches are unacknowledged, the store refuses: {}, and the status is {status:?}",
            self.store.refuses
        ))
    }
}
