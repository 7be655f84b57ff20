use bytes::Bytes;
use http::Method;
use http::header::AUTHORIZATION;
use reqwest::{Client, redirect, retry};

use super::Http;
use crate::subject::give_up;

#[derive(Clone)]
pub(crate) struct Reqwest(Client);

impl Http for Reqwest {
    fn new() -> Self {
        let builder = Client::builder().no_proxy().retry(retry::never());
        match builder.redirect(redirect::Policy::none()).build() {
            Ok(client) => Self(client),
            Err(error) => give_up(&format!("reqwest alone: {error}")),
        }
    }

    async fn send(&self, method: Method, url: &str, bearer: Option<&str>) -> Bytes {
        let mut request = self.0.request(method, url);
        if let Some(bearer) = bearer {
            request = request.header(AUTHORIZATION, bearer);
        }
        let answer = match request.send().await {
            Ok(answer) => answer.bytes().await,
            Err(error) => Err(error),
        };
        answer.unwrap_or_else(|error| give_up(&format!("reqwest alone: {error}")))
    }
}
