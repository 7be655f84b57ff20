//! The network between the program and the emulator, and what it does to requests and answers.

use std::task::Waker;
use std::time::Duration;

use box_longpoll::ErrorKind;
use box_longpoll::transport::{TransportErrorKind, TransportRequest};
use box_longpoll_testkit::{Answer, Delivery, Endpoint, HoldId, Reply, Request};

use crate::climate::Consumer;
use crate::exchange::{Asked, Outcome, channel_of};
use crate::ledger::own_digits;
use crate::scenario::{What, When};
use crate::world::{ACCOUNT, Due, Inner, Step};

/// What a page may take.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// What a list may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);

/// How soon after waking a stream asks again.
pub(crate) const NOTICES_A_SLEEP: Duration = Duration::from_secs(30);

/// A request that the client waits for.
pub(crate) struct Pending {
    pub(crate) asked: Asked,
    request: Request,
    pub(crate) sent: Duration,
    pub(crate) met: Option<What>,
    /// Whether its connection carried another request before, where the transport can tell.
    pub(crate) reused: Option<bool>,
    pub(crate) hold: Option<HoldId>,
    /// Whether it is held by a server that will tell of changes.
    pub(crate) listens: bool,
    outcome: Option<Outcome>,
    pub(crate) has_come: bool,
    pub(crate) waker: Option<Waker>,
    /// When the machine woke from a sleep in which the connection died.
    cut_off: Option<Duration>,
}

