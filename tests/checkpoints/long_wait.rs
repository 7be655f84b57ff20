//! Tests of the warning that a subscription logs when it has waited for acknowledgements for a
//! minute. The minutes of these tests pass without real waiting.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::transport::{Moment, TransportError, TransportRequest};
use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{
    AccessToken, Delivery, HttpTransport, LongPollClientBuilder, StartAt, Subscription,
};
use box_longpoll_testkit::EmulatorServer;
use bytes::Bytes;
use event_listener::Event;
use http::Response;
use tracing::Level;

use crate::fake_box::{PATIENCE, TOKEN, builder, fake_box};
use crate::store::{Behaviour, Memory};
use crate::world::{idle_until, in_time, next_batch, next_batches, started};

const MINUTE: Duration = Duration::from_secs(60);

/// A transport whose waits of one minute end when the test calls `pass`. Other waits
/// take real time. Clones share their state.
#[derive(Clone)]
struct Minutes(Arc<Inner>);

struct Inner {
    transport: ReqwestTransport,
    /// The number of minutes that have passed.
    passed: Mutex<u32>,
    passes: Event,
    /// The number of waits of a minute that are in progress.
    waits: AtomicUsize,
    /// The number of waits of a minute that have begun so far.
    begun: AtomicUsize,
}

impl Minutes {
    fn new() -> Self {
        Self(Arc::new(Inner {
            transport: ReqwestTransport::new().unwrap(),
            passed: Mutex::new(0),
            passes: Event::new(),
            waits: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
        }))
    }

    fn passed(&self) -> u32 {
        *self.0.passed.lock().unwrap()
    }

    fn pass(&self) {
        *self.0.passed.lock().unwrap() += 1;
        self.0.passes.notify(usize::MAX);
    }

    fn waits(&self) -> usize {
        self.0.waits.load(Ordering::SeqCst)
    }

    fn begun(&self) -> usize {
        self.0.begun.load(Ordering::SeqCst)
    }
}

/// A wait of a minute, which is in progress until it is dropped.
struct Wait<'a>(&'a Inner);

