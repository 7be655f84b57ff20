//! The network between the program and the emulator.
//!
//! It carries each request to the emulator and each response back, with a latency, and applies the
//! scenario's faults on the way. It also checks what every request must satisfy: the right timeout,
//! and few pages and sleeps in memory. The rules for streams are in `lanes`, `conduct` and
//! `budget`. Start at [`Inner::send`].

use std::task::Waker;
use std::time::Duration;

use box_longpoll::transport::{TransportErrorKind, TransportRequest};
use box_longpoll_testkit::{Delivery, Endpoint, FakeResponse, HoldId, Reply, Request};

use crate::climate::Consumer;
use crate::conduct::PageFacts;
use crate::exchange::{Outcome, RequestFacts, channel_of, decompressed, is_signal};
use crate::ledger::own_digits;
use crate::scenario::{What, When};
use crate::world::{ACCOUNT, Inner, Scheduled, Step};

/// The timeout of a request for a page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// The timeout of a request for the server list.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);

/// The time after waking within which a stream must send a new request.
pub(crate) const NOTICES_A_SLEEP: Duration = Duration::from_secs(30);

/// A request that the client waits for.
pub(crate) struct Pending {
    pub(crate) facts: RequestFacts,
    request: Request,
    pub(crate) sent: Duration,
    pub(crate) met: Option<What>,
    /// `true` if its connection carried another request before. `None` if the transport can't tell.
    pub(crate) reused: Option<bool>,
    pub(crate) hold: Option<HoldId>,
    /// `true` if a server holds it and will signal changes.
    pub(crate) listens: bool,
    /// The response or failure that is on its way to the client.
    outcome: Option<Outcome>,
    /// `true` if the outcome has reached the client.
    pub(crate) has_come: bool,
    pub(crate) waker: Option<Waker>,
    /// The time at which the machine woke from a suspension in which the connection died.
    cut_off: Option<Duration>,
}

impl Inner {
    /// Sends a request and returns its number, or `None` if the program dies instead.
    pub(crate) fn send(&mut self, request: &TransportRequest) -> Option<u64> {
        let facts = facts_of(request);
        if !self.step(Step::Sends(facts.endpoint, facts.position.clone())) {
            return None;
        }
        self.requests += 1;
        self.measure_call();
        let now = self.now;
        let bodies = self.live_bodies.load(std::sync::atomic::Ordering::Relaxed);
        // Before a fetch, only pages ahead of the program are kept. A poll may also be sent just
        // before the program gets a page.
        let delivered = usize::from(facts.endpoint != Endpoint::Events);
        if bodies > self.open_batches.kept() + self.climate.read_ahead + delivered {
            self.check::<()>(Err(format!(
                "{bodies} pages are kept while it sends a request"
            )));
        }
        // One sleep may belong to the program, and the others are the time limits of two requests,
        // the engine's timer, and the periodic check of the clocks. A subscription may also write,
        // and wait until it may write again.
        let most = match self.climate.consumer {
            Consumer::Subscription => 7,
            Consumer::Batches | Consumer::BlockingBatches | Consumer::Events => 5,
        };
        if self.sleepers.len() > most {
            let sleeps = self.sleepers.len();
            self.check::<()>(Err(format!(
                "{sleeps} sleeps are kept while it sends a request"
            )));
        }
        let is_alone = self.check_lane(facts.endpoint);
        self.check(is_alone);
        let phase = self
            .conduct
            .check_request(&facts, &self.ledger, &self.climate, now);
        let phase = self.check(phase);
        let paced = self.budget.count(facts.endpoint, now);
        self.check(paced);
        if facts.endpoint == Endpoint::Events {
            self.lanes.fetches(now);
        }
        let longest = self.longest(&facts);
        // The client may shorten a poll because of a learned hold time, or for a late check.
        let is_shorter = facts.endpoint == Endpoint::Realtime && facts.timeout < longest;
        if facts.timeout != longest && !is_shorter {
            self.check::<()>(Err(format!(
                "a request has a timeout of {:?} instead of {longest:?}",
                facts.timeout
            )));
        }

        let nth = self.requests_to.entry(facts.endpoint).or_default();
        let occasion = When::Request(facts.endpoint, *nth);
        *nth += 1;
        let met = self.take(occasion).or_else(|| self.weather_meets(&facts));
        if let (Some(what), Some(phase)) = (&met, phase) {
            self.count_phase(facts.endpoint, what, phase);
        }
        let id = self.number();
        let unreachable = now < self.down_until
            || self
                .hosts_down
                .get(&facts.host)
                .is_some_and(|until| now < *until);
        let failure = match &met {
            _ if unreachable => Some(TransportErrorKind::Connect),
            Some(What::Refused) => Some(TransportErrorKind::Connect),
            Some(What::NoTls) => Some(TransportErrorKind::Tls),
            Some(What::Failed) => Some(TransportErrorKind::Other),
            _ => None,
        };
        let latency = self.latency(facts.endpoint);
        match (&met, failure) {
            (_, Some(_)) => self.schedule(now + latency * 2, Scheduled::Response(id)),
            (Some(What::RequestLost), _) => {}
            _ => self.schedule(now + latency, Scheduled::Arrival(id)),
        }
        let reused = self.weather_reuses(&facts, id);
        let pending = Pending {
            request: for_emulator(request, &facts),
            reused,
            facts,
            sent: now,
            met,
            hold: None,
            listens: false,
            outcome: failure.map(Err),
            has_come: false,
            waker: None,
            cut_off: None,
        };
        self.pending.insert(id, pending);
        Some(id)
    }

