//! Tests of the events that wake a full subscription, which would otherwise sleep forever.
//!
//! Each test polls the subscription by hand. A full subscription has no request in flight, so only
//! the event under test can wake it.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use box_longpoll::config::RetryPolicy;
use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{Delivery, Error, ErrorKind, Status, Subscription, Update};
use box_longpoll_testkit::EmulatorServer;

use crate::fake_box::{TOKEN, builder, fake_box};
use crate::store::{Behaviour, Memory};
use crate::world::{build, in_time, next_batches, subscribe};

/// A task that counts its wake-ups.
#[derive(Default)]
struct Task(AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Task {
    fn wake_ups(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    fn polls<F: Future>(self: &Arc<Self>, future: F) -> Poll<F::Output> {
        let waker = Waker::from(self.clone());
        pin!(future).poll(&mut Context::from_waker(&waker))
    }
}

/// A subscription that has delivered two batches, which is its limit, and waits for an
/// acknowledgement.
struct Full {
    subscription: Subscription<ReqwestTransport>,
    batches: Vec<Delivery>,
    task: Arc<Task>,
}

impl Full {
    async fn of(server: &EmulatorServer, store: &Memory) -> Self {
        server.append(TOKEN, 6);
        let hour = Duration::from_secs(3_600);
        let client = builder(server)
            .page_limit(2)
            .max_unacknowledged(2)
            .retry(RetryPolicy::default().first(hour).longest(hour));
        let mut subscription = subscribe(&build(client), store).await;
        let batches = next_batches(&mut subscription, 2).await;
        Self {
            subscription,
            batches,
            task: Arc::default(),
        }
    }

    fn poll(&mut self) -> Poll<Option<Result<Update, Error>>> {
        self.task.polls(self.subscription.next())
    }

    /// Polls the subscription, and panics if it does not wait for acknowledgements.
    #[track_caller]
    fn waits(&mut self) {
        let polled = self.poll();
        assert!(polled.is_pending(), "{polled:?}");
        assert!(
            matches!(
                self.subscription.status(),
                Status::AwaitingAcks { .. } | Status::NotSaving { .. }
            ),
            "{:?}",
            self.subscription.status()
        );
    }
}

#[tokio::test]
async fn dropped_batch_wakes_the_subscription() {
    let mut full = Full::of(&fake_box(|_| ()), &Memory::default()).await;
    full.waits();
    assert_eq!(full.task.wake_ups(), 0);
    drop(full.batches.pop());
    assert_eq!(full.task.wake_ups(), 1);
    let Poll::Ready(Some(Err(error))) = full.poll() else {
        panic!("the subscription continues");
    };
    assert_eq!(error.kind(), ErrorKind::Unacknowledged);
}

#[tokio::test]
async fn acknowledgement_that_is_cut_short_wakes_the_subscription() {
    let (server, store) = (fake_box(|_| ()), Memory::default());
    let mut full = Full::of(&server, &store).await;
    full.waits();
    store.behave(Behaviour::Waits);
    let end = full.batches[0].resume_at().position().cloned();
    let ack = full.batches.remove(0).ack();
    assert!(Arc::<Task>::default().polls(ack).is_pending());
    assert_eq!(full.task.wake_ups(), 1);

    // From now on, only the subscription drives the save.
    full.waits();
    store.behave(Behaviour::Works);
    assert_eq!(full.task.wake_ups(), 2);
    let _more = in_time(full.subscription.next()).await;
    assert_eq!(store.position(), end);
}

#[tokio::test]
async fn save_of_another_task_wakes_the_subscription() {
    let (server, store) = (fake_box(|_| ()), Memory::default());
    let mut full = Full::of(&server, &store).await;
    store.behave(Behaviour::Fails);
    in_time(full.batches.remove(0).ack()).await.unwrap_err();

    // The next attempt to save may be an hour away.
    full.waits();
    store.behave(Behaviour::Waits);
    let mut ack = Box::pin(full.batches.remove(0).ack());
    let acknowledges = Arc::<Task>::default();
    assert!(acknowledges.polls(ack.as_mut()).is_pending());
    full.waits();
    let wake_ups = full.task.wake_ups();
    store.behave(Behaviour::Works);
    assert!(matches!(
        acknowledges.polls(ack.as_mut()),
        Poll::Ready(Ok(()))
    ));
    assert_eq!(full.task.wake_ups(), wake_ups + 1);
    assert!(matches!(
        in_time(full.subscription.next()).await,
        Some(Ok(Update::Batch(_)))
    ));
}