impl<'a> Wait<'a> {
    fn begin(inner: &'a Inner) -> Self {
        inner.begun.fetch_add(1, Ordering::SeqCst);
        inner.waits.fetch_add(1, Ordering::SeqCst);
        Self(inner)
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.0.waits.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl HttpTransport for Minutes {
    async fn send(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        self.0.transport.send(request).await
    }

    async fn sleep(&self, duration: Duration) -> Result<(), TransportError> {
        if duration != MINUTE {
            return self.0.transport.sleep(duration).await;
        }
        let _wait = Wait::begin(&self.0);
        let begun_at = self.passed();
        loop {
            let passes = self.0.passes.listen();
            if self.passed() > begun_at {
                return Ok(());
            }
            passes.await;
        }
    }

    fn now(&self) -> Moment {
        let mut now = self.0.transport.now();
        now.monotonic += MINUTE * self.passed();
        now.wall += MINUTE * self.passed();
        now
    }

    fn block_on(
        &self,
        work: Pin<Box<dyn Future<Output = ()> + Send + '_>>,
    ) -> Result<(), TransportError> {
        self.0.transport.block_on(work)
    }
}

/// Returns the warnings that this program has logged with this key.
fn warnings(key: &str) -> Vec<String> {
    static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    static LISTENS: Once = Once::new();

    struct Writer;

    impl io::Write for Writer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
            log.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    LISTENS.call_once(|| {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::WARN)
            .with_ansi(false)
            .with_writer(|| Writer)
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
    let log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    let log = String::from_utf8_lossy(&log);
    let key = format!("key=\"{key}\"");
    let of_key = log.lines().filter(|line| line.contains(&key));
    of_key.map(String::from).collect()
}

#[track_caller]
fn assert_warns(warning: &str, batches: usize) {
    assert!(warning.contains("WARN"), "{warning}");
    assert!(warning.contains("acknowledged"), "{warning}");
    assert!(warning.contains(&format!("batches={batches}")), "{warning}");
    assert!(warning.contains("waited=60."), "{warning}");
}

/// Returns settings with one event in each batch, and with an API timeout other than a minute.
fn settings(server: &EmulatorServer) -> LongPollClientBuilder {
    builder(server).page_limit(1).api_timeout(MINUTE / 2)
}

/// A fake Box with six events, and the transport and the store of a subscription to it.
struct World {
    server: Arc<EmulatorServer>,
    minutes: Minutes,
    store: Memory,
}

impl World {
    fn new() -> Self {
        let server = fake_box(|_| ());
        server.append(TOKEN, 6);
        Self {
            server,
            minutes: Minutes::new(),
            store: Memory::default(),
        }
    }

    /// Returns a subscription that has delivered two batches, which is its limit, and the batches.
    async fn full(&self, key: &str) -> (Subscription<Minutes>, Vec<Delivery>) {
        assert!(warnings(key).is_empty());
        let client = settings(&self.server)
            .max_unacknowledged(2)
            .build(self.minutes.clone(), AccessToken::new(TOKEN).unwrap())
            .unwrap();
        let subscribed = started(client.subscribe(self.store.clone(), key, StartAt::Oldest));
        let mut subscription = in_time(subscribed).await.unwrap();
        let batches = next_batches(&mut subscription, 2).await;
        (subscription, batches)
    }
}

#[tokio::test]
async fn subscription_warns_once_when_it_has_waited_a_minute() {
    let world = World::new();
    let minutes = &world.minutes;
    let key = "warns-once";
    let (mut subscription, mut batches) = world.full(key).await;
    for wait in 1..=2 {
        idle_until(&mut subscription, |_| minutes.waits() == 1).await;
        assert_eq!(minutes.begun(), wait, "one timer for one wait");
        assert_eq!(warnings(key).len(), wait - 1);
        minutes.pass();
        idle_until(&mut subscription, |_| warnings(key).len() == wait).await;
        assert_warns(&warnings(key)[wait - 1], 2);

        // The subscription keeps waiting, and logs nothing more.
        minutes.pass();
        let mut polls = 0;
        idle_until(&mut subscription, |_| {
            polls += 1;
            polls > 3
        })
        .await;
        assert_eq!((minutes.waits(), warnings(key).len()), (0, wait));
        in_time(batches.remove(0).ack()).await.unwrap();
        batches.push(next_batch(&mut subscription).await);
    }
}

#[tokio::test]
async fn subscription_warns_when_its_start_is_not_stored() {
    let world = World::new();
    let minutes = &world.minutes;
    let client = settings(&world.server)
        .build(minutes.clone(), AccessToken::new(TOKEN).unwrap())
        .unwrap();
    // A subscription without a store has no key.
    assert!(warnings("").is_empty());
    let mut subscription = client.subscribe_from(StartAt::Oldest);
    let Some(Ok(box_longpoll::Update::Started(start))) = in_time(subscription.next()).await else {
        panic!("it has not started");
    };
    idle_until(&mut subscription, |_| minutes.waits() == 1).await;
    minutes.pass();
    idle_until(&mut subscription, |_| warnings("").len() == 1).await;
    assert!(warnings("")[0].contains("until the start is stored"));
    start.stored();
    next_batch(&mut subscription).await.stored();
}

#[tokio::test]
async fn subscription_does_not_warn_when_a_batch_is_acknowledged() {
    let world = World::new();
    let minutes = &world.minutes;
    let key = "does-not-warn";
    let (mut subscription, mut batches) = world.full(key).await;
    idle_until(&mut subscription, |_| minutes.waits() == 1).await;
    in_time(batches.remove(0).ack()).await.unwrap();
    batches.push(next_batch(&mut subscription).await);
    assert_eq!(minutes.waits(), 0, "the timer is gone");
    minutes.pass();
    idle_until(&mut subscription, |_| minutes.waits() == 1).await;
    assert!(warnings(key).is_empty());
}

#[tokio::test]
async fn subscription_does_not_warn_of_acks_when_the_store_fails() {
    let world = World::new();
    let minutes = &world.minutes;
    let key = "the-store-fails";
    let (mut subscription, batches) = world.full(key).await;
    world.store.behave(Behaviour::Fails);
    for batch in batches {
        in_time(batch.ack()).await.unwrap_err();
    }
    idle_until(&mut subscription, |_| world.store.saves().len() > 4).await;
    assert_eq!(minutes.begun(), 0);
}

#[cfg(feature = "blocking")]
#[test]
fn blocking_subscription_warns_when_it_has_waited_a_minute() {
    use box_longpoll::blocking::Timed;

    let world = World::new();
    let key = "warns-blocking";
    assert!(warnings(key).is_empty());
    let client = settings(&world.server)
        .max_unacknowledged(1)
        .build_blocking(world.minutes.clone(), AccessToken::new(TOKEN).unwrap())
        .unwrap();
    let mut updates = client.subscribe(world.store.clone(), key, StartAt::Oldest);
    assert!(matches!(
        updates.next(),
        Some(Ok(box_longpoll::Update::Started(_)))
    ));
    let batch = updates.next().unwrap().unwrap();
    let mut idle_until = |holds: &dyn Fn() -> bool| {
        let wait = Duration::from_millis(5);
        for _ in 0..PATIENCE.as_millis() / wait.as_millis() {
            if holds() {
                return;
            }
            let nothing = updates.next_timeout(wait);
            assert!(matches!(nothing, Timed::Elapsed), "{nothing:?}");
        }
        panic!("nothing came in {PATIENCE:?}");
    };
    idle_until(&|| world.minutes.waits() == 1);
    assert!(warnings(key).is_empty());
    world.minutes.pass();
    idle_until(&|| !warnings(key).is_empty());
    assert_warns(&warnings(key)[0], 1);
    drop(batch);
}
