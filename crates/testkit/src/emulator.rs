//! The core of the emulator, without a network and without a clock.
//!
//! The emulator routes each request, applies faults, and keeps the request log. The caller passes
//! the present moment with each call, so a simulation can run on a virtual clock. Pages, polls and
//! tokens are in `events_api`, `realtime` and `token_api`. Start from [`Emulator::respond`].

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::account::Account;
use crate::clock::{Clock, http_date, rfc3339};
use crate::content::Content;
use crate::counters::Traffic;
use crate::event::{self, Dates, realistic};
use crate::fault::{FaultQueue, QueuedFault};
use crate::limits::{MAX_CONNECTIONS, MAX_STORED_BYTES, noted};
use crate::past::Arrival;
use crate::realtime::{Channels, Hold};
use crate::request_log::RequestLog;
use crate::session::Session;
use crate::tokens::Tokens;
use crate::{
    Counters, Endpoint, FakeResponse, Fault, Grant, HoldId, Outcome, PastEvents, Reply, Request,
    RequestCounters, RequestRecord, Settings,
};
use crate::{control, events_api};

/// The configuration of an emulator.
#[derive(Clone, Debug)]
pub struct Config {
    /// The behavior of the accounts, which can be changed later.
    pub settings: Settings,
    /// The seed of all randomness. The same seed, requests and moments give the same responses.
    /// Default: 0.
    pub seed: u64,
    /// The date at the emulator's first moment, in seconds since 1970. If it is `None`, an
    /// [`EmulatorServer`](crate::EmulatorServer) takes the present date, and a bare [`Emulator`]
    /// takes 2026-01-01. Default: `None`.
    pub started_unix: Option<i64>,
    /// The number of requests that the request log keeps. Default: 100,000.
    pub request_log_capacity: usize,
    /// The greatest number of connections to an [`EmulatorServer`](crate::EmulatorServer) at once.
    /// A further one gets a 503 and is closed. With TLS, it is closed without a handshake. Default:
    /// 32,768.
    pub max_connections: usize,
    /// `true` if an [`EmulatorServer`](crate::EmulatorServer) serves https. It makes a certificate
    /// for `localhost`, `127.0.0.1`, `127.0.0.2`, `::1` and the address on which it listens, and an
    /// authority that signs it:
    /// [`authority_pem`](crate::EmulatorServer::authority_pem). This needs the feature `tls`, which
    /// is on by default. Default: `false`.
    pub tls: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            seed: 0,
            started_unix: None,
            request_log_capacity: 100_000,
            max_connections: MAX_CONNECTIONS,
            tls: false,
        }
    }
}

impl From<Settings> for Config {
    fn from(settings: Settings) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }
}

/// An emulator of Box's events API, without a network and without a clock.
///
/// Pass each request to [`respond`](Self::respond). If a request is held, call
/// [`resume`](Self::resume) at its deadline, and when [`take_ready`](Self::take_ready) names it.
#[derive(Debug)]
pub struct Emulator {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) rng: Rng,
    /// The accounts by name.
    pub(crate) accounts: BTreeMap<String, Account>,
    /// The names of accounts that are known not to be tokens, so the control API shows them.
    pub(crate) ids: BTreeSet<String>,
    /// The sessions by caller.
    pub(crate) sessions: BTreeMap<String, Session>,
    pub(crate) tokens: Tokens,
    pub(crate) channels: Channels,
    /// The held requests.
    pub(crate) holds: BTreeMap<HoldId, Hold>,
    pub(crate) next_hold: u64,
    /// The held requests to resume.
    pub(crate) ready: Vec<HoldId>,
    pub(crate) faults: FaultQueue,
    pub(crate) traffic: Traffic,
    pub(crate) request_log: RequestLog,
    /// The moment up to which the events of `rate` were appended.
    produced_until: Instant,
}

impl Emulator {
    /// Makes an emulator without accounts. An account is created when its token is first used, or
    /// when events are appended to it.
    #[must_use]
    pub fn new(config: Config, now: Instant) -> Self {
        // 2026-01-01T00:00:00Z
        let started_unix = config.started_unix.unwrap_or(1_767_225_600);
        Self {
            settings: config.settings,
            clock: Clock::new(now, started_unix),
            rng: Rng::with_seed(config.seed),
            accounts: BTreeMap::new(),
            ids: BTreeSet::new(),
            sessions: BTreeMap::new(),
            tokens: Tokens::default(),
            channels: Channels::default(),
            holds: BTreeMap::new(),
            next_hold: 0,
            ready: Vec::new(),
            faults: FaultQueue::default(),
            traffic: Traffic::default(),
            request_log: RequestLog::new(config.request_log_capacity),
            produced_until: now,
        }
    }

