//! The program that follows the account with a subscription, and how it acknowledges.

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

/// How long it waits for more than the subscription may give, until it acknowledges something.
const PATIENCE_WHEN_FULL: Duration = Duration::from_secs(1);

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
            Some(Some(Ok(Update::PossibleGap(gap)))) => world.told_of(&gap).await,
            Some(Some(Ok(Update::Batch(delivery)))) => consumer.take(delivery).await,
            Some(Some(Ok(other))) => panic!("{other:?}"),
            Some(Some(Err(error))) => break Some(error),
            Some(None) => break None,
        }
    };
    world.check_nothing_under_way();
    // What it has in hand can still be acknowledged, and need not be.
    if consumer.rng.bool() {
        drop(subscription);
    }
    if consumer.rng.bool() {
        consumer.acknowledge(0).await;
        consumer.finish().await;
    }
    ended
}

/// What the program has in hand.
struct Consumer {
    world: World,
    climate: Climate,
    rng: Rng,
    kept: Vec<(u64, Delivery)>,
    /// Acknowledgements, each a task of its own.
    under_way: FuturesUnordered<Pin<Box<dyn Future<Output = ()>>>>,
}

impl Consumer {
    fn of(world: &World) -> Self {
        Self {
            climate: world.lock().climate.clone(),
            world: world.clone(),
            rng: Rng::new(),
            kept: Vec::new(),
            under_way: FuturesUnordered::new(),
        }
    }

    /// What comes next. `None`: nothing in time.
    async fn next(
        &mut self,
        subscription: &mut Subscription<World>,
    ) -> Option<Option<Result<Update, Error>>> {
        let (world, patience) = (self.world.clone(), self.patience());
        let stream = Task::new();
        let next = poll_fn(|cx| {
            let acks_first = self.rng.bool();
            if acks_first {
                while let Poll::Ready(Some(())) = self.under_way.poll_next_unpin(cx) {}
            }
            let next = stream.poll(cx, |cx| subscription.poll_next_unpin(cx));
            if !acks_first && next.is_pending() {
                while let Poll::Ready(Some(())) = self.under_way.poll_next_unpin(cx) {}
            }
            next
        });
        world.asks(true);
        let next = match patience {
            None => Some(next.await),
            Some(patience) => within(&world, patience, next).await,
        };
        world.asks(false);
        next
    }

    fn patience(&self) -> Option<Duration> {
        if self.kept.len() >= self.climate.max_unacknowledged {
            return Some(PATIENCE_WHEN_FULL);
        }
        match (self.climate.patience_ms, self.climate.keeps) {
            (0, 0) => None,
            // What it keeps is to be durable in the end.
            (0, _) => Some(Duration::from_secs(20)),
            (patience, _) => Some(Duration::from_millis(patience)),
        }
    }

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

    /// Acknowledges until it keeps no more than so many.
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
            self.under_way.push(Box::pin(async move {
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
                    // It counts all the same. The subscription goes on with the write.
                    Poll::Pending => world.lock().hands.let_go(),
                }
            }));
            if !self.climate.acks_beside {
                self.finish().await;
            }
        }
    }

    async fn finish(&mut self) {
        while self.under_way.next().await.is_some() {}
    }
}
