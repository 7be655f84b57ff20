//! The program that follows the account with a subscription.
//!
//! It takes batches, keeps some of them, and acknowledges the others in the order and manner that
//! the climate sets. It reports each action to the world, which checks it in `subscribed`. The
//! programs for the other consumers are in `program`. Start at [`follow`].

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use box_longpoll::{Delivery, Error, LongPollClient, StartAt, Subscription, Update};
use fastrand::Rng;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::climate::Climate;
use crate::program::{Ended, text, within};
use crate::task::Task;
use crate::world::{ACCOUNT, Step, World};

/// The time for which the program waits for a batch although the limit is reached. Then it
/// acknowledges something.
const PATIENCE_WHEN_FULL: Duration = Duration::from_secs(1);

/// Follows the account until the subscription ends, and returns its error.
pub(crate) async fn follow(world: World, client: LongPollClient<World>, start: StartAt) -> Ended {
    let mut subscription = client.subscribe(world.clone(), ACCOUNT, start);
    match subscription.next().await {
        Some(Ok(Update::Started(_))) => world.subscribed(subscription.handle()),
        Some(Ok(other)) => panic!("{other:?}"),
        Some(Err(error)) => return Some(error),
        None => return None,
    }
    let mut consumer = Consumer::of(&world);
    let ended = loop {
        match consumer.next(&mut subscription).await {
            None => consumer.acknowledge(0).await,
            Some(Some(Ok(Update::PossibleGap(gap)))) => world.gap_reported(&gap).await,
            Some(Some(Ok(Update::Batch(delivery)))) => consumer.take(delivery).await,
            Some(Some(Ok(other))) => panic!("{other:?}"),
            Some(Some(Err(error))) => break Some(error),
            Some(None) => break None,
        }
    };
    world.check_nothing_in_flight();
    // The program may still acknowledge the batches that it has, but need not.
    if consumer.rng.bool() {
        drop(subscription);
    }
    if consumer.rng.bool() {
        consumer.acknowledge(0).await;
        consumer.finish().await;
    }
    ended
}

/// The batches that the program has, and its way to acknowledge them.
struct Consumer {
    world: World,
    climate: Climate,
    rng: Rng,
    /// The batches that are not acknowledged, with their numbers.
    kept: Vec<(u64, Delivery)>,
    /// The acknowledgements in progress. Each is a separate task.
    acks: FuturesUnordered<Pin<Box<dyn Future<Output = ()>>>>,
}

impl Consumer {
    fn of(world: &World) -> Self {
        Self {
            climate: world.lock().climate.clone(),
            world: world.clone(),
            rng: Rng::new(),
            kept: Vec::new(),
            acks: FuturesUnordered::new(),
        }
    }

    /// Returns the next item of the subscription, or `None` if nothing comes in time.
    async fn next(
        &mut self,
        subscription: &mut Subscription<World>,
    ) -> Option<Option<Result<Update, Error>>> {
        let (world, patience) = (self.world.clone(), self.patience());
        let stream = Task::new();
        let next = poll_fn(|cx| {
            let acks_first = self.rng.bool();
            if acks_first {
                while let Poll::Ready(Some(())) = self.acks.poll_next_unpin(cx) {}
            }
            let next = stream.poll(cx, |cx| subscription.poll_next_unpin(cx));
            if !acks_first && next.is_pending() {
                while let Poll::Ready(Some(())) = self.acks.poll_next_unpin(cx) {}
            }
            next
        });
        world.waits(true);
        let next = match patience {
            None => Some(next.await),
            Some(patience) => within(world.rest(patience), next).await,
        };
        world.waits(false);
        next
    }

    /// Returns the time for which the program waits for the next batch. `None`: without limit.
    fn patience(&self) -> Option<Duration> {
        if self.kept.len() >= self.climate.max_unacknowledged {
            return Some(PATIENCE_WHEN_FULL);
        }
        match (self.climate.patience_ms, self.climate.keeps) {
            (0, 0) => None,
            // The kept batches have to become durable in the end.
            (0, _) => Some(Duration::from_secs(20)),
            (patience, _) => Some(Duration::from_millis(patience)),
        }
    }

    /// Works on a batch, keeps it, and acknowledges until few enough batches are kept.
    async fn take(&mut self, delivery: Delivery) {
        self.world.step(Step::Gets(delivery.len())).await;
        let events: Vec<_> = delivery.iter().map(text).collect();
        let number = self.world.takes(&events);
        if self.climate.handling_ms > 0 {
            let handling = Duration::from_millis(self.climate.handling_ms);
            self.world.rest(handling).await;
        }
        self.kept.push((number, delivery));
        self.acknowledge(self.climate.keeps).await;
    }

    /// Acknowledges batches until at most `keeps` of them are left.
    async fn acknowledge(&mut self, keeps: usize) {
        while self.kept.len() > keeps {
            let index = if self.climate.acks_shuffled {
                self.rng.usize(..self.kept.len())
            } else {
                0
            };
            let (number, delivery) = self.kept.remove(index);
            let what = self.world.mishap_of_ack();
            let is_cut = self.climate.acks_beside && self.rng.u8(..8) == 0;
            let world = self.world.clone();
            self.acks.push(Box::pin(async move {
                if let Some(what) = what {
                    world.dropped(number, &what);
                    return drop(delivery);
                }
                world.step(Step::Handled).await;
                world.handled(number);
                let mut ack = Box::pin(delivery.ack());
                let outcome = if is_cut {
                    poll_fn(|cx| Poll::Ready(ack.as_mut().poll(cx))).await
                } else {
                    Poll::Ready(ack.await)
                };
                match outcome {
                    Poll::Ready(outcome) => {
                        let error = outcome.err().map(|error| error.kind());
                        world.acknowledged(number, error);
                    }
                    // A dropped acknowledgement counts all the same. The subscription finishes the
                    // write.
                    Poll::Pending => world.lock().open_batches.let_go(),
                }
            }));
            if !self.climate.acks_beside {
                self.finish().await;
            }
        }
    }

    /// Waits for all acknowledgements in progress.
    async fn finish(&mut self) {
        while self.acks.next().await.is_some() {}
    }
}
