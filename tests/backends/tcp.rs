//! Connections that fail below HTTP: the faults T01 to T09 and T12.

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
    Trial, append, by_each_facade, everywhere, faulty_box, survives, survives_everywhere,
};

/// The timeout of an API call. It is shorter than the kernel's pause before a second attempt to
/// connect.
const SHORT: Duration = Duration::from_millis(300);

/// The shortest value that `max_hold` accepts.
const SHORT_HOLD: Duration = Duration::from_secs(1);

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn t01_a_refused_connection_to_the_api_is_retried(#[case] backend: Backend) {
    api_behind(Gate::refusing, backend, &[TransportErrorKind::Connect]);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn t01_a_refused_connection_to_a_realtime_server_is_retried(#[case] backend: Backend) {
    realtime_behind(Gate::refusing, backend);
}

#[cfg(target_os = "linux")]
#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn t02_a_silent_connection_to_the_api_is_given_up(#[case] backend: Backend) {
    // With some libraries, the timeout of the request also covers the attempt to connect.
    let kinds = [TransportErrorKind::Timeout, TransportErrorKind::Connect];
    api_behind(Gate::full, backend, &kinds);
}

#[cfg(target_os = "linux")]
#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn t02_a_silent_connection_to_a_realtime_server_is_given_up(#[case] backend: Backend) {
    realtime_behind(Gate::full, backend);
}

/// Asserts that a stream retries while the API cannot be reached, and recovers when it can.
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
        trial.assert_paced_after(0);
        assert_eq!(server.counters().total.requests, 0);

        let _open = gate.open(&server);
        trial.recovers();
    });
}

/// Asserts that a stream delivers events while the realtime server cannot be reached, and recovers
/// when it can. The API responds all the time.
#[track_caller]
fn realtime_behind(closed: fn() -> Gate, backend: Backend) {
    by_each_facade(|facade| {
        let (server, gate) = (box_with_three_events(), closed());
        server.change_settings(|settings| settings.realtime_origins = vec![gate.origin()]);
        let builder = builder(&server).max_hold(SHORT_HOLD);
        let mut trial = Trial::begin(backend, facade, &server, builder);
        delivers_without(&gate.origin(), &mut trial);

        let _open = gate.open(&server);
        trial.recovers();
    });
}

/// Asserts that events are delivered although the realtime server cannot be reached, and that the
/// stream keeps its pace.
#[track_caller]
fn delivers_without(realtime: &str, trial: &mut Trial) {
    trial.until("two polls", |trial| {
        let sent = trial.transport.sent();
        sent.iter().filter(|sent| sent.origin == realtime).count() >= 2
    });
    // The first request has brought the three events.
    trial.assert_paced_after(1);
    append(&trial.server, 2);
    trial.brings_all();
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn t03_a_reset_before_the_headers_loses_nothing(#[case] backend: Backend) {
    survives_everywhere(backend, &Fault::Reset);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn t04_a_reset_in_the_body_loses_nothing(#[case] backend: Backend) {
    survives_everywhere(backend, &Fault::ResetInBody);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn t05_an_end_before_the_content_length_loses_nothing(#[case] backend: Backend) {
    survives_everywhere(backend, &Fault::CloseInBody);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn t06_a_response_in_single_bytes_is_read(#[case] backend: Backend) {
    is_read_at_once(backend, &Fault::Drip { interval_ms: 0 });
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn t07_a_response_that_drips_is_waited_for(#[case] backend: Backend) {
    is_read_at_once(backend, &Fault::Drip { interval_ms: 1 });
}

/// Asserts that the stream reads a slow response, without an error and without a retry.
#[track_caller]
fn is_read_at_once(backend: Backend, fault: &Fault) {
    everywhere(|endpoint, facade| {
        let server = faulty_box(endpoint, fault);
        let mut trial = Trial::begin(backend, facade, &server, builder(&server));
        survives(&mut trial);
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
        survives(&mut Trial::begin(backend, facade, &server, builder));
    });
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn t09_a_connection_that_is_never_closed_delays_nothing(#[case] backend: Backend) {
    everywhere(|endpoint, facade| {
        let server = faulty_box(endpoint, &Fault::NeverClose);
        let builder = builder(&server).api_timeout(Duration::from_secs(3_600));
        let mut trial = Trial::begin(backend, facade, &server, builder);
        trial.meets_its_faults();
        trial.until("the next request", |trial| {
            trial.server.requests().last().unwrap().fault.is_none()
        });
        survives(&mut trial);
    });
}

/// Leaves out surf, which needs the feature `surf-native-tls` for `https`. Plain `http` is
/// permitted for loopback addresses only.
#[cfg(any(feature = "reqwest", feature = "isahc"))]
#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn t12_an_unknown_host_name_is_retried(#[case] backend: Backend) {
    by_each_facade(|facade| {
        let server = box_with_three_events();
        let builder = builder(&server).api_origin("https://api.invalid");
        let mut trial = Trial::begin(backend, facade, &server, builder);
        let kind = transport_kind(&trial.retries());
        assert_eq!(kind, TransportErrorKind::Connect);
        trial.until("six attempts", |trial| trial.transport.sent().len() >= 6);
        trial.assert_paced_after(0);
    });
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn t12_events_arrive_when_the_realtime_host_is_unknown(#[case] backend: Backend) {
    by_each_facade(|facade| {
        let server = box_with_three_events();
        let unknown = "https://realtime.invalid";
        server.change_settings(|settings| settings.realtime_origins = vec![unknown.into()]);
        let hosts = RealtimeHosts::default()
            .allow_loopback()
            .allow("realtime.invalid");
        let builder = builder(&server).realtime_hosts(hosts);
        let mut trial = Trial::begin(backend, facade, &server, builder);
        delivers_without(unknown, &mut trial);
        server.change_settings(|settings| settings.realtime_origins.clear());
        trial.recovers();
    });
}

fn box_with_three_events() -> Arc<EmulatorServer> {
    let server = fake_box(|_| ());
    append(&server, 3);
    server
}

/// Returns the kind of the transport error that caused an error.
#[track_caller]
pub(crate) fn transport_kind(error: &Error) -> TransportErrorKind {
    let source = error.source().expect("the error has a source");
    source.downcast_ref::<TransportError>().unwrap().kind()
}
