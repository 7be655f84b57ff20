//! The example's transport keeps the whole contract.

#[path = "../examples/custom_transport/transport.rs"]
mod transport;

use box_longpoll_testkit::conformance::Setup;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::transport::HyperTransport;

fn transport(setup: &Setup) -> HyperTransport {
    let authority = CertificateDer::from_pem_slice(setup.ca_pem().as_bytes());
    HyperTransport::new([authority.unwrap()]).unwrap()
}

box_longpoll_testkit::conformance_tests!(
    transport,
    except: [
        optional_works_inside_a_blocked_runtime = "the runtime that would drive its sockets stands still",
    ],
);
