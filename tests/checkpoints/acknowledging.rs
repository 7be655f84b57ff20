//! Tests of acknowledgements: when they become durable, in which order, and at which limit delivery
//! waits for them. A hole is a batch that is still unacknowledged while a later one is
//! acknowledged.

use std::pin::pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{Delivery, Error, ErrorKind, Event, Status, Subscription};
use box_longpoll_testkit::EmulatorServer;
use futures_lite::future::poll_once;
use futures_util::future::join_all;

use crate::fake_box::{PATIENCE, TOKEN, builder, fake_box};
use crate::store::{Behaviour, Memory};
use crate::world::{
    build, client, follow, idle_until, ids, in_time, next_batch, next_batches, subscribe,
};

#[tokio::test]
async fn an_acknowledgement_returns_when_it_is_durable() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 4);
    let store = Memory::default();
    let mut subscription = subscribe(&client(&server), &store).await;
    for _ in 0..2 {
        let batch = next_batch(&mut subscription).await;
        let end = batch.resume_at().position().cloned();
        assert_ne!(store.position(), end);
        in_time(batch.ack()).await.unwrap();
        assert_eq!(store.position(), end);
        assert_eq!(subscription.resume_at().position(), end.as_ref());
        assert_eq!(subscription.handle().resume_at().position(), end.as_ref());
    }
}

#[tokio::test]
async fn acks_out_of_order_commit_only_the_contiguous_prefix() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 8);
    let store = Memory::default();
    let mut subscription = subscribe(&client(&server), &store).await;
    let mut batches = next_batches(&mut subscription, 4).await;
    let ends: Vec<_> = batches
        .iter()
        .map(|batch| batch.resume_at().position().cloned())
        .collect();
    let fourth = batches.pop().unwrap();
    let third = batches.pop().unwrap();
    let second = batches.pop().unwrap();
    let first = batches.pop().unwrap();

    // They return immediately, although they can't be durable before the first batch.
    in_time(third.ack()).await.unwrap();
    in_time(second.ack()).await.unwrap();
    assert_eq!(store.position(), None);
    in_time(first.ack()).await.unwrap();
    assert_eq!(store.position(), ends[2], "up to the unacknowledged batch");
    in_time(fourth.ack()).await.unwrap();
    assert_eq!(store.position(), ends[3]);
}

#[tokio::test]
async fn delivery_gives_the_events_of_its_batch() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 2);
    let mut subscription = subscribe(&client(&server), &Memory::default()).await;
    let batch = next_batch(&mut subscription).await;
    assert_eq!(batch.len(), 2);
    for events in [batch.iter(), (&batch).into_iter()] {
        let ids: Vec<_> = events.filter_map(Event::id).collect();
        assert_eq!(ids, server.event_ids(TOKEN));
    }
}

/// Delivers three batches, and acknowledges the first. The save of that acknowledgement does not
/// end before the store's behavior changes.
async fn first_is_saved(
    server: &EmulatorServer,
    store: &Memory,
    subscription: &mut Subscription<ReqwestTransport>,
) -> (impl Future<Output = Result<(), Error>>, Delivery, Delivery) {
    server.append(TOKEN, 6);
    let batches = next_batches(subscription, 3).await;
    let [first, second, third] = batches.try_into().expect("there are three");
    store.behave(Behaviour::Waits);
    let mut first = Box::pin(first.ack());
    assert!(poll_once(first.as_mut()).await.is_none(), "it is saved");
    (first, second, third)
}

#[tokio::test]
async fn ack_behind_a_hole_returns_while_another_is_saved() {
    let (server, store) = (fake_box(|_| ()), Memory::default());
    let mut subscription = subscribe(&client(&server), &store).await;
    let (first, _second, third) = first_is_saved(&server, &store, &mut subscription).await;
    in_time(third.ack()).await.unwrap();
    store.behave(Behaviour::Works);
    in_time(first).await.unwrap();
}

#[tokio::test]
async fn concurrent_acknowledgements_share_a_write() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 16);
    let store = Memory::default();
    let mut subscription = subscribe(&client(&server), &store).await;
    let batches = next_batches(&mut subscription, 8).await;
    let before = store.saves().len();
    store.behave(Behaviour::Waits);
    let acks = join_all(batches.into_iter().map(box_longpoll::Delivery::ack));
    let release = async {
        tokio::task::yield_now().await;
        store.behave(Behaviour::Works);
    };
    let (outcomes, ()) = in_time(async { tokio::join!(acks, release) }).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert!(store.saves().len() <= before + 2, "{:?}", store.saves());
    let newest = server.emulator().newest_position(TOKEN);
    assert_eq!(store.position().unwrap().as_str(), newest);
}