impl Inner {
    /// Sends a request. `None` where the program dies instead.
    pub(crate) fn send(&mut self, request: &TransportRequest) -> Option<u64> {
        let asked = facts(request);
        if !self.step(Step::Asks(asked.endpoint, asked.position.clone())) {
            return None;
        }
        self.requests += 1;
        self.measure_call();
        let now = self.now;
        let bodies = self.live_bodies.load(std::sync::atomic::Ordering::Relaxed);
        if bodies > self.hands.kept() {
            self.check::<()>(Err(format!(
                "{bodies} pages are kept while it asks for more"
            )));
        }
        // One may be the program's own, and one is the look at the clocks. A subscription may write, and wait until it may
        // write again.
        let most = match self.climate.consumer {
            Consumer::Subscription => 4,
            Consumer::Batches | Consumer::BlockingBatches | Consumer::Events => 2,
        };
        if self.sleepers.len() > most {
            let sleeps = self.sleepers.len();
            self.check::<()>(Err(format!(
                "{sleeps} sleeps are kept while it asks for more"
            )));
        }
        if !self.pending.is_empty() {
            self.check::<()>(Err("it has two requests under way".into()));
        }
        let place = self.conduct.sent(&asked, &self.ledger, &self.climate, now);
        let place = self.check(place);
        let paced = self.budget.sent(asked.endpoint, now);
        self.check(paced);
        let longest = self.longest(&asked);
        // A poll may be kept shorter for what was learned, or for a check.
        let is_shorter = asked.endpoint == Endpoint::Realtime && asked.timeout < longest;
        if asked.timeout != longest && !is_shorter {
            self.check::<()>(Err(format!(
                "a request has a timeout of {:?} in place of {longest:?}",
                asked.timeout
            )));
        }

        let nth = self.asked.entry(asked.endpoint).or_default();
        let occasion = When::Request(asked.endpoint, *nth);
        *nth += 1;
        let met = self.take(occasion).or_else(|| self.weather_meets(&asked));
        if let (Some(what), Some(place)) = (&met, place) {
            self.counts_place(asked.endpoint, what, place);
        }
        let id = self.number();
        let unreachable = now < self.down_until
            || self
                .hosts_down
                .get(&asked.host)
                .is_some_and(|until| now < *until);
        let failure = match &met {
            _ if unreachable => Some(TransportErrorKind::Connect),
            Some(What::Refused) => Some(TransportErrorKind::Connect),
            Some(What::NoTls) => Some(TransportErrorKind::Tls),
            Some(What::Failed) => Some(TransportErrorKind::Other),
            _ => None,
        };
        let latency = self.latency();
        match (&met, failure) {
            (_, Some(_)) => self.schedule(now + latency * 2, Due::Answer(id)),
            (Some(What::RequestLost), _) => {}
            _ => self.schedule(now + latency, Due::Arrival(id)),
        }
        let reused = self.weather_reuses(&asked, id);
        let pending = Pending {
            request: for_emulator(request, &asked),
            reused,
            asked,
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

    pub(crate) fn longest(&self, asked: &Asked) -> Duration {
        match asked.endpoint {
            Endpoint::Realtime => self.climate.longest_poll(),
            Endpoint::Options => LIST_TIMEOUT,
            _ => PAGE_TIMEOUT,
        }
    }

    fn latency(&self) -> Duration {
        Duration::from_millis(self.climate.latency_ms)
    }

    /// A request reaches the server.
    pub(crate) fn arrives(&mut self, id: u64) {
        let Some(pending) = self.reachable(id) else {
            return;
        };
        let (asked, met, mut request) = (
            pending.asked.clone(),
            pending.met.clone(),
            pending.request.clone(),
        );
        if self.weather_kills(id) {
            return self.fails(id, TransportErrorKind::Interrupted);
        }
        if let Some(answer) = self.answer_of_a_hole(&asked, met.as_ref()) {
            return self.leaves(id, answer);
        }
        let forgotten = asked.channel.as_ref();
        if forgotten.is_some_and(|channel| self.forgotten_channels.contains(channel)) {
            request = Request::get("/realtime/0/subscribe?channel=unknown");
        }
        let now = self.instant();
        match &met {
            Some(What::Answer(fault)) => {
                self.emulator.queue_fault(asked.endpoint, fault.clone(), 1);
            }
            Some(What::Earlier { back }) => {
                if let Some(place) = asked
                    .position
                    .as_deref()
                    .and_then(|text| self.ledger.place(text))
                {
                    let earlier = self.ledger.position(place.saturating_sub(*back));
                    request = page_request(&asked, &earlier);
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
            Reply::Answer(answer) => self.leaves(id, answer),
            Reply::Hold { id: hold, until } => {
                self.holds.insert(hold, id);
                if let Some(pending) = self.pending.get_mut(&id) {
                    pending.hold = Some(hold);
                    pending.listens = until.is_some() && met.is_none();
                }
                if let Some(until) = until {
                    self.schedule(self.since_base(until), Due::HoldEnds(hold));
                    self.weather_limits(id);
                }
            }
        }
    }

    /// A page that is empty for ever, though the position moves and there is more behind it.
    fn answer_of_a_hole(&self, asked: &Asked, met: Option<&What>) -> Option<Answer> {
        let position = asked.position.as_deref()?;
        let fault = matches!(met, Some(What::Answer(_) | What::Earlier { .. }));
        if asked.endpoint != Endpoint::Events || fault {
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
        Some(Answer::json(200, body))
    }

    /// The server asks itself what has become of a request that it holds.
    pub(crate) fn resume(&mut self, hold: HoldId) {
        let now = self.instant();
        let Some(&id) = self.holds.get(&hold) else {
            return;
        };
        if let Some(Reply::Answer(answer)) = self.emulator.resume(hold, now) {
            self.holds.remove(&hold);
            if let Some(pending) = self.pending.get_mut(&id) {
                pending.hold = None;
                pending.listens = false;
            }
            self.leaves(id, answer);
        }
    }

    pub(crate) fn resume_those_that_are_ready(&mut self) {
        for hold in self.emulator.take_ready() {
            self.resume(hold);
        }
    }

    /// The connection ends in place of an answer.
    pub(crate) fn fails(&mut self, id: u64, kind: TransportErrorKind) {
        if let Some(pending) = self.pending.get_mut(&id) {
            pending.outcome = Some(Err(kind));
            self.schedule(self.now + self.latency(), Due::Answer(id));
        }
    }

    /// An answer leaves the server.
    pub(crate) fn leaves(&mut self, id: u64, mut answer: Answer) {
        self.weather_changes(id, &mut answer);
        let latency = self.latency() + self.weather_delays(id);
        let Some(pending) = self.pending.get_mut(&id) else {
            return;
        };
        if pending.asked.endpoint == Endpoint::Options {
            let body = String::from_utf8_lossy(&answer.body);
            let urls = body.split("\"url\":\"").skip(1);
            self.known_channels.extend(urls.filter_map(channel_of));
        }
        let mut takes = latency;
        if let Delivery::Drip { interval } = answer.delivery {
            takes += interval * u32::try_from(answer.body.len()).unwrap_or(u32::MAX);
        }
        let outcome = match (&pending.met, answer.delivery) {
            (Some(What::AnswerLost), _) => return,
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
                    Some(What::Garbled { percent }) if !answer.body.is_empty() => {
                        let at = answer.body.len() * usize::from(*percent) / 100;
                        let last = answer.body.len() - 1;
                        // No byte of JSON, wherever it stands.
                        answer.body[at.min(last)] = 0;
                    }
                    _ => {}
                }
                Ok(answer)
            }
        };
        pending.outcome = Some(outcome);
        let at = self.now + takes;
        self.schedule(at, Due::Answer(id));
    }

    /// An answer has come to the client, which takes it now. `None` where it dies instead.
    pub(crate) fn receive(&mut self, id: u64) -> Option<Outcome> {
        let pending = self.pending.remove(&id)?;
        let outcome = pending.outcome?;
        self.measure_outcome(&pending.asked, pending.sent, &outcome);
        let step = match &outcome {
            Ok(answer) => Step::IsAnswered(answer.status),
            Err(_) => Step::IsFailed("no answer"),
        };
        if !self.step(step) {
            return None;
        }
        let now = self.now;
        let held = now.saturating_sub(pending.sent);
        let resolved =
            self.conduct
                .answered(&pending.asked, &outcome, pending.met.as_ref(), held, now);
        if self.conduct.has_a_page() {
            let wall = self.moment().wall;
            self.gaps.page_came(wall);
        }
        if let Some(place) = resolved.and_then(|position| self.ledger.place(&position)) {
            self.ledger.starts_at(place);
        }
        Some(outcome)
    }

    /// The client lets go of a request.
    pub(crate) fn let_go(&mut self, id: u64) {
        let Some(pending) = self.pending.remove(&id) else {
            return;
        };
        if let Some(hold) = pending.hold {
            self.holds.remove(&hold);
            self.emulator.hang_up(hold);
        }
        let drops = self.conduct.must_stop() == Some(ErrorKind::Unacknowledged);
        if self.crashed.is_some() || self.stopping || drops {
            return;
        }
        let waited = self.now.saturating_sub(pending.sent);
        if waited < pending.asked.timeout && !self.conduct.may_know_of_a_sleep(self.now) {
            self.check::<()>(Err(format!("it gave a request up after {waited:?}")));
        }
        let is_silence = pending.asked.timeout == self.longest(&pending.asked);
        self.conduct
            .fell_silent(&pending.asked, is_silence, self.now);
    }

    /// No request is waited for longer than it may be.
    pub(crate) fn check_waits(&mut self) {
        // A program that is busy with something else does not look at its timers.
        let busy = self.climate.handling_ms + self.climate.longest_commit_ms();
        let busy = Duration::from_millis(busy) + Duration::from_secs(5);
        let late = self.pending.values().find(|pending| {
            !pending.has_come && self.now > pending.sent + pending.asked.timeout + busy
        });
        if let Some(late) = late {
            let why = format!("it waits for {:?} without end", late.asked.endpoint);
            self.check::<()>(Err(why));
        }
        let unnoticed = self.pending.values().find(|pending| {
            pending
                .cut_off
                .is_some_and(|woken| self.now > woken + NOTICES_A_SLEEP)
        });
        if let Some(unnoticed) = unnoticed {
            let why = format!("{:?} outlived a sleep", unnoticed.asked.endpoint);
            self.check::<()>(Err(why));
        }
    }

    /// A request whose answer can still come.
    pub(crate) fn reachable(&mut self, id: u64) -> Option<&mut Pending> {
        let pending = self.pending.get_mut(&id)?;
        pending.cut_off.is_none().then_some(pending)
    }

    /// The connections of all requests that are under way die without a word.
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

fn facts(request: &TransportRequest) -> Asked {
    let uri = request.request().uri();
    let method = request.request().method().as_str();
    let seen = Request::new(method, &uri.to_string());
    // Neither a number nor a channel is escaped, and this is done for millions of requests.
    let query = |name: &str| {
        let mut parameters = uri.query()?.split('&');
        let value = parameters.find_map(|text| text.strip_prefix(name)?.strip_prefix('='))?;
        Some(value.to_owned())
    };
    let header = request.request().headers().get("authorization");
    Asked {
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

fn for_emulator(request: &TransportRequest, asked: &Asked) -> Request {
    let mut uri = request.request().uri().to_string();
    if let Some(position) = &asked.position {
        let parameter = |position: &str| format!("stream_position={position}");
        uri = uri.replace(&parameter(position), &parameter(own_digits(position)));
    }
    let method = request.request().method().as_str();
    let request = Request::new(method, &uri).header("host", &asked.host);
    with_caller(request, asked)
}

fn page_request(asked: &Asked, position: &str) -> Request {
    let limit = asked.limit.unwrap_or(500);
    let target = format!("/2.0/events?stream_type=all&stream_position={position}&limit={limit}");
    with_caller(Request::get(&target), asked)
}

fn with_caller(request: Request, asked: &Asked) -> Request {
    match &asked.token {
        Some(token) => request
            .header("authorization", &format!("Bearer {token}"))
            .header("as-user", ACCOUNT),
        None => request,
    }
}
