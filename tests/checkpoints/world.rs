//! The clients, subscriptions and checkpoints that the tests share, all of one account of a fake
//! Box.

use std::future::Future;
use std::time::{Duration, SystemTime};

use box_longpoll::checkpoint::{Checkpoint, CheckpointStore};
use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{
    AccessToken, Delivery, Error, HttpTransport, LongPollClient, LongPollClientBuilder, StartAt,
    Subscription, Update,
};
use box_longpoll_testkit::EmulatorServer;
use jiff::Timestamp;
use serde_json::json;

use crate::fake_box::{PATIENCE, TOKEN, builder};

pub(crate) type Client = LongPollClient<ReqwestTransport>;

/// The checkpoint key of every test.
pub(crate) const ACCOUNT: &str = "ada";

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) fn build(builder: LongPollClientBuilder) -> Client {
    let transport = ReqwestTransport::new().unwrap();
    builder
        .build(transport, AccessToken::new(TOKEN).unwrap())
        .unwrap()
}

/// Returns a client whose pages have up to two events.
pub(crate) fn client(server: &EmulatorServer) -> Client {
    build(builder(server).page_limit(2))
}

pub(crate) async fn subscribe<T: HttpTransport>(
    client: &LongPollClient<T>,
    store: &(impl CheckpointStore + Clone),
) -> Subscription<T> {
    in_time(started(client.subscribe(
        store.clone(),
        ACCOUNT,
        StartAt::Oldest,
    )))
    .await
    .unwrap()
}

/// Returns the subscription after its start, or the error that stopped it.
pub(crate) async fn started<T: HttpTransport>(
    mut subscription: Subscription<T>,
) -> Result<Subscription<T>, Error> {
    match subscription.next().await {
        Some(Ok(Update::Started(_))) => Ok(subscription),
        Some(Err(error)) => Err(error),
        other => panic!("{other:?}"),
    }
}

/// Awaits the work, and panics if it takes longer than [`PATIENCE`].
#[track_caller]
pub(crate) fn in_time<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        tokio::time::timeout(PATIENCE, work)
            .await
            .unwrap_or_else(|_| panic!("{caller}: nothing came in {PATIENCE:?}"))
    }
}

/// Returns the next item, and panics if it is no batch.
#[track_caller]
pub(crate) fn next_batch<T: HttpTransport>(
    subscription: &mut Subscription<T>,
) -> impl Future<Output = Delivery> {
    let caller = std::panic::Location::caller();
    let next = in_time(subscription.next());
    async move {
        match next.await {
            Some(Ok(Update::Batch(batch))) => batch,
            other => panic!("{caller}: {other:?}"),
        }
    }
}

/// Returns the next `count` batches.
pub(crate) async fn next_batches<T: HttpTransport>(
    subscription: &mut Subscription<T>,
    count: usize,
) -> Vec<Delivery> {
    let mut batches = Vec::new();
    for _ in 0..count {
        batches.push(next_batch(subscription).await);
    }
    batches
}

pub(crate) fn ids(batch: &Delivery) -> Vec<String> {
    let ids = batch.iter().map(|event| event.id().unwrap().to_owned());
    ids.collect()
}

/// Acknowledges batches until `count` events have arrived, and returns the ids of the events.
pub(crate) async fn follow<T: HttpTransport>(
    subscription: &mut Subscription<T>,
    count: usize,
) -> Vec<String> {
    let mut came = Vec::new();
    while came.len() < count {
        let batch = next_batch(subscription).await;
        came.extend(ids(&batch));
        in_time(batch.ack()).await.unwrap();
    }
    came
}

/// Drives the subscription until the condition holds, and panics if an item arrives before.
#[track_caller]
pub(crate) fn idle_until<T: HttpTransport>(
    subscription: &mut Subscription<T>,
    mut holds: impl FnMut(&Subscription<T>) -> bool,
) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    in_time(async move {
        while !holds(subscription) {
            let wait = Duration::from_millis(5);
            let next = tokio::time::timeout(wait, subscription.next()).await;
            assert!(next.is_err(), "{caller}: unexpected item: {next:?}");
        }
    })
}

/// Returns a checkpoint as a subscription to the server would have saved it, `age` ago.
pub(crate) fn checkpoint(server: &EmulatorServer, position: &str, age: Duration) -> Checkpoint {
    checkpoint_of(server.origin(), "all", position, age)
}

#[expect(clippy::disallowed_methods, reason = "a checkpoint is dated")]
pub(crate) fn checkpoint_of(
    origin: &str,
    stream_type: &str,
    position: &str,
    age: Duration,
) -> Checkpoint {
    let last_success = Timestamp::try_from(SystemTime::now() - age).unwrap();
    dated_checkpoint(origin, stream_type, position, &last_success.to_string())
}

pub(crate) fn dated_checkpoint(
    origin: &str,
    stream_type: &str,
    position: &str,
    last_success: &str,
) -> Checkpoint {
    serde_json::from_value(json!({
        "account": ACCOUNT,
        "stream_type": stream_type,
        "api_origin": origin,
        "position": position,
        "last_success": last_success,
        "id_key": "000102030405060708090a0b0c0d0e0f",
        "ids": "00000000000000000000000000000001ffffffffffffffffffffffffffffffff",
    }))
    .unwrap()
}
