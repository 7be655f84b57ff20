//! Connections that fail below HTTP.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use box_longpoll::Error;
use box_longpoll::config::RealtimeHosts;
use box_longpoll::transport::{TransportError, TransportErrorKind};
use box_longpoll_testkit::{EmulatorServer, Fault};
use rstest::rstest;

use crate::backend::Backend;
use crate::fake_box::{builder, fake_box};
use crate::gate::Gate;
use crate::trial::{
    Trial, append, by_each_facade, everywhere, faulty_box, passes, passes_everywhere,
};

/// Shorter than the kernel's second attempt to connect.
const SHORT: Duration = Duration::from_millis(300);

/// The shortest hold that a client takes.
const SHORT_HOLD: Duration = Duration::from_secs(1);

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn t01_a_refused_connection_to_the_api_is_tried_again(#[case] backend: Backend) {
    api_behind(Gate::refusing, backend, &[TransportErrorKind::Connect]);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn t01_a_refused_connection_to_a_realtime_server_is_tried_again(#[case] backend: Backend) {
    realtime_behind(Gate::refusing, backend);
}

#[cfg(target_os = "linux")]
#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn t02_a_connection_to_the_api_that_nobody_answers_is_given_up(#[case] backend: Backend) {
    // A library may count the request's time too.
    let kinds = [TransportErrorKind::Timeout, TransportErrorKind::Connect];
    api_behind(Gate::full, backend, &kinds);
}

#[cfg(target_os = "linux")]
#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn t02_a_connection_to_a_realtime_server_that_nobody_answers_is_given_up(#[case] backend: Backend) {
    realtime_behind(Gate::full, backend);
}

/// Box's API can't be reached at first.
#[track_caller]
fn api_behind(closed: fn() -> Gate, backend: Backend, kinds: &[TransportErrorKind]) {
    by_each_facade(|facade| {
        let (server, gate) = (box_with_three_events(), closed());
        let builder = builder(&server).api_origin(gate.origin());
        let builder = builder.api_timeout(SHORT);
        let mut trial = Trial::begin(backend, facade, &server, builder);
        let kind = transport_kind(&trial.retries());
        assert!(kinds.contains(&kind), "{kind:?}");
        trial.until("six attempts", |trial| trial.transport.sent().len() >= 6);
        trial.is_paced_in_vain(0);
        assert_eq!(server.counters().total.requests, 0);

        let _open = gate.open(&server);
        trial.is_well();
    });
}

/// Box's API answers, and the realtime server that it names can't be reached at first.
#[track_caller]
fn realtime_behind(closed: fn() -> Gate, backend: Backend) {
    by_each_facade(|facade| {
        let (server, gate) = (box_with_three_events(), closed());
        server.change_settings(|settings| settings.realtime_origins = vec![gate.origin()]);
        let builder = builder(&server).max_hold(SHORT_HOLD);
        let mut trial = Trial::begin(backend, facade, &server, builder);
        comes_without(&gate.origin(), &mut trial);

        let _open = gate.open(&server);
        trial.is_well();
    });
}

/// Events come though the realtime server is out of reach, and it is asked no more than the pace permits.
#[track_caller]
fn comes_without(realtime: &str, trial: &mut Trial) {
    trial.until("two polls", |trial| {
        let sent = trial.transport.sent();
        sent.iter().filter(|sent| sent.origin == realtime).count() >= 2
    });
    // The first request has brought the events that were there.
    trial.is_paced_in_vain(1);
    append(&trial.server, 2);
    trial.brings_all();
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn t03_a_reset_before_the_headers_loses_nothing(#[case] backend: Backend) {
    passes_everywhere(backend, &Fault::Reset);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn t04_a_reset_in_the_body_loses_nothing(#[case] backend: Backend) {
    passes_everywhere(backend, &Fault::ResetInBody);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn t05_an_end_short_of_the_content_length_loses_nothing(#[case] backend: Backend) {
    passes_everywhere(backend, &Fault::CloseInBody);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn t06_an_answer_in_single_bytes_is_read(#[case] backend: Backend) {
    is_read_at_once(backend, &Fault::Drip { interval_ms: 0 });
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn t07_an_answer_that_drips_is_waited_for(#[case] backend: Backend) {
    is_read_at_once(backend, &Fault::Drip { interval_ms: 1 });
}

/// The answer is taken as it is: nothing has failed.
#[track_caller]
fn is_read_at_once(backend: Backend, fault: &Fault) {
    everywhere(|endpoint, facade| {
        let server = faulty_box(endpoint, fault);
        let mut trial = Trial::begin(backend, facade, &server, builder(&server));
        passes(&mut trial);
        let sent = trial.transport.sent();
        assert!(sent.iter().all(|sent| sent.failed.is_none()), "{sent:?}");
        assert!(server.counters().options.requests <= 1);
    });
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn t08_silence_is_given_up_in_time(#[case] backend: Backend) {
    everywhere(|endpoint, facade| {
        let server = faulty_box(endpoint, &Fault::Silence);
        let builder = builder(&server).api_timeout(SHORT).max_hold(SHORT_HOLD);
        passes(&mut Trial::begin(backend, facade, &server, builder));
    });
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn t09_a_connection_that_is_never_closed_holds_nothing_up(#[case] backend: Backend) {
    everywhere(|endpoint, facade| {
        let server = faulty_box(endpoint, &Fault::NeverClose);
        let builder = builder(&server).api_timeout(Duration::from_secs(3_600));
        let mut trial = Trial::begin(backend, facade, &server, builder);
        trial.meets_its_faults();
        trial.until("the next request", |trial| {
            trial.server.requests().last().unwrap().fault.is_none()
        });
        passes(&mut trial);
    });
}

/// surf needs the feature `surf-native-tls` for `https`, and plain `http` is for loopback only.
#[cfg(any(feature = "reqwest", feature = "isahc"))]
#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn t12_a_name_that_is_not_known_is_asked_for_again(#[case] backend: Backend) {
    by_each_facade(|facade| {
        let server = box_with_three_events();
        let builder = builder(&server).api_origin("https://api.invalid");
        let mut trial = Trial::begin(backend, facade, &server, builder);
        let kind = transport_kind(&trial.retries());
        assert_eq!(kind, TransportErrorKind::Connect);
        trial.until("six attempts", |trial| trial.transport.sent().len() >= 6);
        trial.is_paced_in_vain(0);
    });
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn t12_a_realtime_server_whose_name_is_not_known_keeps_no_event_back(#[case] backend: Backend) {
    by_each_facade(|facade| {
        let server = box_with_three_events();
        let unknown = "https://realtime.invalid";
        server.change_settings(|settings| settings.realtime_origins = vec![unknown.into()]);
        let hosts = RealtimeHosts::default()
            .allow_loopback()
            .allow("realtime.invalid");
        let builder = builder(&server).realtime_hosts(hosts);
        let mut trial = Trial::begin(backend, facade, &server, builder);
        comes_without(unknown, &mut trial);
        server.change_settings(|settings| settings.realtime_origins.clear());
        trial.is_well();
    });
}

fn box_with_three_events() -> Arc<EmulatorServer> {
    let server = fake_box(|_| ());
    append(&server, 3);
    server
}

#[track_caller]
pub(crate) fn transport_kind(error: &Error) -> TransportErrorKind {
    let source = error.source().expect("what the transport said");
    source.downcast_ref::<TransportError>().unwrap().kind()
}
