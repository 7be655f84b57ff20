//! The network between the program and Box, and the token source.
//!
//! It carries requests to the emulator and responses back, with a latency and faults, and counts
//! the calls of the program. Start at the [`HttpTransport`] of [`World`].

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::auth::TokenError;
use box_longpoll::transport::{Moment, TransportError, TransportErrorKind, TransportRequest};
use box_longpoll::{AccessToken, HttpTransport, TokenSource};
use box_longpoll_testkit::{Endpoint, FakeResponse, Fault, Reply, Request};
use bytes::Bytes;
use http::Response;

use super::case::{HOUR, MINUTE};
use super::world::{ADMIN, Due, Inner, World};
use crate::transport::response;

/// The time for which Box surely accepts a new token.
const KEEPS_TOKEN: Duration = Duration::from_secs(HOUR);

/// A request in flight.
pub(super) struct Pending {
    request: Request,
    token: String,
    fault: Option<Mishap>,
    outcome: Option<Result<FakeResponse, TransportErrorKind>>,
    /// `true` once the outcome has reached the client.
    pub(super) has_come: bool,
    pub(super) waker: Option<Waker>,
    is_history: bool,
}

/// A fault that a request meets.
#[derive(Clone, Copy, Debug)]
enum Mishap {
    Refused,
    RequestLost,
    ResponseLost,
    Cut,
    Garbled,
    Late(u64),
    ServerError,
    RateLimited(u64),
    Revoked,
    /// The admin may not read events for a moment. The stream ends rightly.
    Forbidden,
}

impl Inner {
    /// Sends a request and returns its number, or `None` if the program dies instead.
    fn send(&mut self, request: &TransportRequest) -> Option<u64> {
        let uri = request.request().uri().to_string();
        let id = self.number();
        if !self.step(|| format!("sends {id}: {uri}")) {
            return None;
        }
        self.requests += 1;
        let is_history = !uri.contains("admin_logs_streaming");
        self.check_call(is_history);
        let header = request.request().headers().get("authorization");
        let token = header
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let token = token.trim_start_matches("Bearer ").to_owned();
        let seen = Request::get(&uri)
            .header("authorization", &format!("Bearer {token}"))
            .header("as-user", ADMIN);
        let fault = self.mishap();
        let latency = Duration::from_millis(self.case.latency_ms);
        let mut outcome = None;
        match fault {
            Some(Mishap::Refused) => {
                outcome = Some(Err(TransportErrorKind::Connect));
                self.schedule(self.now + latency, Due::Response(id));
            }
            Some(Mishap::RequestLost) => {}
            _ => self.schedule(self.now + latency, Due::Arrival(id)),
        }
        let pending = Pending {
            request: seen,
            token,
            fault,
            outcome,
            has_come: false,
            waker: None,
            is_history,
        };
        self.pending.insert(id, pending);
        Some(id)
    }

    /// Returns the fault of the next request.
    fn mishap(&mut self) -> Option<Mishap> {
        let rng = &mut self.rngs[1];
        if self.healed || rng.u8(..100) >= self.case.fault_percent {
            return None;
        }
        Some(match rng.u8(..37) / 4 {
            0 => Mishap::Refused,
            1 => Mishap::RequestLost,
            2 => Mishap::ResponseLost,
            3 => Mishap::Cut,
            4 => Mishap::Garbled,
            5 => Mishap::Late(rng.u64(..55_000)),
            6 => Mishap::ServerError,
            7 => Mishap::RateLimited(rng.u64(1..100)),
            9 => Mishap::Forbidden,
            // A token that is rejected soon after it was issued ends a stream.
            _ if self.now < self.renewed + KEEPS_TOKEN => Mishap::ServerError,
            _ => {
                self.renewed = self.now;
                Mishap::Revoked
            }
        })
    }

    /// Checks that the program makes no more calls than it may, and none before Box wants it. Until it
    /// has reached the present, it may make as many calls as for the past.
    fn check_call(&mut self, is_history: bool) {
        let now = self.now;
        if now < self.not_before {
            let why = format!("it sends a request before {:?}", self.not_before);
            self.check(Err(why));
        }
        if is_history {
            self.is_present = false;
        }
        let (all, live) = (self.case.history_calls, self.case.calls);
        let counted = count(&mut self.calls, now, all.max(live));
        self.check(counted);
        if self.is_present {
            let counted = count(&mut self.live_calls, now, live);
            self.check(counted);
        }
        let in_flight = self.pending.values().filter(|pending| pending.is_history);
        let side_by_side = in_flight.count() + usize::from(is_history);
        if side_by_side > self.case.parallel {
            self.check(Err(format!("{side_by_side} slices are read side by side")));
        }
    }

