//! The program that follows the account.
//!
//! It uses one part of the public API, works on what it gets, and stores its position. It reports
//! each action to the world, so that the world can check and interrupt it. The program for
//! subscriptions is in `subscriber`, and the one for the blocking client in `blocking`. Start at
//! [`start`].

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use box_longpoll::enterprise::AdminLogsStreaming;
use box_longpoll::{
    BatchStream, Error, Event, EventStream, HttpTransport, LongPollClient, LongPollClientBuilder,
    StartAt, StreamHandle,
};

use crate::blocking;
use crate::climate::{Climate, Consumer, Start};
use crate::store::{Record, Written};
use crate::subscriber;
use crate::task::Task;
use crate::world::{ACCOUNT, Step, World};

/// The longest time between two fetches of an enterprise's events.
pub(crate) const LONGEST_INTERVAL: Duration = Duration::from_secs(30);

/// The permitted calls per minute for an enterprise: enough for a small page limit and a long log.
pub(crate) const CALLS_PER_MINUTE: u32 = 240;

/// The end that the program came to by itself: with the stream's error, or without one.
pub(crate) type Ended = Option<Error>;

/// A running program.
pub(crate) type Program = Pin<Box<dyn Future<Output = Ended>>>;

/// Starts the program from its durable position.
pub(crate) fn start(world: &World, climate: &Climate, stored: Option<&str>) -> Program {
    let builder = LongPollClient::builder()
        .page_limit(climate.page_limit)
        .max_unacknowledged(climate.max_unacknowledged)
        .read_ahead(climate.read_ahead);
    let builder = match climate.max_staleness_s {
        0 => builder,
        seconds => builder.max_staleness(Duration::from_secs(seconds)),
    };
    let fresh = match climate.start {
        Start::Oldest => StartAt::Oldest,
        Start::Now => StartAt::Now,
    };
    let start = match stored {
        Some(stored) => stored
            .parse()
            .expect("the stored text is a place to start at"),
        None => fresh.clone(),
    };
    match climate.consumer {
        Consumer::Batches => batches(world, builder, start),
        Consumer::BlockingBatches => blocking::start(world, builder, start),
        Consumer::Events => {
            let client = build(world, builder);
            let source = Events {
                stream: if climate.enterprise {
                    enterprise(&client).events(start)
                } else {
                    client.events(start)
                },
                stored: stored.map(str::to_owned),
            };
            Box::pin(follow(world.clone(), source, Manner::of(climate)))
        }
        Consumer::Subscription => {
            let client = build(world, builder);
            // The subscription reads the store itself.
            Box::pin(subscriber::follow(world.clone(), client, fresh))
        }
    }
}

/// Starts the program that stores a position after each batch.
pub(crate) fn batches(world: &World, builder: LongPollClientBuilder, start: StartAt) -> Program {
    let climate = world.lock().climate.clone();
    let client = build(world, builder);
    let source = Batches {
        stream: if climate.enterprise {
            enterprise(&client).batches(start)
        } else {
            client.batches(start)
        },
        end: None,
    };
    let manner = Manner::of(&climate);
    Box::pin(follow(world.clone(), source, manner))
}

fn build(world: &World, builder: LongPollClientBuilder) -> LongPollClient<World> {
    builder
        .build(world.clone(), world.clone())
        .and_then(|client| client.as_user(ACCOUNT))
        .expect("the settings are in range")
}

fn enterprise(client: &LongPollClient<World>) -> LongPollClient<World> {
    let streaming = AdminLogsStreaming::default()
        .longest_interval(LONGEST_INTERVAL)
        .calls_per_minute(CALLS_PER_MINUTE);
    client
        .enterprise(streaming)
        .expect("the settings are in range")
}

/// A kind of stream, with the matching way to make its position durable.
trait Source {
    /// Returns the texts of the next events.
    async fn next(&mut self) -> Option<Result<Vec<Arc<str>>, Error>>;

    fn handle(&self) -> StreamHandle;

    /// Returns the position up to which the stream considers events handled.
    fn resume_at(&self) -> StartAt;

    /// Makes the position of the handled events durable. If that fails, the next commit makes up
    /// for it.
    async fn commit(&mut self, world: &World);
}

struct Batches {
    stream: BatchStream<World>,
    end: Option<StartAt>,
}

impl Source for Batches {
    async fn next(&mut self) -> Option<Result<Vec<Arc<str>>, Error>> {
        let batch = match self.stream.next().await? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(error)),
        };
        self.end = Some(batch.resume_at().clone());
        Some(Ok(batch.iter().map(text).collect()))
    }

    fn handle(&self) -> StreamHandle {
        self.stream.handle()
    }

    fn resume_at(&self) -> StartAt {
        self.stream.resume_at()
    }

    async fn commit(&mut self, world: &World) {
        if let Some(end) = self.end.take() {
            write(world, &end.to_string()).await;
        }
    }
}

