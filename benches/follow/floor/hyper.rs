//! The floor's HTTP client: hyper, with the least code that sends a request, and rustls.

use std::sync::Arc;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Empty};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::Http;
use crate::subject::exit_with;

#[derive(Clone)]
pub(crate) enum Hyper {
    Plain(Client<HttpConnector, Empty<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Empty<Bytes>>),
}

impl Http for Hyper {
    fn new(authority: Option<&str>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let builder = Client::builder(TokioExecutor::new());
        let Some(authority) = authority else {
            return Self::Plain(builder.build(connector));
        };
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(trusting(authority))
            .https_only()
            .enable_http1()
            .wrap_connector(connector);
        Self::Tls(builder.build(connector))
    }

    async fn send(&self, method: Method, url: &str, bearer: Option<&str>) -> Result<Bytes, String> {
        let mut request = Request::builder().method(method).uri(url);
        if let Some(bearer) = bearer {
            request = request.header(AUTHORIZATION, bearer);
        }
        let request = request.body(Empty::new());
        let request = request.unwrap_or_else(|error| exit_with(&format!("floor: {error}")));
        let response = match self {
            Self::Plain(client) => client.request(request),
            Self::Tls(client) => client.request(request),
        };
        let response = response
            .await
            .map_err(|error| format!("floor: {error:?}"))?;
        let body = response.into_body().collect().await;
        let body = body.map_err(|error| format!("floor: {error:?}"))?;
        Ok(body.to_bytes())
    }
}

/// Returns the TLS of a client that trusts one authority.
fn trusting(authority: &str) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.as_bytes());
    roots
        .add(root.expect("the authority's certificate is in PEM"))
        .expect("rustls accepts the authority's certificate");
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider supports these versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
