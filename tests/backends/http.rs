//! Answers of HTTP that are none of Box's.

use std::collections::BTreeMap;
use std::io::ErrorKind as IoErrorKind;
use std::net::TcpListener;

use box_longpoll::transport::TransportErrorKind;
use box_longpoll_testkit::Fault;
use rstest::rstest;

use crate::backend::Backend;
use crate::fake_box::builder;
use crate::trial::{Trial, everywhere, faulty_box, passes, passes_everywhere, side_by_side};

/// A server that nobody is to connect to.
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

    #[track_caller]
    pub(crate) fn is_untouched(&self) {
        let nobody = self.0.accept().expect_err("somebody has connected");
        assert_eq!(nobody.kind(), IoErrorKind::WouldBlock);
    }
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn h12_a_redirect_is_never_followed(#[case] backend: Backend) {
    everywhere(|endpoint, facade| {
        let trap = Trap::set();
        // Another host, by its name.
        let location = format!("http://localhost:{}/2.0/events", trap.port());
        let server = faulty_box(endpoint, &Fault::Redirect { location });
        passes(&mut Trial::begin(
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
fn h13_a_page_of_html_is_no_answer(#[case] backend: Backend) {
    passes_everywhere(backend, &Fault::Html);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn h14_an_answer_without_content_is_no_answer(#[case] backend: Backend) {
    passes_everywhere(backend, &Fault::NoContent);
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn h15_a_decompression_bomb_is_not_inflated(#[case] backend: Backend) {
    passes_everywhere(backend, &bomb());
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn h16_a_body_without_end_is_given_up_at_the_cap(#[case] backend: Backend) {
    everywhere(|endpoint, facade| {
        let server = faulty_box(endpoint, &Fault::EndlessBody);
        let mut trial = Trial::begin(backend, facade, &server, builder(&server));
        trial.until("too large a body", |trial| {
            trial.transport.failures(TransportErrorKind::BodyTooLarge) == 1
        });
        passes(&mut trial);
    });
}

/// The event would come if one of the lengths were believed.
#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn h17_lengths_that_contradict_each_other_are_no_answer(#[case] backend: Backend) {
    let forged = r#"{"entries":[{"event_id":"forged"}]}"#;
    // The emulator adds the body's own length to this one.
    let length = forged.len().to_string();
    let fault = |body| Fault::Status {
        status: 200,
        headers: BTreeMap::from([("content-length".into(), length.clone())]),
        body,
    };
    let faults = [format!("{forged} "), format!("{forged}{forged}")].map(fault);
    side_by_side(faults.each_ref().map(|fault| {
        let trial = move || passes_everywhere(backend, fault);
        (format!("{fault:?}"), trial)
    }));
}

/// A gigabyte, were it inflated.
fn bomb() -> Fault {
    Fault::CompressedBody { bytes: 1 << 30 }
}

#[cfg(target_os = "linux")]
mod memory {
    use box_longpoll_testkit::Endpoint;

    use super::{Fault, Trial, bomb, builder, faulty_box, passes};
    use crate::follower::Facade;
    use crate::memory::{BACKENDS, most};
    use crate::scripted::in_environment;

    /// A page of the largest size that is taken, twice over while it grows, and as much again for the rest.
    const FEW: usize = 80 << 20;

    /// Alone in its program, so that what is measured is its own.
    #[test]
    fn h15_h16_a_body_however_large_takes_few_megabytes() {
        let test = "http::memory::h15_h16_a_body_however_large_takes_few_megabytes";
        if in_environment(test, &[]).is_some() {
            return;
        }
        for &backend in BACKENDS {
            for fault in [bomb(), Fault::EndlessBody] {
                let before = most();
                let server = faulty_box(Endpoint::Events, &fault);
                passes(&mut Trial::begin(
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
