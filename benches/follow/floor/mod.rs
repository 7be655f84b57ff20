//! The floor: the least that a client could do, over hyper. It never retries and knows no repeats.
//!
//! It must never be made slower: all else is measured by it.

mod event;

use std::hint::black_box;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::Semaphore;

use self::event::{Page, Servers, Signal};
use crate::runtime::Tokio;
use crate::subject::{Pace, Start, Subject, give_up};

pub(crate) use self::event::Event;

/// Enough to keep a connection's other end busy; without it thousands of streams would open thousands of connections.
const MOST_API_CALLS: usize = 64;

#[derive(Clone)]
pub(crate) struct Floor {
    client: Client<HttpConnector, Empty<Bytes>>,
    origin: Arc<str>,
    calls: Arc<Semaphore>,
}

impl Subject for Floor {
    type Runtime = Tokio;
    type Event = Event;

    /// It asks as fast as it can, whatever the pace.
    fn new(origin: &str, _: Pace) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            origin: origin.into(),
            calls: Arc::new(Semaphore::new(MOST_API_CALLS)),
        }
    }

    fn follow(
        &self,
        account: String,
        start: Start,
        mut each: impl FnMut(&Event) -> ControlFlow<()> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let account = Account {
            floor: self.clone(),
            bearer: format!("Bearer {account}"),
        };
        let mut position = match start {
            Start::Now => "now".to_owned(),
            Start::Oldest => "0".to_owned(),
        };
        async move {
            loop {
                if account.drain(&mut position, &mut each).await.is_break() {
                    return;
                }
                let server = account.server().await;
                while account.listen(&server, &position).await == "new_change" {
                    if account.drain(&mut position, &mut each).await.is_break() {
                        return;
                    }
                }
            }
        }
    }

    fn glance(event: &Event) {
        black_box((&event.event_id, &event.event_type, &event.created_at));
    }

    fn read(event: &Event) {
        black_box(event);
    }

    fn sent_ns(event: &Event) -> Option<u64> {
        event.sent_ns
    }
}

struct Account {
    floor: Floor,
    bearer: String,
}

impl Account {
    /// Fetches pages until one is empty.
    async fn drain(
        &self,
        position: &mut String,
        each: &mut impl FnMut(&Event) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        loop {
            let page = self.page(position).await;
            position.clear();
            position.push_str(page.next_stream_position.get().trim_matches('"'));
            if page.entries.is_empty() {
                return ControlFlow::Continue(());
            }
            for event in &page.entries {
                each(event)?;
            }
        }
    }

    async fn page(&self, position: &str) -> Page {
        let origin = &self.floor.origin;
        let url =
            format!("{origin}/2.0/events?stream_type=all&stream_position={position}&limit=500");
        let body = self.call(Method::GET, &url).await;
        parsed(&body)
    }

    async fn server(&self) -> String {
        let url = format!("{}/2.0/events", self.floor.origin);
        let body = self.call(Method::OPTIONS, &url).await;
        let Servers { entries } = parsed(&body);
        match entries.into_iter().next() {
            Some(server) => server.url,
            None => give_up("no realtime server"),
        }
    }

    async fn listen(&self, server: &str, position: &str) -> String {
        let url = format!("{server}&stream_position={position}");
        let request = Request::get(url).body(Empty::new());
        let body = self.send(request).await;
        parsed::<Signal>(&body).message
    }

    async fn call(&self, method: Method, url: &str) -> Bytes {
        let _permit = self.floor.calls.acquire().await;
        let request = Request::builder().method(method).uri(url);
        let request = request.header(AUTHORIZATION, &self.bearer);
        self.send(request.body(Empty::new())).await
    }

    async fn send(&self, request: http::Result<Request<Empty<Bytes>>>) -> Bytes {
        let request = request.unwrap_or_else(|error| give_up(&format!("floor: {error}")));
        let answer = match self.floor.client.request(request).await {
            Ok(answer) => answer,
            Err(error) => give_up(&format!("floor: {error:?}")),
        };
        match answer.into_body().collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => give_up(&format!("floor: {error:?}")),
        }
    }
}

fn parsed<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> T {
    serde_json::from_slice(body).unwrap_or_else(|error| give_up(&format!("floor: {error}")))
}
