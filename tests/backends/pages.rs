//! Pages with unusual positions, repeats or sizes: the faults P03 to P07 and P09 to P13.

use std::sync::Arc;

use box_longpoll_testkit::{EmulatorServer, Endpoint, Fault, RequestRecord, Spelling};
use rstest::rstest;

use crate::backend::Backend;
use crate::fake_box::{TOKEN, builder, fake_box};
use crate::trial::{Trial, append, by_each_facade, event, faulty_box, survives};

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn p03_a_position_that_is_an_integer_is_kept_to_the_last_digit(#[case] backend: Backend) {
    is_kept_exactly(backend, Spelling::Number);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn p04_a_position_that_is_a_string_is_kept_to_the_last_digit(#[case] backend: Backend) {
    is_kept_exactly(backend, Spelling::String);
}

#[track_caller]
fn is_kept_exactly(backend: Backend, spelling: Spelling) {
    by_each_facade(|facade| {
        let server = fake_box(|settings| settings.position_spelling = spelling);
        append(&server, 3);
        let mut trial = Trial::begin(backend, facade, &server, builder(&server));
        trial.brings_all();
        trial.listens();
        let newest = server.emulator().newest_position(TOKEN);
        assert!(newest.parse::<u64>().unwrap() > 1 << 53);
        assert_eq!(trial.stream.resume_at().to_string(), newest);
        let polled = requests_of(&server, Endpoint::Realtime);
        assert_eq!(polled[0].stream_position.as_ref(), Some(&newest));
        trial.recovers();
    });
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn p05_a_position_that_is_a_float_is_kept_as_it_is_spelled(#[case] backend: Backend) {
    by_each_facade(|facade| {
        let server = faulty_box(Endpoint::Events, &Fault::FloatPosition);
        let spelled = format!("{}.0", server.emulator().newest_position(TOKEN));
        let mut trial = Trial::begin(backend, facade, &server, builder(&server));
        let (_, next) = around_the_fault(&mut trial);
        assert_eq!(next.stream_position, Some(spelled));
        survives(&mut trial);
    });
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn p06_a_position_that_is_null_leaves_the_old_one(#[case] backend: Backend) {
    stays_where_it_was(backend, &Fault::NullPosition);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn p07_a_position_that_is_missing_leaves_the_old_one(#[case] backend: Backend) {
    stays_where_it_was(backend, &Fault::MissingPosition);
}

/// Asserts that the page's events are delivered, and that the next page is fetched from the same
/// position.
#[track_caller]
fn stays_where_it_was(backend: Backend, fault: &Fault) {
    by_each_facade(|facade| {
        let server = faulty_box(Endpoint::Events, fault);
        let mut trial = Trial::begin(backend, facade, &server, builder(&server));
        let (met, next) = around_the_fault(&mut trial);
        assert_eq!((met.new_events, next.events), (3, 3));
        assert_eq!(met.stream_position, next.stream_position);
        survives(&mut trial);
    });
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn p09_an_event_without_an_id_is_delivered(#[case] backend: Backend) {
    by_each_facade(|facade| {
        let server = fake_box(|_| ());
        append(&server, 1);
        let without = r#"{"type":"event","event_type":"ITEM_UPLOAD"}"#;
        let null = r#"{"type":"event","event_id":null,"event_type":"ITEM_TRASH"}"#;
        server.append_json(TOKEN, [without, null]);
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
fn p10_a_page_that_is_repeated_is_delivered_once(#[case] backend: Backend) {
    by_each_facade(|facade| {
        // The second response has the page of the first one.
        let server = faulty_box(Endpoint::Events, &Fault::Drip { interval_ms: 0 });
        server.queue_fault(Endpoint::Events, Fault::StalePage, 1);
        let mut trial = Trial::begin(backend, facade, &server, builder(&server));
        trial.meets_its_faults();
        let pages = requests_of(&server, Endpoint::Events);
        assert_eq!((pages[0].events, pages[1].events), (3, 3));
        survives(&mut trial);
    });
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn p11_pages_that_overlap_are_delivered_once(#[case] backend: Backend) {
    by_each_facade(|facade| {
        let server = fake_box(|_| ());
        // Each of the three pages begins with the end of the one before. One page repeats its own
        // event.
        server.append_json(TOKEN, [0, 1, 2, 1, 2, 3, 3, 3, 4].map(event));
        let builder = builder(&server).page_limit(3);
        let mut trial = Trial::begin(backend, facade, &server, builder);
        trial.brings_all();
        let pages = requests_of(&server, Endpoint::Events);
        assert!(pages[..3].iter().all(|page| page.events == 3), "{pages:?}");
        survives(&mut trial);
    });
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn p12_an_empty_page_moves_the_position(#[case] backend: Backend) {
    by_each_facade(|facade| {
        let server = fake_box(|settings| settings.empty_page_rate = 1.0);
        append(&server, 3);
        let mut trial = Trial::begin(backend, facade, &server, builder(&server));
        trial.until("the third page", |trial| {
            requests_of(&trial.server, Endpoint::Events).len() > 2
        });
        server.change_settings(|settings| settings.empty_page_rate = 0.0);
        let pages = requests_of(&server, Endpoint::Events);
        for pair in pages[..3].windows(2) {
            assert_eq!(pair[0].events, 0);
            assert_ne!(pair[0].stream_position, pair[1].stream_position);
        }
        survives(&mut trial);
    });
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn p13_a_short_page_is_not_the_end(#[case] backend: Backend) {
    by_each_facade(|facade| {
        let server = fake_box(|settings| settings.short_page_rate = 1.0);
        append(&server, 200);
        let mut trial = Trial::begin(backend, facade, &server, builder(&server));
        trial.brings_all();
        let pages = requests_of(&server, Endpoint::Events);
        // The client requests 500 events.
        assert!(pages[0].events < 200, "{:?}", pages[0]);
        survives(&mut trial);
    });
}

/// Returns the request that met the fault, and the next request to its endpoint.
#[track_caller]
fn around_the_fault(trial: &mut Trial) -> (RequestRecord, RequestRecord) {
    trial.until("a page after the fault", |trial| {
        requests_of(&trial.server, Endpoint::Events).len() > 1
    });
    let mut pages = requests_of(&trial.server, Endpoint::Events).into_iter();
    let met = pages.next().unwrap();
    assert!(met.fault.is_some(), "{met:?}");
    (met, pages.next().unwrap())
}

fn requests_of(server: &Arc<EmulatorServer>, endpoint: Endpoint) -> Vec<RequestRecord> {
    let all = server.requests().into_iter();
    all.filter(|request| request.endpoint == endpoint).collect()
}
