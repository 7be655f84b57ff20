//! The program: it reads the past of an enterprise, follows it, and stores its place in one of five
//! manners.
//!
//! It reports each action to the world, which checks it, and may let it die there. Start at
//! [`start`].

use std::pin::Pin;
use std::time::Duration;

use box_longpoll::checkpoint::ResumeFrom;
use box_longpoll::enterprise::AdminLogsStreaming;
use box_longpoll::{
    BatchStream, Delivery, Error, Event, EventStream, LongPollClient, StartAt, Subscription, Update,
};

use super::case::{Case, Consumer};
use super::database::Written;
use super::truth::{Number, Place};
use super::world::{ADMIN, Inner, World};
use crate::program::within;

/// The time for which the program waits for a batch before it acknowledges those that it has.
const PATIENCE: Duration = Duration::from_secs(20);

/// The reason for which the program ends by itself.
pub(super) enum Ended {
    /// The stream ended, with its error or without one.
    Stream(Option<Error>),
    /// The database failed. The program is to start again.
    Database,
}

/// A running program.
pub(super) type Program = Pin<Box<dyn Future<Output = Ended>>>;

/// Starts the program from what it has stored.
pub(super) fn start(world: &World) -> Program {
    let (case, place, since) = {
        let inner = world.lock();
        (
            inner.case.clone(),
            inner.database.place.clone(),
            inner.since(),
        )
    };
    let client = client(world, &case);
    let world = world.clone();
    let start = || match &place {
        Some(place) => place.parse().expect("the stored text is a start"),
        None => since.clone(),
    };
    match case.consumer {
        Consumer::Batches => Box::pin(batches(world, client.batches(start()), case)),
        Consumer::Events => Box::pin(events(world, client.events(start()), case)),
        Consumer::OwnTransactions => {
            let stored = world.lock().database.checkpoint();
            let from = stored.map_or_else(|| since.into(), ResumeFrom::from);
            let subscription = client.subscribe_from(from);
            Box::pin(transactions(world, subscription, case))
        }
        Consumer::Acks | Consumer::AcksWithoutIds => {
            let subscription = client.subscribe(world.clone(), ADMIN, since);
            Box::pin(acks(world, subscription, case))
        }
    }
}

fn client(world: &World, case: &Case) -> LongPollClient<World> {
    let streaming = AdminLogsStreaming::default()
        .longest_interval(Duration::from_secs(case.longest_interval_s))
        .calls_per_minute(case.calls)
        .history_calls_per_minute(case.history_calls)
        .parallel(case.parallel);
    LongPollClient::builder()
        .page_limit(case.page_limit)
        .event_delay(Duration::from_secs(case.event_delay_s))
        .build(world.clone(), world.clone())
        .and_then(|client| client.as_user(ADMIN))
        .and_then(|client| client.enterprise(streaming))
        .expect("the settings are in range")
}