struct Events {
    stream: EventStream<World>,
    stored: Option<String>,
}

impl Source for Events {
    async fn next(&mut self) -> Option<Result<Vec<Arc<str>>, Error>> {
        let event = self.stream.next().await?;
        Some(event.map(|event| vec![text(&event)]))
    }

    fn handle(&self) -> StreamHandle {
        self.stream.handle()
    }

    fn resume_at(&self) -> StartAt {
        self.stream.resume_at()
    }

    async fn commit(&mut self, world: &World) {
        let position = self.stream.resume_at().position().map(ToString::to_string);
        if let Some(position) = position
            && self.stored.as_ref() != Some(&position)
            && write(world, &position).await == Written::Yes
        {
            self.stored = Some(position);
        }
    }
}

pub(crate) fn text(event: &Event) -> Arc<str> {
    event.raw().into()
}

/// Writes a position, and tries once more if that fails.
pub(crate) async fn write(world: &World, position: &str) -> Written {
    match world.write(Record::of_position(position)).await {
        Written::Yes => Written::Yes,
        Written::No => {
            world.rest(Duration::from_secs(1)).await;
            world.write(Record::of_position(position)).await
        }
    }
}

/// The program's habits.
struct Manner {
    /// The time that it spends on a batch.
    handling: Duration,
    /// The time after which it drops the future of the next batch.
    patience: Option<Duration>,
}

impl Manner {
    fn of(climate: &Climate) -> Self {
        let patience = match (climate.consumer, climate.patience_ms) {
            // The program stores its position when nothing comes for a while, so that the last
            // position becomes durable.
            (Consumer::Events, 0) => Some(20_000),
            (_, 0) => None,
            (_, patience) => Some(patience),
        };
        Self {
            handling: Duration::from_millis(climate.handling_ms),
            patience: patience.map(Duration::from_millis),
        }
    }
}

/// Follows the account until the stream ends, and returns its error.
async fn follow<S: Source>(world: World, mut source: S, manner: Manner) -> Ended {
    world.watch(source.handle());
    loop {
        world.waits(true);
        let next = match manner.patience {
            None => Some(source.next().await),
            Some(patience) => within(world.rest(patience), source.next()).await,
        };
        world.waits(false);
        let Some(next) = next else {
            source.commit(&world).await;
            continue;
        };
        match next {
            None => {
                world.check_nothing_in_flight();
                return None;
            }
            Some(Err(error)) => {
                world.check_nothing_in_flight();
                return Some(error);
            }
            Some(Ok(events)) => {
                world.step(Step::Gets(events.len())).await;
                let number = world.delivered(&events, source.resume_at().position());
                if !manner.handling.is_zero() {
                    world.rest(manner.handling).await;
                }
                world.step(Step::Handled).await;
                world.handled(number);
                source.commit(&world).await;
            }
        }
    }
}

/// Returns the output of a future, or drops it and returns `None` if it takes too long. The future
/// and the timeout are separate tasks.
pub(crate) async fn within<T>(
    timeout: impl Future<Output = ()>,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut future = pin!(future);
    let mut timeout = pin!(timeout);
    let (task, timer) = (Task::new(), Task::new());
    poll_fn(|cx| {
        if let Poll::Ready(value) = task.poll(cx, |cx| future.as_mut().poll(cx)) {
            return Poll::Ready(Some(value));
        }
        timer
            .poll(cx, |cx| timeout.as_mut().poll(cx))
            .map(|()| None)
    })
    .await
}

impl World {
    /// Checks that a stream has dropped everything when it has ended, although the stream itself
    /// still exists.
    pub(crate) fn check_nothing_in_flight(&self) {
        let mut inner = self.lock();
        if !inner.pending.is_empty() {
            inner.check::<()>(Err("a request outlived its stream's end".into()));
        }
        // If the stream stops between two events of a page, it still holds that page until it is
        // dropped, and the page that it has read ahead.
        let bodies = inner.live_bodies.load(Ordering::Relaxed);
        if bodies > inner.open_batches.kept() + 1 + inner.climate.read_ahead {
            inner.check::<()>(Err(format!("{bodies} pages outlived their stream's end")));
        }
    }

    /// Checks that a dropped stream has left nothing behind.
    pub(crate) fn check_nothing_is_left(&self) {
        let mut inner = self.lock();
        let (requests, sleeps) = (inner.pending.len(), inner.sleepers.len());
        let bodies = inner.live_bodies.load(Ordering::Relaxed);
        if (requests, sleeps, bodies) != (0, 0, 0) {
            inner.check::<()>(Err(format!(
                "a dropped stream left {requests} requests, {sleeps} sleeps, {bodies} pages"
            )));
        }
    }
}

const _: fn() = || {
    fn is_a_transport<T: HttpTransport>() {}
    is_a_transport::<World>();
};
