//! The reqwest backend, on tokio with one thread.

use box_longpoll::transports::ReqwestTransport;
use reqwest::Certificate;

use crate::library::Backend;
use crate::runtime::Tokio;

impl Backend for ReqwestTransport {
    type Runtime = Tokio;

    fn new(authority: Option<&str>) -> Self {
        let root = authority.map(|pem| {
            Certificate::from_pem(pem.as_bytes()).expect("the authority's certificate is in PEM")
        });
        let builder = move || ReqwestTransport::client_builder().tls_certs_merge(root.clone());
        ReqwestTransport::with_builder(builder).expect("reqwest can be set up")
    }
}
