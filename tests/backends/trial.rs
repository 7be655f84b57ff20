//! A stream that meets a fault, and what is left of the client's promises.

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

/// How long a stream is driven before anything is looked at.
const SLICE: Duration = Duration::from_millis(10);

/// How many slices are waited for something.
const SLICES: u128 = PATIENCE.as_millis() / SLICE.as_millis();

const ENDPOINTS: [Endpoint; 3] = [Endpoint::Options, Endpoint::Events, Endpoint::Realtime];

const FACADES: [Facade; 2] = [Facade::Async, Facade::Blocking];

/// A stream that begins at the oldest event, and what came of it.
///
/// The async facade has the default pace, and is shown to keep it. The blocking one has the same engine and may ask as
/// often as it likes, so that it can soon be seen to listen again.
pub(crate) struct Trial {
    facade: Facade,
    pub(crate) server: Arc<EmulatorServer>,
    pub(crate) transport: Arc<Watched>,
    pub(crate) stream: Box<dyn Follower>,
    follow: Follow,
    /// The events' own texts.
    came: Vec<String>,
    /// How many requests were sent when each stream began.
    began: Vec<usize>,
}

impl Trial {
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
            came: Vec::new(),
            began: vec![0],
        }
    }

    /// Drives the stream until something holds.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        for _ in 0..SLICES {
            if holds(self) {
                return;
            }
            if let Some(stop) = self.advance() {
                panic!("before {what}: {stop:?}");
            }
        }
        panic!("not {what}: {}", self.stream.status());
    }

    /// Drives the stream until it has brought every event that there is.
    #[track_caller]
    pub(crate) fn brings_all(&mut self) {
        self.until("all events", |trial| trial.came == log(&trial.server));
    }

    /// Drives the stream until the queued faults have been met.
    #[track_caller]
    pub(crate) fn meets_its_faults(&mut self) {
        self.until("the faults", |trial| {
            trial.server.emulator().queued_faults() == 0
        });
    }

    #[track_caller]
    pub(crate) fn listens(&mut self) {
        self.until("listening", |trial| {
            matches!(trial.stream.status(), Status::Listening { .. })
                && trial.server.counters().open_polls > 0
        });
    }

    /// Drives the stream until it waits because of a failure, and says which.
    #[track_caller]
    pub(crate) fn retries(&mut self) -> Error {
        let mut why = None;
        self.until("a retry", |trial| {
            if let Status::Retrying { because, .. } = trial.stream.status() {
                why = Some(because);
            }
            why.is_some()
        });
        why.expect("it was waited for")
    }

    /// Drives the stream until it stops.
    #[track_caller]
    pub(crate) fn stops_with(&mut self, kind: ErrorKind) {
        for _ in 0..SLICES {
            if let Some(stop) = self.advance() {
                assert_eq!(stop.kind(), kind, "{stop:?}");
                return;
            }
        }
        panic!("it goes on: {}", self.stream.status());
    }

    /// Begins another stream where this one is.
    pub(crate) fn resumes(&mut self) {
        let start = self.stream.resume_at();
        self.began.push(self.transport.sent().len());
        self.stream = (self.follow)(start);
    }

    /// Every event comes. At the default pace none of the streams has asked in vain too often; at any other, what happens
    /// next is heard of at once.
    #[track_caller]
    pub(crate) fn is_well(&mut self) {
        self.brings_all();
        match self.facade {
            Facade::Async => self.is_paced(),
            Facade::Blocking => {
                self.listens();
                append(&self.server, 1);
                self.brings_all();
            }
        }
    }

    /// The requests so far, all of which but the first were in vain, were no more than the pace permits.
    #[track_caller]
    pub(crate) fn is_paced_in_vain(&self, useful: usize) {
        if let Facade::Async = self.facade {
            let sent = self.transport.sent();
            assert_paced(sent[useful..].iter().map(|sent| sent.at_ms));
        }
    }

    #[track_caller]
    fn is_paced(&self) {
        let sent = self.transport.sent();
        let ends = self.began.iter().copied().skip(1).chain([sent.len()]);
        for (start, end) in self.began.iter().copied().zip(ends) {
            assert_paced(fruitless(&sent[start..end]));
        }
    }

    #[track_caller]
    fn advance(&mut self) -> Option<Error> {
        let batch = match self.stream.next_within(SLICE)? {
            Ok(batch) => batch,
            Err(stop) => return Some(stop),
        };
        self.came
            .extend(batch.iter().map(|event| event.raw().to_owned()));
        let log = log(&self.server);
        assert!(log.starts_with(&self.came), "{:?} of {log:?}", self.came);
        None
    }
}

/// The events that a stream has to bring: each as it first appears.
fn log(server: &EmulatorServer) -> Vec<String> {
    let mut log: Vec<String> = Vec::new();
    for event in server.emulator().events(TOKEN) {
        if !log.iter().any(|known| **known == *event) {
            log.push((*event).to_owned());
        }
    }
    log
}

/// So many new events.
pub(crate) fn append(server: &EmulatorServer, count: usize) {
    let known = server.emulator().events(TOKEN).len();
    server.append_json(TOKEN, (known..known + count).map(event));
}

/// A small event, so that an answer is soon dripped.
pub(crate) fn event(n: usize) -> String {
    format!(r#"{{"type":"event","event_id":"{n}","event_type":"ITEM_UPLOAD"}}"#)
}

/// A fake Box with three events, whose next request of an endpoint meets a fault.
pub(crate) fn faulty_box(endpoint: Endpoint, fault: &Fault) -> Arc<EmulatorServer> {
    let server = fake_box(|_| ());
    append(&server, 3);
    server.queue_fault(endpoint, fault.clone(), 1);
    server
}

/// A fault that passes: the stream goes on by itself. What happens after the fault comes, and all is well then.
#[track_caller]
pub(crate) fn passes(trial: &mut Trial) {
    trial.meets_its_faults();
    append(&trial.server, 2);
    trial.is_well();
}

/// The fault passes wherever it is met, and by both facades.
#[track_caller]
pub(crate) fn passes_everywhere(backend: Backend, fault: &Fault) {
    everywhere(|endpoint, facade| {
        let server = faulty_box(endpoint, fault);
        passes(&mut Trial::begin(
            backend,
            facade,
            &server,
            builder(&server),
        ));
    });
}

/// On each endpoint and by both facades, side by side: most of the time is spent waiting.
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

#[track_caller]
pub(crate) fn by_each_facade(trial: impl Fn(Facade) + Sync) {
    let trial = &trial;
    side_by_side(FACADES.map(|facade| (format!("{facade:?}"), move || trial(facade))));
}

/// Each on a thread that its panic names.
#[track_caller]
pub(crate) fn side_by_side<W: FnOnce() + Send>(work: impl IntoIterator<Item = (String, W)>) {
    thread::scope(|scope| {
        for (name, work) in work {
            let thread = thread::Builder::new().name(name);
            thread.spawn_scoped(scope, work).unwrap();
        }
    });
}