#[tokio::test]
async fn acknowledgement_counts_when_its_future_is_dropped_midway() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 2);
    let store = Memory::default();
    let mut subscription = subscribe(&client(&server), &store).await;
    let batch = next_batch(&mut subscription).await;
    let end = batch.resume_at().position().cloned();
    store.behave(Behaviour::Waits);
    let cut = tokio::time::timeout(Duration::from_millis(10), batch.ack()).await;
    assert!(cut.is_err());
    store.behave(Behaviour::Works);
    idle_until(&mut subscription, |_| store.position() == end).await;
}

#[tokio::test]
async fn a_batch_that_is_dropped_is_an_error_at_the_next_call() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 6);
    let store = Memory::default();
    let mut subscription = subscribe(&client(&server), &store).await;
    let mut batches = next_batches(&mut subscription, 3).await;
    let third = batches.pop().unwrap();
    drop(batches.pop());
    let first = batches.pop().unwrap();

    let error = in_time(third.ack()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unacknowledged);
    let error = in_time(subscription.next()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unacknowledged);
    assert!(matches!(
        subscription.status(),
        Status::Stopped {
            because: Some(because),
            ..
        } if because == error
    ));
    assert!(in_time(subscription.next()).await.is_none());

    // The batch before it still counts, and the other two are delivered again.
    let end = first.resume_at().position().cloned();
    in_time(first.ack()).await.unwrap();
    assert_eq!(store.position(), end);
    drop(subscription);
    let mut resumed = subscribe(&client(&server), &store).await;
    assert_eq!(follow(&mut resumed, 4).await, server.event_ids(TOKEN)[2..]);
}

#[tokio::test]
async fn first_dropped_batch_counts_when_a_later_one_is_dropped() {
    for dropped in [[1, 3], [3, 1]] {
        let server = fake_box(|_| ());
        server.append(TOKEN, 8);
        let store = Memory::default();
        let mut subscription = subscribe(&client(&server), &store).await;
        let batches = next_batches(&mut subscription, 4).await;
        let mut batches: Vec<_> = batches.into_iter().map(Some).collect();
        for n in dropped {
            drop(batches[n].take());
        }
        // This batch lies between the two that were dropped, so nothing can make it durable.
        let error = in_time(batches[2].take().unwrap().ack()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unacknowledged);
        in_time(batches[0].take().unwrap().ack()).await.unwrap();
        let error = in_time(subscription.next()).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unacknowledged);
    }
}

#[tokio::test]
async fn ack_in_flight_fails_when_a_batch_before_it_is_dropped() {
    let (server, store) = (fake_box(|_| ()), Memory::default());
    let mut subscription = subscribe(&client(&server), &store).await;
    let (first, second, third) = first_is_saved(&server, &store, &mut subscription).await;
    // The second batch is dropped while the acknowledgement of the first is being saved.
    drop(second);
    let error = in_time(third.ack()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unacknowledged);
    store.behave(Behaviour::Works);
    in_time(first).await.unwrap();
}

#[tokio::test]
async fn next_in_flight_fails_when_a_batch_is_dropped() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 2);
    let mut subscription = subscribe(&client(&server), &Memory::default()).await;
    let batch = next_batch(&mut subscription).await;
    let dropper = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(batch);
    };
    let (next, ()) = in_time(async { tokio::join!(subscription.next(), dropper) }).await;
    assert_eq!(next.unwrap().unwrap_err().kind(), ErrorKind::Unacknowledged);
}

#[tokio::test]
async fn acknowledgement_that_is_never_polled_drops_its_batch() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 2);
    let mut subscription = subscribe(&client(&server), &Memory::default()).await;
    drop(next_batch(&mut subscription).await.ack());
    let error = in_time(subscription.next()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unacknowledged);
}