    /// Returns the longest timeout that a request may have.
    pub(crate) fn longest(&self, facts: &RequestFacts) -> Duration {
        match facts.endpoint {
            Endpoint::Realtime => self.climate.longest_poll(),
            Endpoint::Options => LIST_TIMEOUT,
            _ => PAGE_TIMEOUT,
        }
    }

    /// Returns the latency of an endpoint's host in each direction.
    fn latency(&self, endpoint: Endpoint) -> Duration {
        Duration::from_millis(match endpoint {
            Endpoint::Realtime => self.climate.realtime_latency_ms,
            _ => self.climate.latency_ms,
        })
    }

    /// Lets a request reach the server, which responds or holds it.
    pub(crate) fn arrives(&mut self, id: u64) {
        let Some(pending) = self.reachable(id) else {
            return;
        };
        let (facts, met, mut request) = (
            pending.facts.clone(),
            pending.met.clone(),
            pending.request.clone(),
        );
        if self.weather_kills(id) {
            return self.fails(id, TransportErrorKind::Interrupted);
        }
        if let Some(response) = self.response_of_a_hole(&facts, met.as_ref()) {
            return self.leaves(id, response);
        }
        let forgotten = facts.channel.as_ref();
        if forgotten.is_some_and(|channel| self.forgotten_channels.contains(channel)) {
            request = Request::get("/realtime/0/subscribe?channel=unknown");
        }
        let now = self.instant();
        match &met {
            Some(What::Response(fault)) => {
                self.emulator.queue_fault(facts.endpoint, fault.clone(), 1);
            }
            Some(What::Earlier { back }) => {
                if let Some(place) = facts
                    .position
                    .as_deref()
                    .and_then(|text| self.ledger.place(text))
                {
                    let earlier = self.ledger.position(place.saturating_sub(*back));
                    request = page_request(&facts, &earlier);
                }
            }
            Some(What::Twice) => {
                if let Reply::Hold { id, .. } = self.emulator.respond(&request, now) {
                    self.emulator.hang_up(id);
                }
            }
            _ => {}
        }
        match self.emulator.respond(&request, now) {
            Reply::Respond(response) => self.leaves(id, response),
            Reply::Hold { id: hold, until } => {
                self.holds.insert(hold, id);
                if let Some(pending) = self.pending.get_mut(&id) {
                    pending.hold = Some(hold);
                    pending.listens = until.is_some() && met.is_none();
                }
                if let Some(until) = until {
                    self.schedule(self.since_base(until), Scheduled::HoldEnds(hold));
                    self.weather_limits(id);
                }
            }
        }
    }