    pub(super) fn arrives(&mut self, id: u64) {
        let Some(pending) = self.pending.get(&id) else {
            return;
        };
        let (request, fault, token) = (
            pending.request.clone(),
            pending.fault,
            pending.token.clone(),
        );
        let queued = match fault {
            Some(Mishap::ServerError) => Some(Fault::ServerError),
            Some(Mishap::Forbidden) => Some(Fault::Forbidden),
            Some(Mishap::RateLimited(seconds)) => Some(Fault::RateLimited { seconds }),
            _ => None,
        };
        if let Some(queued) = queued {
            self.emulator.queue_fault(Endpoint::Events, queued, 1);
        }
        if let Some(Mishap::Revoked) = fault {
            self.emulator.change_settings(|settings| {
                settings.revoked_tokens.insert(token);
            });
        }
        let Reply::Respond(mut response) = self.emulator.respond(&request, self.base + self.now)
        else {
            return self.check(Err("an enterprise has no long poll".into()));
        };
        let mut takes = Duration::from_millis(self.case.latency_ms);
        let outcome = match fault {
            Some(Mishap::ResponseLost) => return,
            Some(Mishap::Cut) => Err(TransportErrorKind::Body),
            Some(Mishap::Garbled) if !response.body.is_empty() => {
                let middle = response.body.len() / 2;
                response.body[middle] = 0;
                Ok(response)
            }
            Some(Mishap::Late(ms)) => {
                takes += Duration::from_millis(ms);
                Ok(response)
            }
            _ => Ok(response),
        };
        if let Some(pending) = self.pending.get_mut(&id) {
            pending.outcome = Some(outcome);
        }
        self.schedule(self.now + takes, Due::Response(id));
    }

    /// Returns the outcome of a request, or `None` if the program dies instead.
    fn receive(&mut self, id: u64) -> Option<Result<FakeResponse, TransportErrorKind>> {
        let pending = self.pending.remove(&id)?;
        let outcome = pending.outcome?;
        let fault = pending.fault;
        let told = || match &outcome {
            Ok(response) => format!(
                "receives {id}: {} {}",
                response.status,
                shown(&response.body)
            ),
            Err(kind) => format!("fails {id}: {kind:?}"),
        };
        let told = self.trace.is_some().then(told).unwrap_or_default();
        if !self.step(|| format!("{told}, with {fault:?}")) {
            return None;
        }
        if let (Some(Mishap::Forbidden), Ok(_)) = (fault, &outcome) {
            self.is_forbidden = true;
        }
        let is_whole = matches!(fault, None | Some(Mishap::Late(_)));
        if let (false, true, Ok(response)) = (pending.is_history, is_whole, &outcome) {
            self.is_present |= response.status == 200 && has_no_events(&response.body);
        }
        let limits = matches!(&outcome, Ok(response) if response.status == 429);
        if let (true, Some(Mishap::RateLimited(seconds))) = (limits, pending.fault) {
            self.not_before = self.not_before.max(self.now + Duration::from_secs(seconds));
        }
        Some(outcome)
    }
}

/// Counts a call, of which there may be `most` in a minute.
fn count(calls: &mut VecDeque<Duration>, now: Duration, most: u32) -> Result<(), String> {
    let minute = Duration::from_secs(MINUTE);
    while calls.front().is_some_and(|at| *at + minute < now) {
        calls.pop_front();
    }
    calls.push_back(now);
    if calls.len() > most as usize {
        return Err(format!("{} calls in a minute, not {most}", calls.len()));
    }
    Ok(())
}

fn has_no_events(body: &[u8]) -> bool {
    !String::from_utf8_lossy(body).contains("event_id")
}

/// Returns a page for the trace: its position, and the numbers of its events.
fn shown(body: &[u8]) -> String {
    let body = String::from_utf8_lossy(body);
    let mut parts = body.split(r#""n":""#);
    let before = parts.next().unwrap_or_default();
    let position = before
        .split("next_stream_position")
        .nth(1)
        .unwrap_or_default();
    let position = position.split(",\"entries").next().unwrap_or_default();
    let numbers: Vec<&str> = parts.filter_map(|part| part.split('"').next()).collect();
    format!("{numbers:?} to {position}")
}

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
        self.rest(duration).await;
        self.step(|| format!("wakes after {duration:?}")).await;
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
        self.id = None;
        match inner.receive(id) {
            None => Poll::Pending,
            Some(Err(kind)) => Poll::Ready(Err(TransportError::new(kind))),
            Some(Ok(fake)) => Poll::Ready(Ok(response(fake, None))),
        }
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.world.lock().pending.remove(&id);
        }
    }
}

#[async_trait]
impl TokenSource for World {
    async fn token(&self, rejected: Option<&AccessToken>) -> Result<AccessToken, TokenError> {
        self.step(|| "requests a token".into()).await;
        let mut inner = self.lock();
        let token = |inner: &Inner| {
            AccessToken::new(format!("token-{}", inner.token)).expect("visible ASCII")
        };
        if rejected == Some(&token(&inner)) {
            inner.token += 1;
            inner.renewed = inner.now;
        }
        let number = inner.token;
        inner.note(|| format!("gets token {number}, not {rejected:?}"));
        Ok(token(&inner))
    }
}