    /// Responds to a request, or holds it.
    pub fn respond(&mut self, request: &Request, now: Instant) -> Reply {
        if let Some(resource) = request.control_resource() {
            let response = control::respond(self, request, resource, now);
            return Reply::Respond(response.to(request));
        }
        let endpoint = Endpoint::of(request);
        let authorization = request.header_value("authorization").is_some();
        self.traffic.record(endpoint, authorization, now);
        let caller = match endpoint {
            Endpoint::Realtime => self.channels.caller(request),
            Endpoint::Token => None,
            Endpoint::Options | Endpoint::Events | Endpoint::Other => {
                self.note_expired(request, now);
                self.caller(request, now)
            }
        };
        if let Some(session) = caller
            .as_ref()
            .and_then(|caller| self.sessions.get_mut(caller))
        {
            session.meter.record(authorization, now);
        }
        let fault = self.faults.take(endpoint);
        // The fault is about the bytes that a client receives.
        let keeps_size = matches!(fault, Some(Fault::HugeBody { .. }));
        let record = self.record(request, endpoint, caller.as_deref(), fault.as_ref(), now);
        let call = Call {
            request,
            endpoint,
            caller,
            record,
            now,
        };
        let reply = match (fault, endpoint) {
            (Some(fault), _) => self.fail(&call, &fault),
            (None, Endpoint::Options) => Reply::Respond(self.realtime_servers(&call)),
            (None, Endpoint::Events) => Reply::Respond(events_api::page(self, &call, None)),
            (None, Endpoint::Realtime) => self.poll(&call),
            (None, Endpoint::Token) => Reply::Respond(self.token(&call)),
            (None, Endpoint::Other) => Reply::Respond(not_found(request).to(request)),
        };
        match self.finished(record, reply, now) {
            Reply::Respond(response)
                if self.settings.gzip && request.is_api_call() && !keeps_size =>
            {
                Reply::Respond(response.offer_gzip(request))
            }
            reply => reply,
        }
    }

    /// Appends realistic events to an account.
    pub fn append(&mut self, account: &str, count: usize, now: Instant) {
        for _ in 0..count {
            let event = self.new_event(now);
            self.push(account, event.into(), now);
        }
        self.changed(account);
    }

    /// Appends events without changes. They may be any text, which goes between the commas of a
    /// JSON array.
    pub fn append_json<E: Into<Arc<str>>>(
        &mut self,
        account: &str,
        events: impl IntoIterator<Item = E>,
        now: Instant,
    ) {
        for event in events {
            self.push(account, event.into(), now);
        }
        self.changed(account);
    }

    /// Appends past events of an enterprise to an account, each with the moment of its arrival.
    /// They arrive at `now` at the latest, and after the events that the account already has.
    ///
    /// [`Settings::late_rate`], [`Settings::reorder_rate`] and [`Settings::repeat_rate`] apply to
    /// them, with the events' own seed. A million events take 40 MB of memory, because their JSON
    /// is made only for the pages that show them. They take another 40 MB when `admin_logs` is read
    /// in chronological order.
    pub fn append_past(&mut self, account: &str, past: &PastEvents, now: Instant) {
        let mut rng = Rng::with_seed(past.seed);
        let arrivals = past.arrivals(&self.settings, &mut rng);
        let past = Arc::new(past.clone());
        let latest = self.clock.nanoseconds(now);
        for Arrival { unix, number } in arrivals {
            let unix = unix.saturating_sub(self.settings.clock_skew_seconds);
            let arrived = self.clock.nanoseconds_to(unix).min(latest);
            let repeat = repeat_distance(&mut rng, &self.settings);
            let log = self.account(account);
            log.append(Content::Past(Arc::clone(&past), number), arrived);
            if let Some(back) = repeat {
                log.repeat(back);
            }
        }
        if let Some(last) = self.settings.retention {
            self.account(account).retain(last);
        }
        self.changed(account);
    }

    /// Replaces the log of the account `to` by that of `from`. The two share memory until one of
    /// them changes.
    pub fn copy_log(&mut self, from: &str, to: &str) {
        let twin = self.account(from).twin();
        let replaced = std::mem::replace(self.account(to), twin);
        self.ready.extend(replaced.listeners);
    }

