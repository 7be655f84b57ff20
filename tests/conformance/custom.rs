//! The transports of the example `custom_transport` keep the contract of a transport.
//!
//! The one over hyper-util keeps every rule but one. The one that wraps it adds a header, and
//! declares that to the suite.

#[path = "../../examples/custom_transport/tagged.rs"]
mod tagged;
#[path = "../../examples/custom_transport/transport.rs"]
mod transport;

use box_longpoll_testkit::conformance::Setup;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use self::transport::HyperTransport;

fn hyper_transport(setup: &Setup) -> HyperTransport {
    let authority = CertificateDer::from_pem_slice(setup.ca_pem().as_bytes());
    HyperTransport::new([authority.unwrap()]).unwrap()
}

mod hyper {
    box_longpoll_testkit::conformance_tests!(
        super::hyper_transport,
        except: [
            optional_works_inside_a_blocked_runtime = "the runtime that would drive its sockets is blocked",
        ],
    );
}

mod wrapped {
    use super::tagged::Tagged;

    box_longpoll_testkit::conformance_tests!(
        |setup| Tagged(super::hyper_transport(setup)),
        adds: ["x-job"],
        except: [
            optional_works_inside_a_blocked_runtime = "the runtime that would drive its sockets is blocked",
        ],
    );
}