fn numbers<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<Number> {
    let number = |event: &Event| {
        let (_, rest) = event.raw().split_once(r#""n":""#)?;
        rest.split('"').next()?.parse().ok()
    };
    let events = events.into_iter();
    events
        .map(|event| number(event).expect("an event of this world"))
        .collect()
}

impl World {
    /// Takes a delivery, and returns its number.
    async fn gets(&self, events: Vec<Number>, place: Place) -> usize {
        self.step(|| format!("gets {events:?} in {place:?}")).await;
        let rest = {
            let mut inner = self.lock();
            let batch = inner.takes(&events, &place);
            (batch, inner.rest_after_batch())
        };
        let (batch, rest) = rest;
        if !rest.is_zero() {
            self.rest(rest).await;
        }
        self.step(|| "has worked".into()).await;
        batch
    }

    async fn learns_of_a_gap(&self, gap: &box_longpoll::PossibleGap) {
        self.step(|| {
            format!(
                "learns of a gap since {:?}",
                Inner::since_beginning(gap.since)
            )
        })
        .await;
        let mut inner = self.lock();
        let told = inner.now;
        inner.gaps += 1;
        let rightly = inner.truth.gap(Inner::since_beginning(gap.since), told);
        inner.check(rightly);
    }

    fn handled(&self, batch: usize) {
        self.lock().truth.handled(batch);
    }
}

/// Follows with a plain stream by page.
async fn batches(world: World, mut stream: BatchStream<World>, _: Case) -> Ended {
    world.lock().handle = Some(stream.handle());
    loop {
        match stream.next().await {
            None => return Ended::Stream(None),
            Some(Err(error)) => return Ended::Stream(Some(error)),
            Some(Ok(batch)) => {
                let end = batch.resume_at();
                let number = world.gets(numbers(&batch), Inner::place(&end)).await;
                world.handled(number);
                if world.store_place(end.to_string()).await == Written::No {
                    return Ended::Database;
                }
            }
        }
    }
}

/// Follows with a plain stream by event.
async fn events(world: World, mut stream: EventStream<World>, _: Case) -> Ended {
    world.lock().handle = Some(stream.handle());
    let mut stored = StartAt::Now;
    loop {
        match stream.next().await {
            None => return Ended::Stream(None),
            Some(Err(error)) => return Ended::Stream(Some(error)),
            Some(Ok(event)) => {
                let number = world.gets(numbers([&event]), Place::Unknown).await;
                world.handled(number);
                let end = stream.resume_at();
                if end != stored {
                    if world.store_place(end.to_string()).await == Written::No {
                        return Ended::Database;
                    }
                    stored = end;
                }
            }
        }
    }
}

/// Returns the next item of a subscription, or `None` at the end of the program's patience. If the
/// program keeps no batch, it waits without a limit.
async fn next(
    world: &World,
    subscription: &mut Subscription<World>,
    keeps_any: bool,
) -> Result<Option<Update>, Ended> {
    let next = if keeps_any {
        within(world.rest(PATIENCE), subscription.next()).await
    } else {
        Some(subscription.next().await)
    };
    match next {
        None => Ok(None),
        Some(None) => Err(Ended::Stream(None)),
        Some(Some(Err(error))) => Err(Ended::Stream(Some(error))),
        Some(Some(Ok(update))) => Ok(Some(update)),
    }
}

/// Follows with a subscription, and stores each checkpoint together with the events.
async fn transactions(world: World, mut subscription: Subscription<World>, case: Case) -> Ended {
    let mut kept: Vec<(usize, Delivery)> = Vec::new();
    loop {
        let most = match next(&world, &mut subscription, !kept.is_empty()).await {
            Err(ended) => return ended,
            Ok(None) => 0,
            Ok(Some(Update::PossibleGap(gap))) => {
                world.learns_of_a_gap(&gap).await;
                continue;
            }
            Ok(Some(Update::Started(progress) | Update::Moved(progress))) => {
                world.lock().handle = Some(subscription.handle());
                let checkpoint = progress.checkpoint().clone();
                if world.commit(None, checkpoint).await == Written::No {
                    return Ended::Database;
                }
                progress.stored();
                continue;
            }
            Ok(Some(Update::Batch(delivery))) => {
                let place = Inner::place(&delivery.resume_at());
                let batch = world.gets(numbers(&delivery), place).await;
                kept.push((batch, delivery));
                case.keeps
            }
        };
        while kept.len() > most {
            let (batch, delivery) = kept.remove(0);
            let checkpoint = match delivery.checkpoint() {
                Ok(checkpoint) => checkpoint,
                Err(error) => return Ended::Stream(Some(error)),
            };
            if world.commit(Some(batch), checkpoint).await == Written::No {
                return Ended::Database;
            }
            delivery.stored();
            world.step(|| "has stored".into()).await;
        }
    }
}

/// Follows with a subscription that has a store, and acknowledges batches.
async fn acks(world: World, mut subscription: Subscription<World>, case: Case) -> Ended {
    let mut kept: Vec<(usize, Delivery)> = Vec::new();
    loop {
        let most = match next(&world, &mut subscription, !kept.is_empty()).await {
            Err(ended) => return ended,
            Ok(None) => 0,
            Ok(Some(Update::PossibleGap(gap))) => {
                world.learns_of_a_gap(&gap).await;
                continue;
            }
            Ok(Some(Update::Started(_))) => {
                world.lock().handle = Some(subscription.handle());
                continue;
            }
            Ok(Some(Update::Moved(_))) => panic!("a store needs no such report"),
            Ok(Some(Update::Batch(delivery))) => {
                let place = Inner::place(&delivery.resume_at());
                let batch = world.gets(numbers(&delivery), place).await;
                kept.push((batch, delivery));
                case.keeps
            }
        };
        while kept.len() > most {
            let index = if case.acks_shuffled {
                world.lock().database_rng().usize(..kept.len())
            } else {
                0
            };
            let (batch, delivery) = kept.remove(index);
            world.handled(batch);
            // A failed write is tried again by the subscription.
            let outcome = delivery.ack().await;
            world
                .step(|| format!("has acknowledged: {outcome:?}"))
                .await;
        }
    }
}
