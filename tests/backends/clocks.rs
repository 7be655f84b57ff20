//! A wall clock that is set while a stream runs, over real sockets: the fault X09.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::checkpoint::CheckpointFile;
use box_longpoll::transport::{Moment, TransportError, TransportRequest};
use box_longpoll::{AccessToken, HttpTransport, StartAt, Status, Subscription, Update};
use box_longpoll_testkit::{EmulatorServer, Endpoint, Fault};
use bytes::Bytes;
use futures_lite::future::{or, yield_now};
use http::Response;
use rstest::rstest;
use tempfile::TempDir;

use crate::backend::Backend;
use crate::fake_box::{TOKEN, builder, fake_box};
use crate::pace::quick;
use crate::session::{Requested, ids, in_time, requested, until_listening};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A transport whose wall clock is wrong by some days.
struct Shifted {
    inner: Arc<dyn HttpTransport>,
    days: AtomicI32,
}

impl Shifted {
    fn shift(&self, days: i32) {
        self.days.store(days, Ordering::Relaxed);
    }
}

#[async_trait]
impl HttpTransport for Shifted {
    async fn send(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        self.inner.send(request).await
    }

    async fn sleep(&self, duration: Duration) -> Result<(), TransportError> {
        self.inner.sleep(duration).await
    }

    fn now(&self) -> Moment {
        let days = self.days.load(Ordering::Relaxed);
        let mut now = self.inner.now();
        if days < 0 {
            now.wall -= days.unsigned_abs() * DAY;
        } else {
            now.wall += days.unsigned_abs() * DAY;
        }
        now
    }
}

/// A subscription on a clock that the test can set.
struct World {
    server: Arc<EmulatorServer>,
    clock: Arc<Shifted>,
    updates: Subscription<Arc<Shifted>>,
    received: Vec<String>,
    _directory: TempDir,
}

impl World {
    async fn new(transport: Arc<dyn HttpTransport>, server: Arc<EmulatorServer>) -> Self {
        let clock = Arc::new(Shifted {
            inner: transport,
            days: AtomicI32::new(0),
        });
        let token = AccessToken::new(TOKEN).unwrap();
        let builder = builder(&server).pace(quick());
        let client = builder.build(clock.clone(), token).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let store = CheckpointFile::open(directory.path().join("checkpoint")).unwrap();
        let mut updates = client.subscribe(store, "ada", StartAt::Oldest);
        let started = updates.next().await;
        assert!(
            matches!(started, Some(Ok(Update::Started(_)))),
            "{started:?}"
        );
        Self {
            server,
            clock,
            updates,
            received: Vec::new(),
            _directory: directory,
        }
    }

    /// Receives and acknowledges every event of the server. Panics if another update arrives.
    async fn follow(&mut self) {
        let log = self.server.event_ids(TOKEN);
        while self.received.len() < log.len() {
            match self.updates.next().await {
                Some(Ok(Update::Batch(batch))) => {
                    self.received.extend(ids(&batch));
                    batch.ack().await.unwrap();
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(self.received, log);
    }

    /// Drives the subscription until its poll number `polls` is held.
    async fn listen(&mut self, polls: u64) {
        let handle = self.updates.handle();
        until_listening(&self.server, handle, polls, self.updates.next()).await;
    }
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn x09_a_clock_set_by_a_day_costs_a_list_at_most(#[case] backend: Backend) {
    const SET: [i32; 6] = [1, 0, -1, 1, -1, 0];
    let [steady, set] = [[0; 6], SET].map(|days| {
        let transport = backend.transport();
        let session = in_time(&transport, session(transport.clone(), days));
        backend.runtime().block_on(session)
    });
    let [steady, set] = [steady, set].map(|[fetching, listening]| {
        let (lists, polls): (Vec<_>, Vec<_>) = listening
            .into_iter()
            .partition(|(endpoint, _)| *endpoint == Endpoint::Options);
        (fetching, polls, lists.len())
    });
    assert_eq!((steady.0, steady.1), (set.0, set.1), "the requests differ");
    assert_eq!(steady.2, 1);
    // If the signal arrives before the stream compares the clocks, the poll is not dropped.
    assert!(set.2 <= 1 + SET.len(), "{} lists", set.2);
}

/// Follows an account, and sets the clock at each held poll. Returns the requests.
async fn session(transport: Arc<dyn HttpTransport>, days: [i32; 6]) -> Requested {
    let mut world = World::new(transport, fake_box(|_| ())).await;
    // After the first event the stream polls twice more, to find out whether the server honors
    // positions.
    for (polls, days) in [1, 4, 5, 6, 7, 8].into_iter().zip(days) {
        world.listen(polls).await;
        world.clock.shift(days);
        world.server.append(TOKEN, 3);
        world.follow().await;
    }
    world.listen(9).await;
    requested(&world.server)
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn x09_a_clock_set_during_a_retry_after_leaves_the_wait(
    #[case] backend: Backend,
    #[values(1, -1)] days: i32,
    #[values(Fault::RateLimited { seconds: 1 }, Fault::RateLimitedDate { seconds: 1 })]
    fault: Fault,
) {
    let transport = backend.transport();
    let work = async {
        let server = fake_box(|_| ());
        server.append(TOKEN, 3);
        server.queue_fault(Endpoint::Events, fault, 1);
        let mut world = World::new(transport.clone(), server).await;
        let handle = world.updates.handle();
        let waits = async {
            while !matches!(handle.status(), Status::Retrying { .. }) {
                yield_now().await;
            }
        };
        or(world.follow(), waits).await;
        assert!(world.received.is_empty());
        world.clock.shift(days);
        world.follow().await;
        let requests = world.server.requests();
        let waited = requests[1].at_ms - requests[0].at_ms;
        assert!(waited >= 1_000, "{waited} ms");
    };
    backend.runtime().block_on(in_time(&transport, work));
}

/// Proves that a clock that is set forward by weeks causes one `PossibleGap`, and that the stream
/// continues. The program cannot distinguish this from a machine that was suspended for weeks.
#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn x09_a_clock_set_by_weeks_makes_one_possible_gap(#[case] backend: Backend) {
    let transport = backend.transport();
    let work = async {
        let mut world = World::new(transport.clone(), fake_box(|_| ())).await;
        world.listen(1).await;
        // Box keeps events for longer than 13 days.
        world.clock.shift(13);
        world.server.append(TOKEN, 3);
        world.follow().await;
        world.listen(4).await;
        world.clock.shift(50);
        let gap = world.updates.next().await;
        assert!(matches!(gap, Some(Ok(Update::PossibleGap(_)))), "{gap:?}");
        world.server.append(TOKEN, 3);
        world.follow().await;
        world.listen(5).await;
        // A clock that is set back causes no gap.
        world.clock.shift(0);
        world.server.append(TOKEN, 3);
        world.follow().await;
        world.listen(6).await;
    };
    backend.runtime().block_on(in_time(&transport, work));
}
