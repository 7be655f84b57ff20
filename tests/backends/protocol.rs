//! Answers of Box's protocol that are broken, hostile or of no use.

use std::time::Duration;

use box_longpoll::config::RealtimeHosts;
use box_longpoll::{ErrorKind, Status};
use box_longpoll_testkit::{Endpoint, Fault, PollPosition};
use rstest::rstest;

use crate::backend::Backend;
use crate::fake_box::{TOKEN, builder, fake_box};
use crate::follower::Facade;
use crate::http::Trap;
use crate::trial::{
    Trial, append, by_each_facade, everywhere, faulty_box, passes, passes_everywhere, side_by_side,
};

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn p01_json_cut_short_loses_nothing(#[case] backend: Backend) {
    passes_everywhere(backend, &Fault::TruncatedJson);
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
        // An event is taken as it is.
        let event = format!(r#"{{"event_id":"deep","source":{deep}}}"#);
        server.append_json(TOKEN, [event]);
        passes(&mut Trial::begin(
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
fn p08_what_is_unknown_is_data_or_passed_over(#[case] backend: Backend) {
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
        passes(&mut Trial::begin(
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
fn p14_without_a_realtime_server_events_come_all_the_same(#[case] backend: Backend) {
    by_each_facade(|facade| {
        let server = faulty_box(Endpoint::Options, &Fault::EmptyList);
        let mut trial = Trial::begin(backend, facade, &server, builder(&server));
        let because = degrades(&mut trial);
        assert_eq!(because, ErrorKind::UnexpectedAnswer);
        passes(&mut trial);
    });
}

/// Drives the stream until it has no server to listen to, and says why.
#[track_caller]
fn degrades(trial: &mut Trial) -> ErrorKind {
    let mut why = None;
    trial.until("being degraded", |trial| {
        if let Status::Degraded { because, .. } = trial.stream.status() {
            why = Some(because.kind());
        }
        why.is_some()
    });
    why.expect("it was waited for")
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn p15_a_realtime_url_of_somebody_elses_is_never_asked(#[case] backend: Backend) {
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
            let server = faulty_box(Endpoint::Options, &ok(list));
            let mut trial = Trial::begin(backend, Facade::Async, &server, builder(&server));
            assert_eq!(degrades(&mut trial), ErrorKind::RealtimeRefused);
            assert_asks_only(server.origin(), &trial);
            passes(&mut trial);
        };
        (name, trial)
    }));
    trap.is_untouched();
}

#[track_caller]
fn assert_asks_only(origin: &str, trial: &Trial) {
    let sent = trial.transport.sent();
    assert!(sent.iter().all(|sent| sent.origin == origin), "{sent:?}");
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn p15_this_machine_is_a_realtime_server_for_tests_only(#[case] backend: Backend) {
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
    assert_asks_only(server.origin(), &trial);
    trap.is_untouched();
    trial.is_well();
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn p17_a_change_that_shows_nothing_is_looked_for_in_seconds(#[case] backend: Backend) {
    by_each_facade(|facade| {
        let server = fake_box(|settings| settings.poll_position = PollPosition::AlwaysNewChange);
        append(&server, 3);
        let mut trial = Trial::begin(backend, facade, &server, builder(&server));
        // Two pages come before the signal and one after it. The next one is fetched without another signal.
        trial.until("a page after the signal", |trial| {
            trial.server.counters().events.requests == 3
        });
        append(&server, 1);
        trial.brings_all();
        let counters = server.counters();
        assert_eq!(
            (counters.events.requests, counters.realtime.requests),
            (4, 1)
        );
        server.change_settings(|settings| settings.poll_position = PollPosition::Honoured);
        trial.is_well();
    });
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn p18_a_lost_signal_costs_no_more_than_the_hold(#[case] backend: Backend) {
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
            passes(&mut Trial::begin(backend, facade, &server, builder));
        });
    }
}

/// 200 with this body.
fn ok(body: impl Into<String>) -> Fault {
    Fault::Status {
        status: 200,
        headers: [].into(),
        body: body.into(),
    }
}
