//! Compressed responses: the faults H18 to H21, and responses that are read.
//!
//! The server of a bomb is in `http`. The rule for transports is in the conformance suite.

use std::collections::BTreeMap;

use box_longpoll_testkit::{Endpoint, Fault};
use rstest::rstest;

use crate::backend::Backend;
use crate::fake_box::{builder, fake_box};
use crate::trial::{
    Trial, append, by_each_facade, everywhere, faulty_box, survives, survives_everywhere,
};
use crate::watched::Call;

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn api_calls_request_gzip_and_polls_do_not(#[case] backend: Backend) {
    by_each_facade(|facade| {
        let server = fake_box(|_| ());
        append(&server, 3);
        let mut trial = Trial::begin(backend, facade, &server, builder(&server));
        trial.brings_all();
        trial.listens();
        let sent = trial.transport.sent();
        for call in [Call::Fetch, Call::List, Call::Listen] {
            let expected = (call != Call::Listen).then_some("gzip");
            let mut of_call = sent.iter().filter(|sent| sent.call == call).peekable();
            assert!(of_call.peek().is_some(), "no {call:?}");
            for sent in of_call {
                assert_eq!(sent.accepts.as_deref(), expected, "{sent:?}");
            }
        }
    });
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn compressed_response_is_read_even_without_a_request_for_it(#[case] backend: Backend) {
    everywhere(|endpoint, facade| {
        // The body has two gzip members. Only a page and a list were requested with gzip.
        let server = faulty_box(endpoint, &Fault::CompressedBody { bytes: 1_000 });
        let mut trial = Trial::begin(backend, facade, &server, builder(&server));
        trial.brings_all();
        trial.listens();
        survives(&mut trial);
        let requests = server.requests();
        let met = requests.iter().position(|request| request.fault.is_some());
        let [met, next] = &requests[met.unwrap()..][..2] else {
            panic!("the fault was met");
        };
        match endpoint {
            // A page that can't be read is fetched from the same position again.
            Endpoint::Events => assert_ne!(next.stream_position, met.stream_position),
            // A list that can't be read is followed by another list or by a page.
            Endpoint::Options => assert_eq!(next.endpoint, Endpoint::Realtime),
            // A page follows a poll in any case: `tests/client` shows that the signal is read.
            _ => assert_eq!(next.endpoint, Endpoint::Events),
        }
    });
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn h18_a_gzip_stream_cut_short_loses_nothing(#[case] backend: Backend) {
    survives_everywhere(backend, &Fault::TruncatedGzip);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn h19_a_gzip_stream_of_a_wrong_length_loses_nothing(#[case] backend: Backend) {
    survives_everywhere(backend, &Fault::WrongGzipLength);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn h20_a_false_content_encoding_loses_nothing(#[case] backend: Backend) {
    survives_everywhere(backend, &Fault::NotGzip);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn h21_an_unknown_content_encoding_loses_nothing(#[case] backend: Backend) {
    let brotli = Fault::Status {
        status: 200,
        headers: BTreeMap::from([("content-encoding".into(), "br".into())]),
        body: r#"{"entries":[{"event_id":"forged"}]}"#.into(),
    };
    survives_everywhere(backend, &brotli);
}
