//! The transport and the token source through which the program reaches the world.
//!
//! A request is a future that the world completes when its response arrives; `network` decides
//! about that. Page bodies are counted as long as any part of them is kept. Time passes only in the
//! world, never for real. Start at the [`HttpTransport`] implementation of [`World`].

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::auth::TokenError;
use box_longpoll::transport::{Moment, TransportError, TransportRequest};
use box_longpoll::{AccessToken, HttpTransport, TokenSource};
use box_longpoll_testkit::{Endpoint, FakeResponse};
use bytes::Bytes;
use http::Response;

use crate::scenario::What;
use crate::world::{Scheduled, Step, World};

#[async_trait]
impl HttpTransport for World {
    async fn send(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        let sending = Sending {
            world: self,
            request: Some(request),
            id: None,
        };
        sending.await
    }

    async fn sleep(&self, duration: Duration) -> Result<(), TransportError> {
        self.step(Step::Sleeps(duration)).await;
        self.rest(duration).await;
        self.step(Step::Wakes).await;
        Ok(())
    }

    fn now(&self) -> Moment {
        self.lock().moment()
    }
}

/// A request in flight.
struct Sending<'a> {
    world: &'a World,
    request: Option<TransportRequest>,
    id: Option<u64>,
}

impl Future for Sending<'_> {
    type Output = Result<Response<Bytes>, TransportError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut inner = self.world.lock();
        if let Some(request) = self.request.take() {
            self.id = inner.send(&request);
        }
        let Some(id) = self.id else {
            return Poll::Pending;
        };
        let Some(pending) = inner.pending.get_mut(&id) else {
            return Poll::Pending;
        };
        if !pending.has_come {
            pending.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let is_page = pending.facts.endpoint == Endpoint::Events;
        let reused = pending.reused;
        self.id = None;
        match inner.receive(id) {
            None => Poll::Pending,
            Some(Err(kind)) => {
                let error = TransportError::new(kind);
                Poll::Ready(Err(match reused {
                    Some(reused) => error.with_connection_reused(reused),
                    None => error,
                }))
            }
            Some(Ok(fake)) => {
                let counter = is_page.then(|| inner.live_bodies.clone());
                Poll::Ready(Ok(response(fake, counter)))
            }
        }
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.world.lock().let_go(id);
        }
    }
}

pub(crate) fn response(fake: FakeResponse, counter: Option<Arc<AtomicUsize>>) -> Response<Bytes> {
    let mut response = Response::builder().status(fake.status);
    for (name, value) in &fake.headers {
        response = response.header(name, value);
    }
    let body = match counter {
        Some(counter) => {
            counter.fetch_add(1, Ordering::Relaxed);
            Bytes::from_owner(Body {
                bytes: fake.body,
                counter,
            })
        }
        None => fake.body.into(),
    };
    response
        .body(body)
        .expect("the emulator's responses are well-formed")
}

/// A body that is counted as long as any part of it is kept.
struct Body {
    bytes: Vec<u8>,
    counter: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.counter.fetch_sub(1, Ordering::Relaxed);
    }
}

impl World {
    /// Waits for simulated time to pass. This is not a step of the program.
    pub(crate) async fn rest(&self, duration: Duration) {
        let resting = Resting {
            world: self,
            duration: Some(duration),
            id: 0,
        };
        resting.await;
    }
}

/// A sleep in progress.
struct Resting<'a> {
    world: &'a World,
    duration: Option<Duration>,
    id: u64,
}

impl Future for Resting<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.world.lock();
        if let Some(duration) = self.duration.take() {
            self.id = inner.number();
            let at = inner.now + duration;
            inner.schedule(at, Scheduled::Wake(self.id));
            inner.sleepers.insert(self.id, None);
        }
        let Some(waker) = inner.sleepers.get_mut(&self.id) else {
            return Poll::Ready(());
        };
        *waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Resting<'_> {
    fn drop(&mut self) {
        self.world.lock().sleepers.remove(&self.id);
    }
}

#[async_trait]
impl TokenSource for World {
    async fn token(&self, rejected: Option<&AccessToken>) -> Result<AccessToken, TokenError> {
        self.step(Step::RequestsToken).await;
        self.give_token(rejected)
    }
}

impl World {
    /// Returns a token that differs from the rejected one, or the fault of this call.
    fn give_token(&self, rejected: Option<&AccessToken>) -> Result<AccessToken, TokenError> {
        let mut inner = self.lock();
        let now = inner.now;
        let permitted = inner.conduct.check_token_call(now);
        inner.check(permitted);
        let mishap = inner.token_mishap();
        if let Some(mishap) = &mishap {
            let call = if rejected.is_some() {
                "Refresh"
            } else {
                "Authorizing"
            };
            inner.meets(mishap, call);
        }
        match (mishap, rejected) {
            (Some(What::NoTokenNow), _) => {
                inner.conduct.got_no_token(false, now);
                inner.lanes.got_no_token();
                return Err(TokenError::transient("the token endpoint is unavailable"));
            }
            (Some(What::NoToken), _) => {
                inner.conduct.got_no_token(true, now);
                return Err(TokenError::permanent("the grant was revoked"));
            }
            (Some(What::SameToken), Some(rejected)) => {
                inner.conduct.got_no_token(true, now);
                return Ok(rejected.clone());
            }
            _ => {}
        }
        let mut token = inner.current_token();
        if let Some(rejected) = rejected {
            if AccessToken::new(&token).as_ref() == Ok(rejected) {
                token = inner.new_token();
            }
            inner.conduct.refreshed(&token);
        }
        Ok(AccessToken::new(&token).expect("visible ASCII"))
    }
}