    /// Returns the page of a hole: it is empty forever, although its position moves and more events
    /// follow.
    fn response_of_a_hole(&self, facts: &RequestFacts, met: Option<&What>) -> Option<FakeResponse> {
        let position = facts.position.as_deref()?;
        let fault = matches!(met, Some(What::Response(_) | What::Earlier { .. }));
        if facts.endpoint != Endpoint::Events || fault {
            return None;
        }
        let mut holes = self.climate.holes.iter();
        let hole = holes.find(|hole| self.ledger.position(**hole) == position)?;
        let next = self.ledger.nudged(*hole);
        let body = if self.climate.positions_are_numbers {
            format!(r#"{{"chunk_size":0,"next_stream_position":{next},"entries":[]}}"#)
        } else {
            format!(r#"{{"chunk_size":0,"next_stream_position":"{next}","entries":[]}}"#)
        };
        Some(FakeResponse::json(200, body))
    }

    /// Lets the server respond to a held request, if it is ready.
    pub(crate) fn resume(&mut self, hold: HoldId) {
        let now = self.instant();
        let Some(&id) = self.holds.get(&hold) else {
            return;
        };
        if let Some(Reply::Respond(response)) = self.emulator.resume(hold, now) {
            self.holds.remove(&hold);
            if let Some(pending) = self.pending.get_mut(&id) {
                pending.hold = None;
                pending.listens = false;
            }
            self.leaves(id, response);
        }
    }

    pub(crate) fn resume_those_that_are_ready(&mut self) {
        for hold in self.emulator.take_ready() {
            self.resume(hold);
        }
    }

    /// Ends the connection of a request without a response.
    pub(crate) fn fails(&mut self, id: u64, kind: TransportErrorKind) {
        if let Some(pending) = self.pending.get_mut(&id) {
            pending.outcome = Some(Err(kind));
            let endpoint = pending.facts.endpoint;
            self.schedule(self.now + self.latency(endpoint), Scheduled::Response(id));
        }
    }

    /// Sends a response from the server to the client.
    pub(crate) fn leaves(&mut self, id: u64, mut response: FakeResponse) {
        self.weather_changes(id, &mut response);
        let delay = self.weather_delays(id);
        let Some(endpoint) = self.pending.get(&id).map(|pending| pending.facts.endpoint) else {
            return;
        };
        let latency = self.latency(endpoint) + delay;
        let Some(pending) = self.pending.get_mut(&id) else {
            return;
        };
        if pending.facts.endpoint == Endpoint::Options {
            let body = String::from_utf8_lossy(&response.body);
            let urls = body.split("\"url\":\"").skip(1);
            self.known_channels.extend(urls.filter_map(channel_of));
        }
        let mut takes = latency;
        if let Delivery::Drip { interval } = response.delivery {
            takes += interval * u32::try_from(response.body.len()).unwrap_or(u32::MAX);
        }
        let outcome = match (&pending.met, response.delivery) {
            (Some(What::ResponseLost), _) => return,
            (Some(What::Cut), _)
            | (_, Delivery::CutBody | Delivery::ResetBody | Delivery::CutChunk) => {
                Err(TransportErrorKind::Body)
            }
            (Some(What::TooLarge), _) | (_, Delivery::Endless) => {
                Err(TransportErrorKind::BodyTooLarge)
            }
            (_, Delivery::CloseBeforeHeaders | Delivery::Reset | Delivery::CutHeaders) => {
                Err(TransportErrorKind::Interrupted)
            }
            (met, _) => {
                match met {
                    Some(What::Late { ms }) => takes += Duration::from_millis(*ms),
                    Some(What::Garbled { percent }) if !response.body.is_empty() => {
                        let at = response.body.len() * usize::from(*percent) / 100;
                        let last = response.body.len() - 1;
                        // This byte is invalid anywhere in JSON.
                        response.body[at.min(last)] = 0;
                    }
                    _ => {}
                }
                Ok(response)
            }
        };
        pending.outcome = Some(outcome);
        let at = self.now + takes;
        self.schedule(at, Scheduled::Response(id));
    }

    /// Returns the outcome of a request, which the client takes now. Returns `None` if the program
    /// dies instead.
    pub(crate) fn receive(&mut self, id: u64) -> Option<Outcome> {
        let pending = self.pending.remove(&id)?;
        let outcome = pending.outcome?;
        let read = decompressed(&outcome);
        self.measure_outcome(&pending.facts, pending.sent, &read);
        let step = match &outcome {
            Ok(response) => Step::Receives(response.status),
            Err(_) => Step::Fails("no response"),
        };
        if !self.step(step) {
            return None;
        }
        let now = self.now;
        let held = now.saturating_sub(pending.sent);
        if let Some(kind) = self.conduct.must_stop() {
            self.check::<()>(Err(format!("it took a response after {kind:?}")));
        }
        let page =
            self.conduct
                .note_outcome(&pending.facts, &read, pending.met.as_ref(), held, now);
        if pending.facts.endpoint == Endpoint::Events {
            self.lanes.fetched(page.is_some());
        }
        if let Some(page) = page {
            self.page_came(&page);
        }
        if pending.facts.endpoint == Endpoint::Realtime {
            let signaled = is_signal(&outcome);
            let is_known = self.budget.poll_ended(signaled);
            if signaled && !is_known {
                self.lanes.was_signaled(now);
            }
        }
        let token = pending.facts.token.as_deref();
        let is_rejected = outcome
            .as_ref()
            .is_ok_and(|response| response.status == 401);
        self.count_beside(pending.facts.endpoint, token.filter(|_| is_rejected));
        Some(outcome)
    }

    /// Notes the arrival of a page, which may be read ahead of the program.
    fn page_came(&mut self, page: &PageFacts) {
        let resolved = page.resolved.as_ref();
        if let Some(place) = resolved.and_then(|position| self.ledger.place(position)) {
            self.ledger.starts_at(place);
        }
        let new = self.ledger.receives(&page.events);
        let brought_new = page.moves && !new.is_empty() || new.iter().any(|rank| rank.has_id);
        self.conduct.page_came(brought_new);
        if brought_new {
            self.budget.page_brought_new();
        }
        let first = new.first().map(|rank| rank.number);
        let reach = page.is_last.then(|| self.ledger.received());
        let wall = self.moment().wall;
        self.gaps.page_came(first, reach, wall);
        if page.resolved.is_some() && first.is_some() {
            self.gaps.is_kept_until_the_start();
        }
    }

    /// Drops a request, because the client has dropped its future.
    pub(crate) fn let_go(&mut self, id: u64) {
        let Some(pending) = self.pending.remove(&id) else {
            return;
        };
        if let Some(hold) = pending.hold {
            self.holds.remove(&hold);
            self.emulator.hang_up(hold);
        }
        let drops = self.conduct.may_stop();
        if self.crashed.is_some() || self.stopping || drops {
            return;
        }
        let waited = self.now.saturating_sub(pending.sent);
        if waited < pending.facts.timeout && !self.conduct.may_know_of_a_sleep(self.now) {
            self.check::<()>(Err(format!("it gave a request up after {waited:?}")));
        }
        let is_silence = pending.facts.timeout == self.longest(&pending.facts);
        self.conduct
            .fell_silent(&pending.facts, is_silence, self.now);
        match pending.facts.endpoint {
            Endpoint::Realtime => {
                self.budget.poll_ended(false);
            }
            Endpoint::Events => self.lanes.fetched(false),
            _ => {}
        }
    }

    /// Checks that the client waits for no request beyond its timeout, and for none that died while
    /// the machine slept.
    pub(crate) fn check_waits(&mut self) {
        // A busy program does not poll its timers, nor does a stream that may deliver no batch.
        let (now, rested) = (self.now, self.lanes.rested);
        let is_over = |until: Duration| now > until.max(rested) + Duration::from_secs(5);
        let late = self
            .pending
            .values()
            .find(|pending| !pending.has_come && is_over(pending.sent + pending.facts.timeout));
        if let Some(late) = late {
            let why = format!("it waits for {:?} beyond the timeout", late.facts.endpoint);
            self.check::<()>(Err(why));
        }
        let unnoticed = self.pending.values().find(|pending| {
            pending
                .cut_off
                .is_some_and(|woken| is_over(woken + NOTICES_A_SLEEP))
        });
        if let Some(unnoticed) = unnoticed {
            let why = format!(
                "a request to {:?} outlived a suspension of the machine",
                unnoticed.facts.endpoint
            );
            self.check::<()>(Err(why));
        }
    }

    /// Returns a request if its response can still arrive.
    pub(crate) fn reachable(&mut self, id: u64) -> Option<&mut Pending> {
        let pending = self.pending.get_mut(&id)?;
        pending.cut_off.is_none().then_some(pending)
    }

    /// Cuts the connections of all requests in flight. The client gets no error.
    pub(crate) fn cut_off_all(&mut self) {
        let now = self.now;
        for pending in self.pending.values_mut().filter(|sent| !sent.has_come) {
            pending.cut_off = Some(now);
            pending.listens = false;
            if let Some(hold) = pending.hold.take() {
                self.holds.remove(&hold);
                self.emulator.hang_up(hold);
            }
        }
    }
}

/// Reads the facts of a request that the checks need.
fn facts_of(request: &TransportRequest) -> RequestFacts {
    let uri = request.request().uri();
    let method = request.request().method().as_str();
    let seen = Request::new(method, &uri.to_string());
    // Positions and channels need no unescaping, and this code runs for millions of requests.
    let query = |name: &str| {
        let mut parameters = uri.query()?.split('&');
        let value = parameters.find_map(|text| text.strip_prefix(name)?.strip_prefix('='))?;
        Some(value.to_owned())
    };
    let header = request.request().headers().get("authorization");
    RequestFacts {
        endpoint: Endpoint::of(&seen),
        scheme: uri.scheme_str().unwrap_or_default().to_owned(),
        host: uri.host().unwrap_or_default().to_owned(),
        position: query("stream_position"),
        channel: query("channel"),
        limit: query("limit").and_then(|limit| limit.parse().ok()),
        timeout: request.timeout(),
        token: header.and_then(|value| {
            let value = value.to_str().ok()?;
            value.strip_prefix("Bearer ").map(str::to_owned)
        }),
        fresh_connection: request.fresh_connection(),
    }
}

/// Returns the request as the emulator expects it: without the digits that the weather appended to
/// its position.
fn for_emulator(request: &TransportRequest, facts: &RequestFacts) -> Request {
    let mut uri = request.request().uri().to_string();
    if let Some(position) = &facts.position {
        let parameter = |position: &str| format!("stream_position={position}");
        uri = uri.replace(&parameter(position), &parameter(own_digits(position)));
    }
    let method = request.request().method().as_str();
    let request = Request::new(method, &uri).header("host", &facts.host);
    with_caller(request, facts)
}

/// Returns the same request for a page, but from another position.
fn page_request(facts: &RequestFacts, position: &str) -> Request {
    let limit = facts.limit.unwrap_or(500);
    let target = format!("/2.0/events?stream_type=all&stream_position={position}&limit={limit}");
    with_caller(Request::get(&target), facts)
}

fn with_caller(request: Request, facts: &RequestFacts) -> Request {
    match &facts.token {
        Some(token) => request
            .header("authorization", &format!("Bearer {token}"))
            .header("as-user", ACCOUNT),
        None => request,
    }
}
