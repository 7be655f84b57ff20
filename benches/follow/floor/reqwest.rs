//! reqwest in the place of hyper, which shows the cost of reqwest itself.

use bytes::Bytes;
use http::Method;
use http::header::AUTHORIZATION;
use reqwest::{Client, redirect, retry};

use super::Http;
use crate::subject::exit_with;

#[derive(Clone)]
pub(crate) struct Reqwest(Client);

impl Http for Reqwest {
    fn new() -> Self {
        let builder = Client::builder().no_proxy().retry(retry::never());
        match builder.redirect(redirect::Policy::none()).build() {
            Ok(client) => Self(client),
            Err(error) => exit_with(&format!("reqwest alone: {error}")),
        }
    }

    async fn send(&self, method: Method, url: &str, bearer: Option<&str>) -> Bytes {
        let mut request = self.0.request(method, url);
        if let Some(bearer) = bearer {
            request = request.header(AUTHORIZATION, bearer);
        }
        let response = match request.send().await {
            Ok(response) => response.bytes().await,
            Err(error) => Err(error),
        };
        response.unwrap_or_else(|error| exit_with(&format!("reqwest alone: {error}")))
    }
}
