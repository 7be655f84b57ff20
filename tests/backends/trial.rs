//! A stream that meets a fault and must keep the client's promises.
//!
//! Start at [`Trial`], or at [`survives_everywhere`] for a fault after which a stream continues.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use box_longpoll::{
    AccessToken, Error, ErrorKind, HttpTransport, LongPollClientBuilder, StartAt, Status,
    TokenSource,
};
use box_longpoll_testkit::{EmulatorServer, Endpoint, Fault};

use crate::backend::Backend;
use crate::fake_box::{PATIENCE, TOKEN, builder, fake_box};
use crate::follower::{Facade, Follow, Follower, client_over};
use crate::pace::{assert_paced, fruitless, quick};
use crate::watched::Watched;

/// The time that a stream is driven between two checks.
const SLICE: Duration = Duration::from_millis(10);

/// The number of slices within [`PATIENCE`].
const SLICES: u128 = PATIENCE.as_millis() / SLICE.as_millis();

const ENDPOINTS: [Endpoint; 3] = [Endpoint::Options, Endpoint::Events, Endpoint::Realtime];

const FACADES: [Facade; 2] = [Facade::Async, Facade::Blocking];

/// A stream that starts at the oldest event, with the events that it has delivered.
///
/// With the async facade it has the default pace, and the test proves that the stream keeps it.
/// With the blocking facade, which has the same engine, no pace delays it. Such a stream listens
/// again soon after a fault, so the test can prove that too.
pub(crate) struct Trial {
    facade: Facade,
    pub(crate) server: Arc<EmulatorServer>,
    pub(crate) transport: Arc<Watched>,
    pub(crate) stream: Box<dyn Follower>,
    follow: Follow,
    /// The texts of the delivered events.
    received: Vec<String>,
    /// The number of requests that had been sent when each stream was started.
    began: Vec<usize>,
}

impl Trial {
    /// Starts a trial over a new transport of the backend.
    pub(crate) fn begin(
        backend: Backend,
        facade: Facade,
        server: &Arc<EmulatorServer>,
        builder: LongPollClientBuilder,
    ) -> Self {
        let token = Arc::new(AccessToken::new(TOKEN).unwrap());
        let transport = backend.transport();
        Self::begin_over(backend, facade, server, builder, transport, token)
    }

    /// Starts a trial over a given transport, with given tokens.
    pub(crate) fn begin_over(
        backend: Backend,
        facade: Facade,
        server: &Arc<EmulatorServer>,
        builder: LongPollClientBuilder,
        transport: Arc<dyn HttpTransport>,
        tokens: Arc<dyn TokenSource>,
    ) -> Self {
        let transport = Arc::new(Watched::new(transport));
        let builder = match facade {
            Facade::Async => builder,
            Facade::Blocking => builder.pace(quick()),
        };
        let follow = client_over(backend, facade, builder, transport.clone(), tokens);
        Self {
            facade,
            server: Arc::clone(server),
            transport,
            stream: follow(StartAt::Oldest),
            follow,
            received: Vec::new(),
            began: vec![0],
        }
    }

