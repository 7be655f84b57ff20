//! HTTP statuses with which Box or a realtime server refuses a request: the faults H01 to H05, H08
//! and H09.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use box_longpoll::auth::token_fn;
use box_longpoll::{AccessToken, ErrorKind, StartAt, TokenSource};
use box_longpoll_testkit::{Endpoint, Fault, Settings};
use futures_lite::future::{or, zip};
use futures_util::future::join_all;
use rstest::rstest;
use tokio::sync::Semaphore;

use crate::backend::Backend;
use crate::fake_box::{PATIENCE, TOKEN, builder, fake_box};
use crate::follower::Facade;
#[cfg(target_os = "linux")]
use crate::memory::BACKENDS;
#[cfg(target_os = "linux")]
use crate::scripted::in_environment;
use crate::trial::{
    Trial, append, by_each_facade, everywhere, faulty_box, survives, survives_everywhere,
};

/// A source of numbered tokens. Each call except the first waits for a permit.
struct Numbered {
    calls: Arc<AtomicUsize>,
    permits: Arc<Semaphore>,
}

impl Numbered {
    fn new() -> Self {
        Self {
            calls: Arc::default(),
            permits: Arc::new(Semaphore::new(0)),
        }
    }

    fn source(&self) -> Arc<dyn TokenSource> {
        let (calls, permits) = (self.calls.clone(), self.permits.clone());
        Arc::new(token_fn(move || {
            let number = calls.fetch_add(1, Ordering::SeqCst);
            let permits = permits.clone();
            async move {
                if number > 0 {
                    permits.acquire().await.unwrap().forget();
                }
                Ok(AccessToken::new(format!("token-{number}"))?)
            }
        }))
    }

    fn refreshes(&self) -> usize {
        self.calls.load(Ordering::SeqCst) - 1
    }
}

/// Assigns all tokens to one account, and makes the server accept only the given ones.
fn accept(settings: &mut Settings, tokens: &[&str]) {
    let own = |token: String| (token, TOKEN.to_owned());
    settings.token_accounts = (0..9).map(|n| own(format!("token-{n}"))).collect();
    let good = tokens.iter().map(|&token| token.to_owned());
    settings.accepted_tokens = Some(good.collect());
}

/// The backends that wait with `select`, which cannot use descriptors from 1,024 on. The
/// descriptors of the server are in the same process and count too.
#[cfg(target_os = "linux")]
const USES_SELECT: &[Backend] = &[
    #[cfg(feature = "isahc")]
    Backend::Isahc,
];

/// Runs in its own process, because it takes most of the descriptors that `select` can use.
#[cfg(target_os = "linux")]
#[test]
fn h01_a_401_causes_one_refresh_for_all_waiting_streams() {
    let test = "refusals::h01_a_401_causes_one_refresh_for_all_waiting_streams";
    if in_environment(test, &[]).is_some() {
        return;
    }
    for &backend in BACKENDS {
        let waiters = if USES_SELECT.contains(&backend) {
            300
        } else {
            1_000
        };
        assert_one_refresh_for_all(backend, waiters);
    }
}

