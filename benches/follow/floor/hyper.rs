//! The floor's HTTP client: hyper, with the least code that sends a request.

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::Http;
use crate::subject::exit_with;

#[derive(Clone)]
pub(crate) struct Hyper(Client<HttpConnector, Empty<Bytes>>);

impl Http for Hyper {
    fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self(Client::builder(TokioExecutor::new()).build(connector))
    }

    async fn send(&self, method: Method, url: &str, bearer: Option<&str>) -> Bytes {
        let mut request = Request::builder().method(method).uri(url);
        if let Some(bearer) = bearer {
            request = request.header(AUTHORIZATION, bearer);
        }
        let request = request.body(Empty::new());
        let request = request.unwrap_or_else(|error| exit_with(&format!("floor: {error}")));
        let response = match self.0.request(request).await {
            Ok(response) => response,
            Err(error) => exit_with(&format!("floor: {error:?}")),
        };
        match response.into_body().collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => exit_with(&format!("floor: {error:?}")),
        }
    }
}
