//! HTTP responses that Box does not send: the faults H12 to H17.

use std::collections::BTreeMap;
use std::io::ErrorKind as IoErrorKind;
use std::net::TcpListener;

use box_longpoll::transport::TransportErrorKind;
use box_longpoll_testkit::{Endpoint, Fault};
use rstest::rstest;

use crate::backend::Backend;
use crate::fake_box::builder;
use crate::trial::{Trial, everywhere, faulty_box, side_by_side, survives, survives_everywhere};

/// A port to which no client may connect.
pub(crate) struct Trap(TcpListener);

impl Trap {
    pub(crate) fn set() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// Asserts that no client has connected.
    #[track_caller]
    pub(crate) fn is_untouched(&self) {
        let error = self.0.accept().expect_err("a client has connected");
        assert_eq!(error.kind(), IoErrorKind::WouldBlock);
    }
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn h12_a_redirect_is_never_followed(#[case] backend: Backend) {
    everywhere(|endpoint, facade| {
        let trap = Trap::set();
        // The host name differs from that of the fake Box.
        let location = format!("http://localhost:{}/2.0/events", trap.port());
        let server = faulty_box(endpoint, &Fault::Redirect { location });
        survives(&mut Trial::begin(
            backend,
            facade,
            &server,
            builder(&server),
        ));
        trap.is_untouched();
    });
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn h13_a_page_of_html_is_discarded(#[case] backend: Backend) {
    survives_everywhere(backend, &Fault::Html);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn h14_a_response_without_content_is_discarded(#[case] backend: Backend) {
    survives_everywhere(backend, &Fault::NoContent);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn h15_a_decompression_bomb_is_given_up_at_the_cap(#[case] backend: Backend) {
    everywhere(|endpoint, facade| {
        let server = faulty_box(endpoint, &bomb());
        survives(&mut Trial::begin(
            backend,
            facade,
            &server,
            builder(&server),
        ));
        if endpoint == Endpoint::Events {
            let pages = server.requests().into_iter();
            let pages = pages.filter(|request| request.endpoint == Endpoint::Events);
            let limits: Vec<_> = pages.filter_map(|page| page.limit).collect();
            assert_eq!(limits[..2], ["500", "250"]);
        }
    });
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn h16_a_body_without_end_is_given_up_at_the_cap(#[case] backend: Backend) {
    everywhere(|endpoint, facade| {
        let server = faulty_box(endpoint, &Fault::EndlessBody);
        let mut trial = Trial::begin(backend, facade, &server, builder(&server));
        trial.until("an error for the large body", |trial| {
            trial.transport.failures(TransportErrorKind::BodyTooLarge) == 1
        });
        survives(&mut trial);
    });
}

/// Proves that neither length is trusted: with either of them the body would be a page with a
/// forged event.
#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn h17_contradicting_content_lengths_are_not_trusted(#[case] backend: Backend) {
    let forged = r#"{"entries":[{"event_id":"forged"}]}"#;
    // The emulator adds a second header with the real length of the body.
    let length = forged.len().to_string();
    let fault = |body| Fault::Status {
        status: 200,
        headers: BTreeMap::from([("content-length".into(), length.clone())]),
        body,
    };
    let faults = [format!("{forged} "), format!("{forged}{forged}")].map(fault);
    side_by_side(faults.each_ref().map(|fault| {
        let trial = move || survives_everywhere(backend, fault);
        (format!("{fault:?}"), trial)
    }));
}

/// Returns a compressed body that would be 1 GiB if it were inflated. A page may be as long as the
/// compressed body, a list and a signal may not.
fn bomb() -> Fault {
    Fault::CompressedBody { bytes: 1 << 30 }
}

#[cfg(target_os = "linux")]
mod memory {
    use super::{Endpoint, Fault, Trial, bomb, builder, faulty_box, survives};
    use crate::follower::Facade;
    use crate::memory::{BACKENDS, most};
    use crate::scripted::in_environment;

    /// The bound for the additional memory, in bytes: 80 MiB. It covers a page of the largest size
    /// (16 MiB), which is copied while its buffer grows, and as much again for the rest of the
    /// program.
    const FEW: usize = 80 << 20;

    /// Runs in its own process, so that no other test adds to its memory.
    #[test]
    fn h15_h16_a_huge_body_takes_few_megabytes() {
        let test = "http::memory::h15_h16_a_huge_body_takes_few_megabytes";
        if in_environment(test, &[]).is_some() {
            return;
        }
        for &backend in BACKENDS {
            for fault in [bomb(), Fault::EndlessBody] {
                let before = most();
                let server = faulty_box(Endpoint::Events, &fault);
                survives(&mut Trial::begin(
                    backend,
                    Facade::Async,
                    &server,
                    builder(&server),
                ));
                let more = most() - before;
                println!("{backend:?}, {}: {more} bytes more", fault.name());
                assert!(more < FEW, "{backend:?}, {}: {more} bytes", fault.name());
            }
        }
    }
}