#[cfg(target_os = "linux")]
fn assert_one_refresh_for_all(backend: Backend, waiters: usize) {
    let server = fake_box(|settings| accept(settings, &["token-1"]));
    append(&server, 1);
    let (transport, tokens) = (backend.transport(), Numbered::new());
    // Nothing is read ahead, so that each stream fetches one page.
    let client = builder(&server)
        .read_ahead(0)
        .build(transport.clone(), tokens.source())
        .unwrap();
    let first_events = join_all((0..waiters).map(|_| async {
        let mut events = client.events(StartAt::Oldest);
        events.next().await.unwrap().unwrap()
    }));
    // The new token is released when each stream has met the 401 with the old one.
    let all_wait = async {
        let all = u64::try_from(waiters).unwrap();
        while server.counters().events.requests < all {
            transport.sleep(Duration::from_millis(5)).await.unwrap();
        }
        tokens.permits.add_permits(1);
    };
    let elapsed = async {
        transport.sleep(PATIENCE).await.unwrap();
        panic!("{} refreshes, {:?}", tokens.refreshes(), server.counters());
    };
    let (received, ()) = backend
        .runtime()
        .block_on(or(zip(first_events, all_wait), elapsed));
    assert_eq!(received.len(), waiters);
    assert_eq!(tokens.refreshes(), 1);
    let requests = server.counters().events.requests;
    assert_eq!(requests, 2 * u64::try_from(waiters).unwrap());
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn h02_a_401_for_the_newer_token_too_stops_the_stream(#[case] backend: Backend) {
    by_each_facade(|facade| {
        let server = fake_box(|settings| accept(settings, &[]));
        append(&server, 3);
        let tokens = Numbered::new();
        tokens.permits.add_permits(100);
        let transport = backend.transport();
        let builder = builder(&server);
        let mut trial = Trial::begin_over(
            backend,
            facade,
            &server,
            builder,
            transport,
            tokens.source(),
        );
        trial.stops_with(ErrorKind::Unauthorized);
        assert_eq!(tokens.refreshes(), 1);
        assert_eq!(server.counters().total.requests, 2);

        server.change_settings(|settings| accept(settings, &["token-1"]));
        trial.resumes();
        trial.recovers();
    });
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn h03_a_403_stops_the_stream_where_it_is(#[case] backend: Backend) {
    everywhere(|endpoint, facade| {
        if endpoint == Endpoint::Realtime {
            let server = faulty_box(endpoint, &Fault::Forbidden);
            survives(&mut Trial::begin(
                backend,
                facade,
                &server,
                builder(&server),
            ));
        } else {
            stops_and_resumes(
                backend,
                facade,
                endpoint,
                &Fault::Forbidden,
                ErrorKind::Forbidden,
            );
        }
    });
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn h04_a_400_for_the_position_stops_the_stream_where_it_is(#[case] backend: Backend) {
    by_each_facade(|facade| {
        let (fault, kind) = (Fault::BadPosition, ErrorKind::PositionRejected);
        stops_and_resumes(backend, facade, Endpoint::Events, &fault, kind);
    });
}

/// Asserts that the stream stops after the first page, and that another one continues at its
/// position: no event is repeated or missing.
#[track_caller]
fn stops_and_resumes(
    backend: Backend,
    facade: Facade,
    endpoint: Endpoint,
    fault: &Fault,
    kind: ErrorKind,
) {
    // The second request meets the fault. The first one brings the three events.
    let server = faulty_box(Endpoint::Events, &Fault::Drip { interval_ms: 0 });
    server.queue_fault(endpoint, fault.clone(), 1);
    let mut trial = Trial::begin(backend, facade, &server, builder(&server));
    trial.stops_with(kind);
    assert!(trial.stream.resume_at().position().is_some());
    append(&server, 2);
    trial.resumes();
    trial.recovers();
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn h05_servers_are_listed_again_after_a_realtime_404(#[case] backend: Backend) {
    by_each_facade(|facade| {
        let server = faulty_box(Endpoint::Realtime, &Fault::NotFound);
        let mut trial = Trial::begin(backend, facade, &server, builder(&server));
        trial.meets_its_faults();
        trial.until("another poll", |trial| {
            trial.server.counters().realtime.requests == 2
        });
        assert_eq!(server.counters().options.requests, 2);
        survives(&mut trial);
    });
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn h08_a_429_without_retry_after_is_retried_with_backoff(#[case] backend: Backend) {
    survives_everywhere(backend, &refusal(429, None));
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn h09_a_negative_retry_after_is_ignored(#[case] backend: Backend) {
    survives_everywhere(backend, &refusal(429, Some("-5")));
}

/// Returns a response with an empty body.
pub(crate) fn refusal(status: u16, retry_after: Option<&str>) -> Fault {
    let header = |seconds: &str| ("retry-after".to_owned(), seconds.to_owned());
    Fault::Status {
        status,
        headers: retry_after
            .map(header)
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
        body: String::new(),
    }
}
