//! Responses that break Box's protocol, are hostile, or show no new event: the faults P01, P02,
//! P08, P14, P15, P17 and P18.

use std::sync::Arc;
use std::time::Duration;

use box_longpoll::config::RealtimeHosts;
use box_longpoll::{ErrorKind, Status};
use box_longpoll_testkit::{EmulatorServer, Endpoint, Fault, PollPosition};
use rstest::rstest;

use crate::backend::Backend;
use crate::fake_box::{TOKEN, builder, fake_box};
use crate::follower::Facade;
use crate::http::Trap;
use crate::trial::{
    Trial, append, by_each_facade, everywhere, faulty_box, side_by_side, survives,
    survives_everywhere,
};

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn p01_json_cut_short_loses_nothing(#[case] backend: Backend) {
    survives_everywhere(backend, &Fault::TruncatedJson);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn p02_json_of_any_depth_does_no_harm(#[case] backend: Backend) {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    everywhere(|endpoint, facade| {
        let body = match endpoint {
            Endpoint::Options => format!(r#"{{"entries":[{{"url":{deep}}},{deep}],"x":{deep}}}"#),
            Endpoint::Realtime => format!(r#"{{"message":{deep}}}"#),
            _ => format!(r#"{{"entries":[],"next_stream_position":{deep},"x":{deep}}}"#),
        };
        let server = faulty_box(endpoint, &ok(body));
        // The content of an event is not checked.
        let event = format!(r#"{{"event_id":"deep","source":{deep}}}"#);
        server.append_json(TOKEN, [event]);
        survives(&mut Trial::begin(
            backend,
            facade,
            &server,
            builder(&server),
        ));
    });
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn p08_unknown_content_is_delivered_or_skipped(#[case] backend: Backend) {
    everywhere(|endpoint, facade| {
        let body = match endpoint {
            Endpoint::Options => {
                r#"{"type":"list","entries":[{"type":"carrier_pigeon","coop":7},7,null]}"#
            }
            Endpoint::Realtime => r#"{"version":"2","message":"new_change","more":{"of":["it"]}}"#,
            _ => r#"{"kind":"page","entries":[],"etag":{"a":[1]},"chunk_size":null}"#,
        };
        let server = faulty_box(endpoint, &Fault::WrongTypes);
        server.queue_fault(endpoint, ok(body), 1);
        server.append_json(
            TOKEN,
            [
                r#"{"event_id":"x","event_type":"TELEPORTED","source":{"type":"wormhole"},"y":[]}"#,
                r#"{"type":7,"event_id":["y"],"event_type":{},"created_at":-1,"source":"z"}"#,
                r#""no object at all""#,
            ],
        );
        survives(&mut Trial::begin(
            backend,
            facade,
            &server,
            builder(&server),
        ));
    });
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn p14_events_arrive_without_a_realtime_server(#[case] backend: Backend) {
    by_each_facade(|facade| {
        let server = lists(Fault::EmptyList);
        let mut trial = Trial::begin(backend, facade, &server, builder(&server));
        let because = degrades(&mut trial);
        assert_eq!(because, ErrorKind::UnexpectedResponse);
        survives(&mut trial);
    });
}

/// Returns a fake Box with three events that lists its servers by this fault until the stream has
/// shown that it is degraded, however long a busy machine takes to see that.
fn lists(fault: Fault) -> Arc<EmulatorServer> {
    let server = fake_box(|_| ());
    append(&server, 3);
    server.queue_fault(Endpoint::Options, fault, u32::MAX);
    server
}

/// Drives the stream until it has no server to listen to, and returns the reason. The servers are
/// listed without faults from then on.
#[track_caller]
fn degrades(trial: &mut Trial) -> ErrorKind {
    let mut why = None;
    trial.until("the status `Degraded`", |trial| {
        if let Status::Degraded { because, .. } = trial.stream.status() {
            why = Some(because.kind());
        }
        why.is_some()
    });
    trial.server.emulator().clear_faults();
    why.expect("the status was `Degraded`")
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn p15_a_hostile_realtime_url_is_never_requested(#[case] backend: Backend) {
    let trap = Trap::set();
    let host = format!("localhost:{}", trap.port());
    let long = "x".repeat(100_000);
    let urls = [
        format!("http://user:password@{host}/subscribe?channel=c"),
        format!("http://user@{host}/subscribe?channel=c"),
        "https://192.0.2.1/subscribe?channel=c".to_owned(),
        "https://[2001:db8::1]/subscribe?channel=c".to_owned(),
        "https://realtime.box.com.invalid/subscribe?channel=c".to_owned(),
        "http://realtime.box.com.invalid/subscribe?channel=c".to_owned(),
        format!("javascript:fetch('http://{host}')"),
        format!("http://{host}/subscribe?channel={long}"),
    ];
    side_by_side(urls.map(|url| {
        let name = url.chars().take(40).collect();
        let trial = move || {
            let list = format!(r#"{{"entries":[{{"type":"realtime_server","url":"{url}"}}]}}"#);
            let server = lists(ok(list));
            let mut trial = Trial::begin(backend, Facade::Async, &server, builder(&server));
            assert_eq!(degrades(&mut trial), ErrorKind::RealtimeRefused);
            assert_requests_only(server.origin(), &trial);
            survives(&mut trial);
        };
        (name, trial)
    }));
    trap.is_untouched();
}

/// Asserts that the stream has sent requests to this origin only.
#[track_caller]
fn assert_requests_only(origin: &str, trial: &Trial) {
    let sent = trial.transport.sent();
    assert!(sent.iter().all(|sent| sent.origin == origin), "{sent:?}");
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn p15_this_machine_is_refused_as_a_realtime_server(#[case] backend: Backend) {
    let trap = Trap::set();
    let server = fake_box(|settings| {
        settings.realtime_origins = vec![format!("http://127.0.0.1:{}", trap.port())];
    });
    append(&server, 3);
    let builder = builder(&server).realtime_hosts(RealtimeHosts::default());
    let mut trial = Trial::begin(backend, Facade::Async, &server, builder);
    assert_eq!(degrades(&mut trial), ErrorKind::RealtimeRefused);
    append(&server, 2);
    trial.brings_all();
    assert_requests_only(server.origin(), &trial);
    trap.is_untouched();
    trial.recovers();
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn p17_a_change_that_is_not_visible_yet_is_fetched_in_seconds(#[case] backend: Backend) {
    by_each_facade(|facade| {
        let server = fake_box(|settings| settings.poll_position = PollPosition::AlwaysNewChange);
        append(&server, 3);
        let mut trial = Trial::begin(backend, facade, &server, builder(&server));
        // The client fetches two pages before the signal and one after it. It fetches the next page
        // without another signal.
        trial.until("a page after the signal", |trial| {
            trial.server.counters().events.requests == 3
        });
        append(&server, 1);
        trial.brings_all();
        let requests = server.requests();
        let brought = requests.iter().rposition(|request| request.new_events > 0);
        let until_then = &requests[..=brought.unwrap()];
        let count = |endpoint| {
            let requests = until_then.iter();
            requests
                .filter(|request| request.endpoint == endpoint)
                .count()
        };
        assert_eq!((count(Endpoint::Events), count(Endpoint::Realtime)), (4, 1));
        server.change_settings(|settings| settings.poll_position = PollPosition::Honored);
        trial.recovers();
    });
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn p18_a_lost_signal_delays_events_by_one_hold_at_most(#[case] backend: Backend) {
    let held_by_the_server = (300, Duration::from_secs(60));
    let held_by_the_client = (600_000, Duration::from_secs(1));
    for (hold_ms, max_hold) in [held_by_the_server, held_by_the_client] {
        by_each_facade(|facade| {
            let server = fake_box(|settings| {
                settings.drop_signals = true;
                settings.hold_ms = hold_ms;
            });
            append(&server, 3);
            let builder = builder(&server).max_hold(max_hold);
            survives(&mut Trial::begin(backend, facade, &server, builder));
        });
    }
}

/// Returns a response with the status 200.
fn ok(body: impl Into<String>) -> Fault {
    Fault::Status {
        status: 200,
        headers: [].into(),
        body: body.into(),
    }
}