#[tokio::test]
async fn delivery_waits_at_the_bound_and_says_so() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 8);
    let client = build(builder(&server).page_limit(2).max_unacknowledged(2));
    let mut subscription = subscribe(&client, &Memory::default()).await;
    let mut batches = next_batches(&mut subscription, 2).await;
    idle_until(&mut subscription, |subscription| {
        matches!(
            subscription.status(),
            Status::AwaitingAcks { batches: 2, .. }
        )
    })
    .await;
    let came = server.counters().events_served;
    assert!(came <= 4, "the stream reads ahead: {came}");

    // Acknowledging the second batch makes no room, because the first is still unacknowledged.
    in_time(batches.pop().unwrap().ack()).await.unwrap();
    let nothing = tokio::time::timeout(Duration::from_millis(50), subscription.next()).await;
    assert!(nothing.is_err(), "{nothing:?}");

    // A call to `next` that waits continues when the first batch is acknowledged.
    let ack = batches.pop().unwrap().ack();
    let (ack, third) = in_time(async { tokio::join!(ack, next_batch(&mut subscription)) }).await;
    ack.unwrap();
    assert_eq!(ids(&third), server.event_ids(TOKEN)[4..6]);
}

#[tokio::test]
async fn subscription_listens_when_the_backlog_is_delivered() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 4);
    let mut subscription = subscribe(&client(&server), &Memory::default()).await;
    let _batches = next_batches(&mut subscription, 2).await;
    idle_until(&mut subscription, |subscription| {
        matches!(subscription.status(), Status::Listening { .. })
    })
    .await;
}

#[tokio::test]
async fn acks_still_count_when_a_subscription_is_stopped_or_dropped() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 4);
    let store = Memory::default();
    let mut subscription = subscribe(&client(&server), &store).await;
    let mut batches = next_batches(&mut subscription, 2).await;
    let second = batches.pop().unwrap();
    let end = second.resume_at().position().cloned();
    subscription.handle().stop();
    assert!(in_time(subscription.next()).await.is_none());
    in_time(batches.pop().unwrap().ack()).await.unwrap();
    assert!(store.position().is_some());
    drop(subscription);
    in_time(second.ack()).await.unwrap();
    assert_eq!(store.position(), end);
}

#[tokio::test]
async fn pages_without_new_events_acknowledge_themselves_in_order() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 2);
    let store = Memory::default();
    let mut subscription = subscribe(&client(&server), &store).await;
    let batch = next_batch(&mut subscription).await;
    let end = batch.resume_at().position().cloned();

    // The page has only repeats, so it brings nothing but a new position.
    let repeats = server.emulator().events(TOKEN);
    server.append_json(TOKEN, repeats);
    let polls = server.counters().events.requests;
    idle_until(&mut subscription, |_| {
        server.counters().events.requests >= polls + 2
    })
    .await;
    assert!(
        store.position().is_none(),
        "the batch before them is unacknowledged"
    );

    in_time(batch.ack()).await.unwrap();
    let newest = server.emulator().newest_position(TOKEN);
    assert_ne!(end.unwrap().as_str(), newest);
    let caught_up = |store: &Memory| store.position().is_some_and(|at| at.as_str() == newest);
    idle_until(&mut subscription, |_| caught_up(&store)).await;

    // If no batch is unacknowledged, the position of such a page is saved without further calls.
    let repeats = server.emulator().events(TOKEN);
    server.append_json(TOKEN, repeats);
    let newest = server.emulator().newest_position(TOKEN);
    let caught_up = |store: &Memory| store.position().is_some_and(|at| at.as_str() == newest);
    idle_until(&mut subscription, |_| caught_up(&store)).await;
}

/// A task that ends inside its waker, as with some executors, and then drops its batch.
struct EndsWhenWoken(Mutex<Option<Delivery>>);

impl Wake for EndsWhenWoken {
    fn wake(self: Arc<Self>) {
        drop(self.0.lock().unwrap().take());
    }
}

async fn drop_a_batch_in_a_waker_during_a_save() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 4);
    let mut subscription = subscribe(&client(&server), &Memory::default()).await;
    let mut batches = next_batches(&mut subscription, 2).await;
    let second = Mutex::new(batches.pop());
    let waker = Waker::from(Arc::new(EndsWhenWoken(second)));
    let mut handle = subscription.handle();
    loop {
        let mut changed = pin!(handle.changed());
        if let Poll::Ready(_old) = changed.as_mut().poll(&mut Context::from_waker(&waker)) {
            continue;
        }
        in_time(batches.pop().unwrap().ack()).await.unwrap();
        break;
    }
    let error = in_time(subscription.next()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unacknowledged);
}

#[test]
fn subscription_is_unlocked_while_it_wakes_its_watchers() {
    let (done, outcome) = mpsc::channel();
    thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(drop_a_batch_in_a_waker_during_a_save());
        done.send(()).unwrap();
    });
    // This is twice the timeout of each step, so a step that is too slow fails first.
    assert!(
        outcome.recv_timeout(2 * PATIENCE).is_ok(),
        "the subscription hangs"
    );
}
