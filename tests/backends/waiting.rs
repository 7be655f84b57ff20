//! Refusals with a `Retry-After`: the faults H06, H07, H10 and H11.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use box_longpoll::transport::Moment;
use box_longpoll::{ErrorKind, Status};
use box_longpoll_testkit::{Config, EmulatorServer, Endpoint, Fault};
use rstest::rstest;

use crate::backend::Backend;
use crate::fake_box::builder;
use crate::refusals::refusal;
use crate::trial::{Trial, append, by_each_facade, everywhere, faulty_box, side_by_side, survives};

/// The longest `Retry-After` that the client respects.
const HOUR: Duration = Duration::from_secs(3_600);

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn h06_a_429_is_retried_after_its_seconds(#[case] backend: Backend) {
    everywhere(|endpoint, facade| {
        let server = faulty_box(endpoint, &Fault::RateLimited { seconds: 1 });
        waits_a_second(Trial::begin(backend, facade, &server, builder(&server)));
    });
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn h07_a_429_is_retried_after_its_date_on_the_servers_clock(#[case] backend: Backend) {
    let since_1970 = Moment::read_clocks().wall.duration_since(UNIX_EPOCH);
    let now = i64::try_from(since_1970.unwrap().as_secs()).unwrap();
    let hours = 5 * 3_600;
    let skewed = |started: i64| {
        everywhere(|endpoint, facade| {
            let server = Arc::new(EmulatorServer::start_with(Config {
                started_unix: Some(started),
                ..Config::default()
            }));
            append(&server, 3);
            server.queue_fault(endpoint, Fault::RateLimitedDate { seconds: 1 }, 1);
            waits_a_second(Trial::begin(backend, facade, &server, builder(&server)));
        });
    };
    let skewed = &skewed;
    side_by_side(
        [("early", now - hours), ("late", now + hours)]
            .map(|(name, started)| (name.to_owned(), move || skewed(started))),
    );
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn h11_a_503_is_retried_after_its_seconds(#[case] backend: Backend) {
    everywhere(|endpoint, facade| {
        let server = faulty_box(endpoint, &refusal(503, Some("1")));
        waits_a_second(Trial::begin(backend, facade, &server, builder(&server)));
    });
}

/// Asserts that the server that refused gets no request for a second, and that the stream then
/// continues. The API and the realtime server count as two servers. One more API call may have been
/// sent before the refusal arrived: a list beside a fetch, or the other way round.
#[track_caller]
fn waits_a_second(mut trial: Trial) {
    trial.meets_its_faults();
    let gap = |trial: &Trial| {
        let requests = trial.server.requests();
        let met = requests.iter().position(|met| met.fault.is_some())?;
        let refused = requests[met].endpoint;
        let is_api = |endpoint| endpoint != Endpoint::Realtime;
        let mut later = requests[met + 1..]
            .iter()
            .filter(|next| is_api(next.endpoint) == is_api(refused))
            .peekable();
        later.next_if(|first| first.endpoint != refused);
        Some(later.next()?.at_ms - requests[met].at_ms)
    };
    trial.until("the next request", |trial| gap(trial).is_some());
    let gap = gap(&trial).unwrap();
    assert!(gap >= 1_000, "{gap} ms");
    survives(&mut trial);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn h10_a_huge_retry_after_is_cut_to_an_hour(#[case] backend: Backend) {
    let huge = refusal(429, Some("99999999999999999999"));
    let far = Fault::RateLimitedDate {
        seconds: 1_000_000_000,
    };
    for fault in [huge, far] {
        by_each_facade(|facade| {
            let server = faulty_box(Endpoint::Events, &fault);
            let mut trial = Trial::begin(backend, facade, &server, builder(&server));
            let because = trial.retries();
            assert_eq!(because.kind(), ErrorKind::RateLimited);
            assert_eq!(because.retry_after(), Some(HOUR));
            let Status::Retrying { until, .. } = trial.stream.status() else {
                panic!("{}", trial.stream.status());
            };
            let left = until.duration_since(Moment::read_clocks().wall).unwrap();
            assert!(
                left <= HOUR && left + Duration::from_secs(60) > HOUR,
                "{left:?}"
            );

            // A program that does not want to wait starts another stream at the position.
            trial.resumes();
            trial.recovers();
        });
    }
}
