//! The floor: the least that a client could do. All other figures are compared with it.
//!
//! It is a loop that fetches pages, polls, and parses, one request after the other. If a poll ends
//! without a response, the loop polls again. It never retries another request, has no pace, and
//! does not recognize repeats. Never make it slower over hyper, because every ratio would improve.
//! Start from [`Loop`].

mod event;
mod hyper;
#[cfg(feature = "reqwest")]
mod reqwest;

use std::hint::black_box;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use tokio::sync::Semaphore;

use self::event::{Page, Servers, Signal};
use crate::emulator::Address;
use crate::runtime::Tokio;
use crate::subject::{Pace, Start, Subject, exit_with};

pub(crate) use self::event::Event;

/// The limit of API calls in flight. It keeps the server busy, and prevents thousands of streams
/// from opening thousands of connections.
const MOST_API_CALLS: usize = 64;

/// An HTTP client that sends the requests of the loop.
pub(crate) trait Http: Clone + Send + Sync + 'static {
    /// Returns a client that trusts the authority of a certificate, which is in PEM.
    fn new(authority: Option<&str>) -> Self;

    fn send(
        &self,
        method: Method,
        url: &str,
        bearer: Option<&str>,
    ) -> impl Future<Output = Result<Bytes, String>> + Send;
}

/// The floor itself, over hyper.
pub(crate) type Floor = Loop<self::hyper::Hyper>;

/// The same loop over reqwest, which shows the cost of reqwest itself.
#[cfg(feature = "reqwest")]
pub(crate) type ReqwestAlone = Loop<self::reqwest::Reqwest>;

/// A minimal client over an HTTP client `H`.
#[derive(Clone)]
pub(crate) struct Loop<H> {
    http: H,
    origin: Arc<str>,
    calls: Arc<Semaphore>,
}

impl<H: Http> Subject for Loop<H> {
    type Runtime = Tokio;
    type Event = Event;

    /// Ignores the pace: the loop sends requests as fast as it can.
    fn new(server: &Address, _: Pace) -> Self {
        Self {
            http: H::new(server.authority.as_deref()),
            origin: server.origin.as_str().into(),
            calls: Arc::new(Semaphore::new(MOST_API_CALLS)),
        }
    }

    fn follow(
        &self,
        account: String,
        start: Start,
        mut each: impl FnMut(&Event) -> ControlFlow<()> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let account = self.account(&account);
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
                loop {
                    match account.listen(&server, &position).await.as_deref() {
                        Ok("new_change") => {}
                        Ok(_) => break,
                        Err(_) => continue,
                    }
                    if account.drain(&mut position, &mut each).await.is_break() {
                        return;
                    }
                }
            }
        }
    }

    async fn read_pages<W: Future<Output = ControlFlow<()>> + Send>(
        &self,
        account: String,
        mut each: impl FnMut(&[Event]) -> W + Send,
    ) {
        let account = self.account(&account);
        let mut position = "0".to_owned();
        loop {
            let page = account.page(&position).await;
            position = page.next_stream_position();
            if each(&page.entries).await.is_break() {
                return;
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

impl<H: Http> Loop<H> {
    fn account(&self, name: &str) -> Account<H> {
        Account {
            floor: self.clone(),
            bearer: format!("Bearer {name}"),
        }
    }
}

/// One account that the loop follows.
struct Account<H> {
    floor: Loop<H>,
    bearer: String,
}

impl<H: Http> Account<H> {
    /// Fetches pages until one is empty.
    async fn drain(
        &self,
        position: &mut String,
        each: &mut impl FnMut(&Event) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        loop {
            let page = self.page(position).await;
            *position = page.next_stream_position();
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
        parse(&body)
    }

    async fn server(&self) -> String {
        let url = format!("{}/2.0/events", self.floor.origin);
        let body = self.call(Method::OPTIONS, &url).await;
        let Servers { entries } = parse(&body);
        match entries.into_iter().next() {
            Some(server) => server.url,
            None => exit_with("no realtime server"),
        }
    }

    /// Polls once. Returns the signal, or an error if there was no response.
    async fn listen(&self, server: &str, position: &str) -> Result<String, String> {
        let url = format!("{server}&stream_position={position}");
        let body = self.floor.http.send(Method::GET, &url, None).await?;
        Ok(parse::<Signal>(&body).message)
    }

    async fn call(&self, method: Method, url: &str) -> Bytes {
        let _permit = self.floor.calls.acquire().await;
        let sent = self.floor.http.send(method, url, Some(&self.bearer));
        sent.await.unwrap_or_else(|error| exit_with(&error))
    }
}

fn parse<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> T {
    serde_json::from_slice(body).unwrap_or_else(|error| exit_with(&format!("floor: {error}")))
}