    /// Appends the events that [`Settings::rate`] demands since the last call. Appends nothing
    /// while the logs hold 4 GiB.
    pub fn advance(&mut self, now: Instant) {
        let rate = self.settings.rate;
        if rate <= 0.0 {
            self.produced_until = now;
            return;
        }
        let owed = (now
            .saturating_duration_since(self.produced_until)
            .as_secs_f64()
            * rate)
            .floor();
        if owed < 1.0 {
            return;
        }
        self.produced_until += Duration::from_secs_f64(owed / rate);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an integer of 1 or more"
        )]
        let owed = owed as usize;
        let mut stored = self.stored_bytes();
        for account in self.accounts() {
            if stored >= MAX_STORED_BYTES {
                return;
            }
            let before = self.account(&account).stored_bytes();
            self.append(&account, owed, now);
            stored += self.account(&account).stored_bytes().saturating_sub(before);
        }
    }

    /// Returns the total size of the events in all logs, in bytes. A log that several accounts
    /// share counts once.
    pub(crate) fn stored_bytes(&self) -> usize {
        let mut counted = HashSet::new();
        self.accounts
            .values()
            .filter(|account| counted.insert(account.log_identity()))
            .map(Account::stored_bytes)
            .sum()
    }

    /// Returns the current settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Changes the settings.
    pub fn change_settings(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
        if let Some(last) = self.settings.retention {
            self.accounts
                .values_mut()
                .for_each(|account| account.retain(last));
        }
    }

    /// Queues a fault for the next `times` requests of an endpoint, after the faults that are
    /// queued already.
    ///
    /// # Panics
    ///
    /// Panics if the fault [does not apply](Fault::applies_to) to the endpoint.
    #[track_caller]
    pub fn queue_fault(&mut self, endpoint: Endpoint, fault: Fault, times: u32) {
        assert!(
            fault.applies_to(endpoint),
            "the fault {} does not apply to {endpoint:?}",
            fault.name()
        );
        self.faults.push(QueuedFault {
            endpoint,
            times,
            fault,
        });
    }

    /// Removes the queued faults.
    pub fn clear_faults(&mut self) {
        self.faults.clear();
    }

    /// Returns the number of future requests for which a fault is queued.
    #[must_use]
    pub fn queued_faults(&self) -> u32 {
        self.faults.iter().map(|queued| queued.times).sum()
    }

    /// Returns the names of the known accounts.
    #[must_use]
    pub fn accounts(&self) -> Vec<String> {
        self.accounts.keys().cloned().collect()
    }

    /// Returns the IDs of an account's retained events, in the order of their first appearance.
    #[must_use]
    pub fn event_ids(&self, account: &str) -> Vec<String> {
        self.accounts
            .get(account)
            .map(Account::event_ids)
            .unwrap_or_default()
    }

    /// Returns an account's retained events in the order of the log, including repeats.
    #[must_use]
    pub fn events(&self, account: &str) -> Vec<Arc<str>> {
        self.accounts
            .get(account)
            .map(|account| account.events().collect())
            .unwrap_or_default()
    }

    /// Returns the position after an account's newest event.
    #[must_use]
    pub fn newest_position(&self, account: &str) -> String {
        Account::position(self.accounts.get(account).map_or(0, Account::end)).to_string()
    }

    /// Returns the counters of all requests so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.traffic.counters()
    }

    /// Returns the counters of each caller.
    ///
    /// A caller is a made-up token, or `ACCOUNT by CLIENT_ID` for all tokens that were issued to an
    /// application for an account. If a request has an `As-User` header, ` as USER` follows.
    #[must_use]
    pub fn callers(&self) -> BTreeMap<String, RequestCounters> {
        self.sessions
            .iter()
            .map(|(caller, session)| (caller.clone(), session.meter.counters()))
            .collect()
    }

    /// Resets all counters to zero.
    pub fn reset_counters(&mut self) {
        self.traffic.reset();
        self.sessions
            .values_mut()
            .for_each(|session| session.meter = crate::counters::Meter::default());
    }

    /// Returns the last requests, oldest first: as many as [`Config::request_log_capacity`] says.
    #[must_use]
    pub fn requests(&self) -> impl DoubleEndedIterator<Item = &RequestRecord> {
        self.request_log.iter()
    }

    /// Makes a realistic event. [`Settings::reorder_rate`] and [`Settings::late_rate`] date it
    /// early.
    fn new_event(&mut self, now: Instant) -> String {
        let recorded = self.unix(now);
        let early = event::early_seconds(&mut self.rng, &self.settings);
        let dates = Dates {
            created_at: &rfc3339(recorded - early),
            recorded_at: &rfc3339(recorded),
        };
        realistic(&mut self.rng, &dates)
    }

    /// Appends an event to an account's log, and with the probability [`Settings::repeat_rate`] a
    /// repeat after it.
    fn push(&mut self, name: &str, event: Arc<str>, now: Instant) {
        let repeated = repeat_distance(&mut self.rng, &self.settings);
        let retention = self.settings.retention;
        let now = self.clock.nanoseconds(now);
        let account = self.account(name);
        account.append(event, now);
        if let Some(back) = repeated {
            account.repeat(back);
        }
        if let Some(last) = retention {
            account.retain(last);
        }
    }

    /// Marks the polls that listen to the account as ready to be resumed.
    fn changed(&mut self, name: &str) {
        let listeners = std::mem::take(&mut self.account(name).listeners);
        self.ready.extend(listeners);
    }

    /// Returns the account with this name, and creates it if it is unknown.
    pub(crate) fn account(&mut self, name: &str) -> &mut Account {
        if !self.accounts.contains_key(name) {
            self.accounts.insert(name.into(), Account::default());
        }
        self.accounts
            .get_mut(name)
            .expect("a missing account was inserted above")
    }

    /// Records that an account's name is not a token, so the control API may show it.
    pub(crate) fn is_id(&mut self, account: &str) {
        if !self.ids.contains(account) {
            self.ids.insert(account.into());
        }
    }

    /// Returns `true` with this probability.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        happens(&mut self.rng, probability)
    }

    /// Adds a request to the request log, as held, and returns its number.
    fn record(
        &mut self,
        request: &Request,
        endpoint: Endpoint,
        caller: Option<&str>,
        fault: Option<&Fault>,
        now: Instant,
    ) -> u64 {
        let query = |name| request.query(name).as_deref().map(noted);
        let header = |name| request.header_value(name).map(noted);
        let grant = (endpoint == Endpoint::Token)
            .then(|| request.form("grant_type"))
            .flatten()
            .and_then(|grant_type| Grant::of_type(&grant_type));
        self.request_log.push(RequestRecord {
            number: 0,
            at_ms: self.clock.milliseconds(now),
            endpoint,
            method: noted(request.method()),
            path: noted(request.path()),
            account: caller
                .and_then(|caller| self.sessions.get(caller))
                .map(|session| session.account.clone()),
            stream_type: query("stream_type"),
            stream_position: query("stream_position"),
            limit: query("limit"),
            grant,
            refusal: None,
            token: request
                .bearer_token()
                .and_then(|token| self.tokens.access_token(token))
                .map(|issued| issued.number),
            authorization: request.header_value("authorization").is_some(),
            as_user: header("as-user"),
            user_agent: header("user-agent"),
            fault: fault.map(Fault::name),
            outcome: Outcome::Held,
            events: 0,
            new_events: 0,
        })
    }

    /// Records the outcome of a request, and adds the `Date` to the response.
    pub(crate) fn finished(&mut self, record: u64, reply: Reply, now: Instant) -> Reply {
        let Reply::Respond(response) = reply else {
            return reply;
        };
        self.request_log.amend(record, |record| {
            if record.outcome == Outcome::Held {
                record.outcome = Outcome::Responded(response.status);
            }
        });
        if self.settings.no_date {
            return Reply::Respond(response);
        }
        let date = http_date(self.unix(now));
        Reply::Respond(response.header("date", &date))
    }

    /// Returns the time of the emulator's clock, in seconds since 1970. It includes the configured
    /// skew.
    #[must_use]
    pub fn unix(&self, now: Instant) -> i64 {
        self.clock
            .unix(now)
            .saturating_add(self.settings.clock_skew_seconds)
    }

    /// Sets the fraction of a second by which the emulator's first moment lies after its date.
    pub(crate) fn start_in_second(&mut self, fraction: Duration) {
        self.clock = self.clock.clone().with_fraction(fraction);
    }
}