    /// Drives the stream until `holds` returns `true`. Panics if the stream stops, or after
    /// [`PATIENCE`].
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        for _ in 0..SLICES {
            if holds(self) {
                return;
            }
            if let Some(stop) = self.advance() {
                panic!("the stream stopped before {what}: {stop:?}");
            }
        }
        panic!("timed out before {what}: {}", self.stream.status());
    }

    /// Drives the stream until it has delivered every event of the server.
    #[track_caller]
    pub(crate) fn brings_all(&mut self) {
        self.until("the last event", |trial| {
            trial.received == log(&trial.server)
        });
    }

    /// Drives the stream until it has met every queued fault.
    #[track_caller]
    pub(crate) fn meets_its_faults(&mut self) {
        self.until("the last fault", |trial| {
            trial.server.emulator().queued_faults() == 0
        });
    }

    /// Drives the stream until a poll is held.
    #[track_caller]
    pub(crate) fn listens(&mut self) {
        self.until("a held poll", |trial| {
            matches!(trial.stream.status(), Status::Listening { .. })
                && trial.server.counters().open_polls > 0
        });
    }

    /// Drives the stream until it waits after a failure, and returns the failure.
    #[track_caller]
    pub(crate) fn retries(&mut self) -> Error {
        let mut why = None;
        self.until("a retry", |trial| {
            if let Status::Retrying { because, .. } = trial.stream.status() {
                why = Some(because);
            }
            why.is_some()
        });
        why.expect("the status was `Retrying`")
    }

    /// Drives the stream until it stops with an error of this kind.
    #[track_caller]
    pub(crate) fn stops_with(&mut self, kind: ErrorKind) {
        for _ in 0..SLICES {
            if let Some(stop) = self.advance() {
                assert_eq!(stop.kind(), kind, "{stop:?}");
                return;
            }
        }
        panic!(
            "timed out before the stream stopped: {}",
            self.stream.status()
        );
    }

    /// Replaces the stream with another one that starts at its position.
    pub(crate) fn resumes(&mut self) {
        let start = self.stream.resume_at();
        self.began.push(self.transport.sent().len());
        self.stream = (self.follow)(start);
    }

    /// Asserts that every event is delivered.
    ///
    /// At the default pace, it also asserts that every stream has kept the pace. Without a pace, it
    /// also asserts that the stream listens and delivers a new event.
    #[track_caller]
    pub(crate) fn recovers(&mut self) {
        self.brings_all();
        match self.facade {
            Facade::Async => self.assert_paced(),
            Facade::Blocking => {
                self.listens();
                append(&self.server, 1);
                self.brings_all();
            }
        }
    }

    /// Asserts the pace for all requests except the first `useful` ones, which brought new events.
    #[track_caller]
    pub(crate) fn assert_paced_after(&self, useful: usize) {
        if let Facade::Async = self.facade {
            let sent = self.transport.sent();
            assert_paced(sent[useful..].iter().map(|sent| sent.at_ms));
        }
    }

    /// Asserts the pace for each stream of this trial.
    #[track_caller]
    fn assert_paced(&self) {
        let sent = self.transport.sent();
        let ends = self.began.iter().copied().skip(1).chain([sent.len()]);
        for (start, end) in self.began.iter().copied().zip(ends) {
            let sent = &sent[start..end];
            // This is shown if the assertion fails.
            println!("{sent:?}");
            assert_paced(fruitless(sent));
        }
    }

    /// Drives the stream for a slice. Returns the error if the stream stops.
    #[track_caller]
    fn advance(&mut self) -> Option<Error> {
        let batch = match self.stream.next_within(SLICE)? {
            Ok(batch) => batch,
            Err(stop) => return Some(stop),
        };
        self.received
            .extend(batch.iter().map(|event| event.raw().to_owned()));
        let log = log(&self.server);
        assert!(
            log.starts_with(&self.received),
            "{:?} of {log:?}",
            self.received
        );
        None
    }
}

/// Returns the events that a stream must deliver: the log without the repeats.
fn log(server: &EmulatorServer) -> Vec<String> {
    let mut log: Vec<String> = Vec::new();
    for event in server.emulator().events(TOKEN) {
        if !log.iter().any(|known| **known == *event) {
            log.push((*event).to_owned());
        }
    }
    log
}

/// Appends `count` new events.
pub(crate) fn append(server: &EmulatorServer, count: usize) {
    let known = server.emulator().events(TOKEN).len();
    server.append_json(TOKEN, (known..known + count).map(event));
}

/// Returns the JSON of a small event, so that a response in single bytes ends soon.
pub(crate) fn event(n: usize) -> String {
    format!(r#"{{"type":"event","event_id":"{n}","event_type":"ITEM_UPLOAD"}}"#)
}

/// Returns a fake Box with three events. The next request to the endpoint meets the fault.
pub(crate) fn faulty_box(endpoint: Endpoint, fault: &Fault) -> Arc<EmulatorServer> {
    let server = fake_box(|_| ());
    append(&server, 3);
    server.queue_fault(endpoint, fault.clone(), 1);
    server
}

/// Asserts that the stream meets its fault, continues by itself and delivers later events too.
#[track_caller]
pub(crate) fn survives(trial: &mut Trial) {
    trial.meets_its_faults();
    append(&trial.server, 2);
    trial.recovers();
}

/// Asserts [`survives`] for a fault on each endpoint, with both facades.
#[track_caller]
pub(crate) fn survives_everywhere(backend: Backend, fault: &Fault) {
    everywhere(|endpoint, facade| {
        let server = faulty_box(endpoint, fault);
        survives(&mut Trial::begin(
            backend,
            facade,
            &server,
            builder(&server),
        ));
    });
}

/// Runs a trial for each endpoint and facade, in parallel, because each waits most of the time.
#[track_caller]
pub(crate) fn everywhere(trial: impl Fn(Endpoint, Facade) + Sync) {
    by_each_facade(|facade| {
        let trial = &trial;
        side_by_side(ENDPOINTS.map(|endpoint| {
            let name = format!("{endpoint:?} {facade:?}");
            (name, move || trial(endpoint, facade))
        }));
    });
}

/// Runs a trial for each facade, in parallel.
#[track_caller]
pub(crate) fn by_each_facade(trial: impl Fn(Facade) + Sync) {
    let trial = &trial;
    side_by_side(FACADES.map(|facade| (format!("{facade:?}"), move || trial(facade))));
}

/// Runs each piece of work on its own thread. The name of the thread is in its panic message.
#[track_caller]
pub(crate) fn side_by_side<W: FnOnce() + Send>(work: impl IntoIterator<Item = (String, W)>) {
    thread::scope(|scope| {
        for (name, work) in work {
            let thread = thread::Builder::new().name(name);
            thread.spawn_scoped(scope, work).unwrap();
        }
    });
}
