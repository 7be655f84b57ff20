//! What a subscription owes to its program, and what the program tells the world of it.

use std::sync::Arc;

use box_longpoll::{ErrorKind, PossibleGap, Status, StreamHandle, StreamPosition};

use crate::climate::{Consumer, Start};
use crate::coverage::state;
use crate::scenario::{What, When};
use crate::world::{Inner, Step, World};

impl World {
    /// The program has its subscription.
    pub(crate) fn subscribed(&self, handle: StreamHandle) {
        self.watch(handle);
        let mut inner = self.lock();
        if inner.climate.start == Start::Now && inner.store.confirmed().is_none() {
            inner.check::<()>(Err("it began before `now` was durable".into()));
        }
    }

    /// Whether the program waits for the subscription.
    pub(crate) fn asks(&self, asks: bool) {
        self.lock().hands.asks = asks;
    }

    /// The program takes a batch. Gives its number.
    pub(crate) fn takes(&self, events: &[Arc<str>]) -> u64 {
        {
            let mut inner = self.lock();
            let now = inner.moment().wall;
            let no_gap = inner.gaps.check_batch(now);
            inner.check(no_gap);
            if let Some(kind) = inner.conduct.must_stop() {
                inner.check::<()>(Err(format!("a batch came after {kind:?}")));
            }
        }
        let number = self.delivered(events, None);
        let mut inner = self.lock();
        inner.hands.keep();
        let (out, most) = (inner.hands.not_durable(), inner.climate.max_unacknowledged);
        if out > most {
            inner.check::<()>(Err(format!("{out} batches are out, and {most} may be")));
        }
        number
    }

    /// What happens to a batch in place of being acknowledged: it is dropped. `None`: nothing does.
    pub(crate) fn mishap_of_ack(&self) -> Option<What> {
        let mut inner = self.lock();
        let occasion = When::Ack(inner.acks);
        inner.acks += 1;
        inner.take(occasion)
    }

    /// The program is about to drop a batch.
    pub(crate) fn dropped(&self, number: u64, what: &What) {
        let mut inner = self.lock();
        let state = state(inner.status().as_ref());
        inner.meets(what, state);
        inner.hands.let_go();
        inner.hands.drop_one(number);
        inner.conduct.dropped_a_batch();
    }

    /// An acknowledgement has come to its end, with an error or without.
    pub(crate) fn acknowledged(&self, number: u64, error: Option<ErrorKind>) {
        let mut inner = self.lock();
        inner.hands.let_go();
        let refused = inner.store.refused;
        let rightly = inner.hands.check_ack(number, error, refused);
        inner.check(rightly);
    }

    pub(crate) async fn told_of(&self, gap: &PossibleGap) {
        {
            let mut inner = self.lock();
            let now = inner.moment().wall;
            let rightly = inner.gaps.check_told(gap, now);
            inner.check(rightly);
        }
        self.step(Step::HearsOfGap).await;
    }
}

impl Inner {
    /// A page that has come brought nothing, as far as can be told by now.
    pub(crate) fn settle_page(&mut self) {
        if self.conduct.has_caught_up() {
            let now = self.moment().wall;
            self.gaps.caught_up(now, self.ledger.reach());
        }
    }

    /// The program has gone on as far as it could. `idle`: and there is nothing more that it could do.
    pub(crate) fn check_subscription(&mut self, idle: bool) {
        self.settle_page();
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
        if idle && self.hands.asks {
            let told = self.check_status(&handle.status());
            self.check(told);
        }
    }

    /// While the program waits for it, a subscription says why nothing comes.
    fn check_status(&self, status: &Status) -> Result<(), String> {
        let out = self.hands.not_durable();
        let is_full = out >= self.climate.max_unacknowledged;
        let rightly = match status {
            Status::Stopped { .. } => return Ok(()),
            Status::NotSaving { batches, .. } => self.store.refuses && *batches == out,
            Status::AwaitingAcks { batches, .. } => is_full && *batches == out,
            _ => !is_full && !self.store.refuses,
        };
        if self.conduct.must_stop() == Some(ErrorKind::Unacknowledged) {
            return Err("it does not say that a batch was dropped".into());
        }
        if rightly && self.store.refuses == matches!(status, Status::NotSaving { .. }) {
            return Ok(());
        }
        Err(format!(
            "{out} batches are out, the store refuses: {}, and it is {status:?}",
            self.store.refuses
        ))
    }
}