/// A request that is being processed.
pub(crate) struct Call<'a> {
    pub(crate) request: &'a Request,
    pub(crate) endpoint: Endpoint,
    /// The key of the session, if the caller is known.
    pub(crate) caller: Option<String>,
    /// The number of the request in the request log.
    pub(crate) record: u64,
    pub(crate) now: Instant,
}

/// Returns `true` with this probability.
pub(crate) fn happens(rng: &mut Rng, probability: f64) -> bool {
    // A setting of 0 must not consume randomness, so that it does not change the rest of the run.
    probability > 0.0 && rng.f64() < probability
}

/// Returns the distance from a new event back to the event that is repeated after it, in places of
/// the log. Returns `None` if there is no repeat.
fn repeat_distance(rng: &mut Rng, settings: &Settings) -> Option<usize> {
    happens(rng, settings.repeat_rate).then(|| {
        if rng.bool() {
            rng.usize(..10)
        } else {
            rng.usize(..2_000)
        }
    })
}

/// Makes the response to a request that is not for one of the endpoints.
fn not_found(request: &Request) -> FakeResponse {
    let known = matches!(request.path(), "/2.0/events" | "/oauth2/token");
    let (status, code) = if known {
        (405, "method_not_allowed")
    } else {
        (404, "not_found")
    };
    let message = format!(
        "{} {} is not part of the emulator",
        request.method(),
        request.path()
    );
    FakeResponse::box_error(status, code, &message, &serde_json::Value::Null)
}
