//! reqwest in the place of hyper, which shows the cost of reqwest itself.

use bytes::Bytes;
use http::Method;
use http::header::AUTHORIZATION;
use reqwest::{Certificate, Client, redirect, retry};

use super::Http;
use crate::subject::exit_with;

#[derive(Clone)]
pub(crate) struct Reqwest(Client);

impl Http for Reqwest {
    fn new(authority: Option<&str>) -> Self {
        let root = authority.map(|pem| Certificate::from_pem(pem.as_bytes()));
        let builder = Client::builder().no_proxy().retry(retry::never());
        let builder = builder.redirect(redirect::Policy::none());
        let client = root
            .transpose()
            .and_then(|root| builder.tls_certs_merge(root).build());
        Self(client.unwrap_or_else(|error| exit_with(&format!("reqwest alone: {error}"))))
    }

    async fn send(&self, method: Method, url: &str, bearer: Option<&str>) -> Result<Bytes, String> {
        let mut request = self.0.request(method, url);
        if let Some(bearer) = bearer {
            request = request.header(AUTHORIZATION, bearer);
        }
        let response = match request.send().await {
            Ok(response) => response.bytes().await,
            Err(error) => Err(error),
        };
        response.map_err(|error| format!("reqwest alone: {error:?}"))
    }
}
