//! The isahc backend, on smol with one thread.

use box_longpoll::transports::IsahcTransport;
use isahc::config::Configurable as _;
use isahc::tls::{TlsConfig, TrustStore};

use crate::library::Backend;
use crate::runtime::Smol;

impl Backend for IsahcTransport {
    type Runtime = Smol;

    fn new(authority: Option<&str>) -> Self {
        let Some(pem) = authority else {
            return IsahcTransport::new().expect("isahc can be set up");
        };
        let roots = TrustStore::builder().certificate_from_pem(pem).build();
        let tls = TlsConfig::builder().trust_store(roots).build();
        let client = IsahcTransport::client_builder().tls_config(tls).build();
        IsahcTransport::with_client(client.expect("isahc can be set up"))
    }
}
